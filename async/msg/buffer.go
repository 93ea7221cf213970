package msg

import (
	"math/bits"
	"sync"
)

// buffer is a byte slice from a pool with size classes: powers of two from
// 64 B to 4 MiB; larger ones are plain allocations. It has one owner.
type buffer struct {
	b     []byte
	n     int
	class int8 // -1: not pooled
}

const (
	bufferMinBits = 6
	bufferMaxBits = 22
)

var bufferPools [bufferMaxBits - bufferMinBits + 1]sync.Pool

// PoisonBuffers has payloads overwritten when they are given back, so that a use after
// release shows in tests. Set it before any messenger is started.
//
// Implementation: not for users of the library; may change in any release.
var PoisonBuffers = false

// newBuffer returns a buffer of length n. Its content is arbitrary.
func newBuffer(n int) *buffer {
	if n > 1<<bufferMaxBits {
		return &buffer{b: make([]byte, n), n: n, class: -1}
	}
	c := 0
	if n > 1<<bufferMinBits {
		c = bits.Len(uint(n-1)) - bufferMinBits
	}
	b, _ := bufferPools[c].Get().(*buffer)
	if b == nil {
		b = &buffer{b: make([]byte, 1<<(c+bufferMinBits)), class: int8(c)}
	}
	b.n = n
	return b
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
