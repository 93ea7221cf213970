package rpc

import "sync"

// Requests up to bufferMax are copied into buffers that are used again. A slot keeps one of its own up
// to inlineMax; larger ones are borrowed for one call.
const bufferMax = 32<<10 + requestHeader

var bufferPools = [...]struct {
	size int
	pool sync.Pool // of *[]byte
}{{size: 4<<10 + requestHeader}, {size: bufferMax}}

// borrow returns a buffer with room for n bytes, at most bufferMax.
func borrow(n int) *[]byte {
	for i := range bufferPools {
		p := &bufferPools[i]
		if n > p.size {
			continue
		}
		if b, _ := p.pool.Get().(*[]byte); b != nil {
			return b
		}
		b := make([]byte, 0, p.size)
		return &b
	}
	panic("rpc: no buffers of that size")
}

// giveBackBuffer ends the use of one that was borrowed.
func giveBackBuffer(b *[]byte) {
	for i := range bufferPools {
		if cap(*b) == bufferPools[i].size {
			bufferPools[i].pool.Put(b)
		}
	}
}
