package frame

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBlocks: a block is used again by what is not longer, and no more are kept than
// there is room for.
func TestBlocks(t *testing.T) {
	var x Blocks
	small, large := x.take(10_000), x.take(1<<20)
	require.Len(t, small, 16<<10)
	require.Len(t, large, 1<<20)
	x.give(large)
	x.give(small)
	require.Same(t, &small[0], &x.take(16 << 10)[0], "the shortest that has room")
	require.Same(t, &large[0], &x.take(17 << 10)[0])
	require.Zero(t, x.n)
	require.Empty(t, x.free)

	x.give(make([]byte, blocksBytes+1))
	require.Empty(t, x.free, "more than is kept")
	all := make([]byte, blocksBytes)
	x.give(all)
	require.Same(t, &all[0], &x.take(blocksBytes)[0], "as much as is kept")
	for range 3 {
		x.give(make([]byte, 8<<10))
	}
	x.give(make([]byte, blocksBytes-8<<10))
	require.Len(t, x.free, 2, "the shortest go")
	require.Equal(t, blocksBytes, x.n)
	x = Blocks{}
	for range blocksCount + 1 {
		x.give(make([]byte, 8<<10))
	}
	require.Len(t, x.free, blocksCount)
	require.Equal(t, blocksCount*8<<10, x.n)

	var none *Blocks
	none.give(none.take(1))
	require.Len(t, none.take(1), blockAlign)
}

// TestBlocksOfABatch: they go back when all is written, and not before.
func TestBlocksOfABatch(t *testing.T) {
	var x Blocks
	e, _ := modes[1].pair()
	b := Batch{Blocks: &x}
	for _, n := range []int{20_000, 40_000, 10_000, 100_000} {
		e.AppendMessage(&b, &testHeader, nil, nil, pattern(n, 1))
	}
	require.Equal(t, 3, b.NumBuffers(), "two share a block, and are one buffer")
	b.Advance(b.Len() - 1)
	require.Empty(t, x.free)
	b.Advance(1)
	require.Len(t, x.free, 3)
	e.AppendMessage(&b, &testHeader, nil, nil, pattern(20_000, 1))
	require.Len(t, x.free, 2)
	b.Trim()
	require.Len(t, x.free, 3)
	b.Trim()
	require.Len(t, x.free, 3)
}

// In secure mode neither side allocates either, whatever the length.
func TestNoAllocsSecure(t *testing.T) {
	for _, size := range []int{0, 64, 4 << 10, 64 << 10, 1 << 20} {
		e, c := modes[1].pair()
		batch := Batch{Blocks: new(Blocks)}
		data := pattern(size, 1)
		body := make([]byte, size+secureAlign+secureEpilogue+overheadMax)
		var d Decoder
		d.Init(Limits{})
		d.SetCipher(c)
		exchange := func() {
			e.AppendMessage(&batch, &testHeader, nil, nil, data)
			for _, p := range batch.Buffers() {
				for len(p) > 0 {
					n, ev, err := d.Next(p)
					if err != nil {
						t.Fatal(err)
					}
					if p = p[n:]; ev == GotPreamble && size > 0 {
						d.SetBody(body[:d.BodyRoom()])
					}
				}
			}
			if _, _, got := d.Segments(); len(got) != size {
				t.Fatal(len(got), size)
			}
			batch.Advance(batch.Len())
		}
		exchange()
		require.Zero(t, testing.AllocsPerRun(10, exchange), size)
	}
}

// TestChunksAreShared: what a batch holds beyond its working size is for the next batch
// that is as large, and bounded.
func TestChunksAreShared(t *testing.T) {
	var x Blocks
	a, b := Batch{Blocks: &x}, Batch{Blocks: &x}
	data := make([]byte, 256<<10)
	fill := func(b *Batch) {
		b.AppendRaw(data)
		b.Trim()
	}
	fill(&a)
	require.Len(t, x.chunks, len(data)/chunkLen-chunksKept)
	fill(&b)
	require.Zero(t, testing.AllocsPerRun(10, func() { fill(&a); fill(&b) }))
	b.AppendRaw(make([]byte, 2*chunksShared*chunkLen))
	b.Trim()
	require.Len(t, x.chunks, chunksShared)
	alone := new(Batch)
	fill(alone)
	require.Len(t, alone.chunks, chunksKept)
}

// TestRoomThatFits: a body for which there is room, to the last byte, stays where it is.
func TestRoomThatFits(t *testing.T) {
	d := Decoder{body: make([]byte, 100), bodyLen: 100, bodyOff: 60}
	first := &d.body[0]
	d.growBody(40)
	require.Same(t, first, &d.body[0])
}
