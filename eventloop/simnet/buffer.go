package simnet

import "math/bits"

// The sizes of buffers: powers of two.
const (
	minBufferBits = 8
	maxBufferBits = 26
	// keptBytes is how many bytes of each size are kept for later.
	keptBytes = 1 << 20
)

// bufferPool keeps buffers that are not in use.
type bufferPool [maxBufferBits + 1][][]byte

// get returns an empty buffer with room for n bytes.
func (p *bufferPool) get(n int) []byte {
	class := max(bits.Len(uint(n-1)), minBufferBits)
	if class > maxBufferBits {
		return make([]byte, 0, n)
	}
	if k := len(p[class]); k > 0 {
		b := p[class][k-1]
		p[class][k-1] = nil
		p[class] = p[class][:k-1]
		return b
	}
	return make([]byte, 0, 1<<class)
}

// put takes a buffer back.
func (p *bufferPool) put(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if cap(b) == 0 || class > maxBufferBits || cap(b) != 1<<class || len(p[class]) >= keptBytes>>class {
		return
	}
	p[class] = append(p[class], b[:0])
}

// byteQueue holds the bytes of one direction of a stream from when they are written
// until they are read: those from offset base on.
type byteQueue struct {
	buf  []byte
	base int64
}

// end is the offset behind the last byte.
func (b *byteQueue) end() int64 { return b.base + int64(len(b.buf)) }

// slice is the n bytes at offset off, until something is appended or consumed; nil
// if they were forgotten.
func (b *byteQueue) slice(off int64, n int) []byte {
	i := int(off - b.base)
	if i < 0 {
		return nil
	}
	return b.buf[i : i+n : i+n]
}

// append copies n bytes of the slices behind what is there; read is how far the
// reader is.
func (b *byteQueue) append(pool *bufferPool, read int64, n int, from [][]byte) {
	if len(b.buf)+n > cap(b.buf) {
		b.makeRoom(pool, read, n)
	}
	for _, s := range from {
		s = s[:min(len(s), n)]
		b.buf = append(b.buf, s...)
		n -= len(s)
	}
}

func (b *byteQueue) makeRoom(pool *bufferPool, read int64, n int) {
	live := b.buf[read-b.base:]
	to := b.buf[:0]
	if len(live)+n > cap(b.buf) || len(live) > cap(b.buf)/2 {
		to = pool.get(len(live) + n)
		to = append(to, live...)
		pool.put(b.buf)
	} else {
		to = append(to, live...)
	}
	b.buf, b.base = to, read
}

// consumed gives the memory back when everything was read.
func (b *byteQueue) consumed(pool *bufferPool, read int64) {
	if read == b.end() {
		b.release(pool)
	}
}

// release forgets all bytes.
func (b *byteQueue) release(pool *bufferPool) {
	b.base = b.end()
	if b.buf != nil {
		pool.put(b.buf)
		b.buf = nil
	}
}
