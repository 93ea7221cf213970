package msg

import (
	"math/bits"
	"sync"
)

// Buffer is a byte slice from a pool with size classes: powers of two from
// 64 B to 4 MiB; larger ones are plain allocations. It has one owner.
type Buffer struct {
	b     []byte
	n     int
	class int8 // -1: not pooled
}

const (
	bufferMinBits = 6
	bufferMaxBits = 22
)

var bufferPools [bufferMaxBits - bufferMinBits + 1]sync.Pool

// PoisonBuffers makes Free overwrite what is given back, so that a use after
// release shows in tests. Set it before any messenger is started.
var PoisonBuffers = false

// NewBuffer returns a buffer of length n. Its content is arbitrary.
func NewBuffer(n int) *Buffer {
	if n > 1<<bufferMaxBits {
		return &Buffer{b: make([]byte, n), n: n, class: -1}
	}
	c := 0
	if n > 1<<bufferMinBits {
		c = bits.Len(uint(n-1)) - bufferMinBits
	}
	b, _ := bufferPools[c].Get().(*Buffer)
	if b == nil {
		b = &Buffer{b: make([]byte, 1<<(c+bufferMinBits)), class: int8(c)}
	}
	b.n = n
	return b
}

// Bytes is the buffer, of the length asked for and no spare capacity, so that
// an append never reaches another owner's bytes.
func (b *Buffer) Bytes() []byte { return b.b[:b.n:b.n] }

// Free gives the buffer back. Neither b nor its bytes may be used afterwards.
func (b *Buffer) Free() {
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
