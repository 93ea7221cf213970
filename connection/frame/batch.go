package frame

import "fmt"

const (
	// chunkLen is the size of an arena chunk.
	chunkLen = 8 << 10
	// copyMax is the longest payload segment that is copied into the arena. Two
	// iovecs more cost a writev some 120 ns per message, as much as the copy of
	// 3 to 4 KiB (measured on a Unix socket with 32 messages per writev).
	copyMax = 2 << 10
	// chunksKept and iovKept bound what Trim leaves.
	chunksKept = 4
	iovKept    = 1 << 10
)

// Batch is one vectored write in the making: the bytes of frames that are still
// to be written, as iovecs. Preambles, headers, crcs, control frames and short
// payloads are copied into chunks that never move, neighbours sharing an iovec;
// longer payloads are referenced, so they must not change until written.
//
// Not safe for concurrent use. The zero value is ready. A Batch that has reached
// its working size allocates nothing. Its memory is taken again when it is empty,
// so who fills it bounds it by Len.
type Batch struct {
	// Blocks is where memory for sealed frames, and chunks beyond the working size, come from
	// and go to; nil: they are allocated each time.
	Blocks *Blocks

	iov    [][]byte
	head   int // iov[:head] is written
	n      int // bytes in iov[head:]
	chunks []*[chunkLen]byte
	cur    int  // the chunk in use
	off    int  // bytes of it in use
	open   bool // the last iovec ends at off, so it can be extended
	tmp    []byte
	blocks [][]byte // of Blocks; the last one is filled
	filled int      // bytes of the last block in use
	joined bool     // the last iovec ends at filled, so it can be extended
}

// Trim empties b and drops what it keeps beyond its working size.
func (b *Batch) Trim() {
	b.Reset()
	if len(b.chunks) > chunksKept {
		b.Blocks.giveChunks(b.chunks[chunksKept:])
		clear(b.chunks[chunksKept:])
		b.chunks = b.chunks[:chunksKept]
	}
	if cap(b.iov) > iovKept {
		b.iov = nil
	}
	if cap(b.tmp) > chunkLen {
		b.tmp = nil
	}
}

// Len is the number of bytes not yet written.
func (b *Batch) Len() int { return b.n }

// Buffers is the iovecs not yet written. The slice is valid until b is changed
// and must not be modified.
func (b *Batch) Buffers() [][]byte { return b.iov[b.head:] }

// NumBuffers is the number of iovecs not yet written.
func (b *Batch) NumBuffers() int { return len(b.iov) - b.head }

// Advance tells that the first n bytes were written.
func (b *Batch) Advance(n int) {
	if n < 0 || n > b.n {
		panic(fmt.Sprintf("frame: Batch.Advance(%d) of %d bytes", n, b.n))
	}
	b.n -= n
	if b.n == 0 {
		b.Reset()
		return
	}
	for n > 0 {
		p := b.iov[b.head]
		if n < len(p) {
			b.iov[b.head] = p[n:]
			break
		}
		n -= len(p)
		b.iov[b.head] = nil
		b.head++
	}
	if b.head > 64 && b.head > len(b.iov)/2 {
		k := copy(b.iov, b.iov[b.head:])
		clear(b.iov[k:])
		b.iov, b.head = b.iov[:k], 0
	}
}

// Reset forgets everything, and drops the references to payloads. The memory of
// its own stays.
func (b *Batch) Reset() {
	clear(b.iov[b.head:])
	b.iov = b.iov[:0]
	for _, p := range b.blocks {
		b.Blocks.give(p)
	}
	clear(b.blocks)
	b.blocks = b.blocks[:0]
	b.filled, b.joined = 0, false
	b.head, b.n, b.cur, b.off, b.open = 0, 0, 0, 0, false
}

// AppendRaw appends a copy of p: a banner.
func (b *Batch) AppendRaw(p []byte) {
	for len(p) > 0 {
		k := min(len(p), chunkLen)
		copy(b.small(k), p[:k])
		p = p[k:]
	}
}

// AppendTo appends the bytes not yet written to dst, for those who want them in
// one piece.
func (b *Batch) AppendTo(dst []byte) []byte {
	for _, p := range b.Buffers() {
		dst = append(dst, p...)
	}
	return dst
}

// small appends n bytes of the arena, n at most chunkLen, for the caller to fill.
func (b *Batch) small(n int) []byte {
	b.room(n)
	return b.take(n)
}

// room makes the current chunk one with n bytes left, and returns those that are.
func (b *Batch) room(n int) []byte {
	if len(b.chunks) == 0 || b.off+n > chunkLen {
		b.nextChunk()
	}
	return b.chunks[b.cur][b.off:]
}

// take appends the next n bytes of the current chunk.
func (b *Batch) take(n int) []byte {
	start := b.off
	b.off += n
	b.n += n
	chunk := b.chunks[b.cur]
	if b.open {
		last := &b.iov[len(b.iov)-1]
		*last = (*last)[:len(*last)+n]
	} else {
		b.iov = append(b.iov, chunk[start:b.off])
		b.open, b.joined = true, false
	}
	return chunk[start:b.off:b.off]
}

func (b *Batch) nextChunk() {
	if b.off > 0 {
		b.cur++
	}
	if b.cur == len(b.chunks) {
		b.chunks = append(b.chunks, b.Blocks.takeChunk())
	}
	b.off, b.open = 0, false
}

// ref appends p without a copy.
func (b *Batch) ref(p []byte) {
	b.iov = append(b.iov, p[:len(p):len(p)])
	b.n += len(p)
	b.open, b.joined = false, false
}

// payload appends a segment, by copy if it is short.
func (b *Batch) payload(p []byte) {
	switch {
	case len(p) == 0:
	case len(p) <= copyMax:
		copy(b.small(len(p)), p)
	default:
		b.ref(p)
	}
}

// block appends n bytes of Blocks for the caller to fill: what is sealed, all of which is
// copied. What is short shares a block.
func (b *Batch) block(n int) []byte {
	if len(b.blocks) == 0 || len(b.blocks[len(b.blocks)-1])-b.filled < n {
		b.blocks = append(b.blocks, b.Blocks.take(max(n, blockLen)))
		b.filled, b.joined = 0, false
	}
	block := b.blocks[len(b.blocks)-1]
	start := b.filled
	b.filled += n
	b.n += n
	if b.joined {
		last := &b.iov[len(b.iov)-1]
		*last = (*last)[:len(*last)+n]
	} else {
		b.iov = append(b.iov, block[start:b.filled])
		b.open, b.joined = false, true
	}
	return block[start:b.filled:b.filled]
}
