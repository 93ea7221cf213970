package frame

import "slices"

// What a Blocks keeps; the rest goes to the garbage collector.
const (
	blocksBytes = 8 << 20
	blocksCount = 256
	// chunksShared is how many chunks, 512 KiB: two batches as large as they get by default.
	chunksShared = 64
)

// blockLen is the length of the shortest blocks, which short frames share.
const blockLen = 64 << 10

// blockAlign is what the length of a block is rounded up to, so that messages of about one
// length find one.
const blockAlign = 8 << 10

// Blocks is memory for batches that are filled by one goroutine, which share it: blocks for
// sealed frames, since a message may be sent again and so is never sealed where it is, of
// which it keeps up to 8 MiB, all of it while no batch holds any; and the chunks beyond a
// batch's working size. The zero value is ready; not safe for concurrent use.
type Blocks struct {
	free   [][]byte // by length
	n      int      // bytes of them
	chunks []*[chunkLen]byte
}

// takeChunk returns a chunk of arbitrary content.
func (x *Blocks) takeChunk() *[chunkLen]byte {
	if x == nil || len(x.chunks) == 0 {
		return new([chunkLen]byte)
	}
	last := len(x.chunks) - 1
	p := x.chunks[last]
	x.chunks[last] = nil
	x.chunks = x.chunks[:last]
	return p
}

// giveChunks takes chunks that takeChunk returned.
func (x *Blocks) giveChunks(list []*[chunkLen]byte) {
	if x != nil {
		x.chunks = append(x.chunks, list[:min(len(list), chunksShared-len(x.chunks))]...)
	}
}

// take returns n bytes of arbitrary content: of the shortest block that has them.
func (x *Blocks) take(n int) []byte {
	if x != nil {
		i, _ := slices.BinarySearchFunc(x.free, n, compareLen)
		if i < len(x.free) {
			p := x.free[i]
			x.free = slices.Delete(x.free, i, i+1)
			x.n -= len(p)
			return p
		}
	}
	return make([]byte, (n+blockAlign-1)&^(blockAlign-1))
}

// give takes back what take returned. What is too much goes, the shortest first.
func (x *Blocks) give(p []byte) {
	if x == nil || len(p) > blocksBytes {
		return
	}
	i, _ := slices.BinarySearchFunc(x.free, len(p), compareLen)
	x.free = slices.Insert(x.free, i, p)
	x.n += len(p)
	drop := 0
	for x.n > blocksBytes || len(x.free)-drop > blocksCount {
		x.n -= len(x.free[drop])
		drop++
	}
	x.free = slices.Delete(x.free, 0, drop)
}

func compareLen(p []byte, n int) int { return len(p) - n }
