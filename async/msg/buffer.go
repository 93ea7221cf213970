package msg

import (
	"math/bits"
	"sync"
)

// buffer is a byte slice from a pool with size classes: powers of two from
// 64 B to 4 MiB, from 4 KiB on with bufferSlack more; larger ones are plain allocations.
// It has one owner.
type buffer struct {
	b     []byte
	n     int
	class int8 // -1: not pooled
}

const (
	bufferMinBits = 6
	bufferMaxBits = 22
	// bufferSlack is for what secure mode needs beyond a payload, which is often a power
	// of two itself and would take the next class.
	bufferSlack     = 128
	bufferSlackBits = 12
)

var bufferPools [bufferMaxBits - bufferMinBits + 1]sync.Pool

// PoisonBuffers has payloads overwritten when they are given back, so that a use after
// release shows in tests. Set it before any messenger is started.
//
// Implementation: not for users of the library; may change in any release.
var PoisonBuffers = false

// newBuffer returns a buffer of length n. Its content is arbitrary.
func newBuffer(n int) *buffer {
	c := 0
	if n > 1<<bufferMinBits {
		c = bits.Len(uint(n-1)) - bufferMinBits
	}
	if c > 0 && n <= bufferLen(c-1) {
		c--
	}
	if c >= len(bufferPools) {
		return &buffer{b: make([]byte, n), n: n, class: -1}
	}
	b, _ := bufferPools[c].Get().(*buffer)
	if b == nil {
		b = &buffer{b: make([]byte, bufferLen(c)), class: int8(c)}
	}
	b.n = n
	return b
}

// bufferLen is the length of the buffers of a class.
func bufferLen(class int) int {
	n := 1 << (class + bufferMinBits)
	if class >= bufferSlackBits-bufferMinBits {
		n += bufferSlack
	}
	return n
}

// bytes is the buffer, of the length asked for and no spare capacity, so that
// an append never reaches another owner's bytes.
func (b *buffer) bytes() []byte { return b.b[:b.n:b.n] }

// free gives the buffer back. Neither b nor its bytes may be used afterwards.
func (b *buffer) free() {
	if PoisonBuffers {
		poison(b.b)
	}
	if b.class >= 0 {
		bufferPools[b.class].Put(b)
	}
}

func poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
