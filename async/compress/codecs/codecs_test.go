package codecs

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/klauspost/compress/s2"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
)

// text is what compresses well, noise what does not.
func text(n int) []byte { return bytes.Repeat([]byte("the same words again, "), n/22+1)[:n] }
func noise(n int) []byte {
	p, rng := make([]byte, n), rand.New(rand.NewPCG(1, uint64(n)))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// TestAlgorithms: what was compressed comes back, its length is known before, it is never longer
// than Bound says, it is the same each time, and what was in dst before stays.
func TestAlgorithms(t *testing.T) {
	require.Len(t, compress.Registered(), 4)
	for _, a := range compress.Registered() {
		byName, err := compress.ByName(a.Name())
		require.NoError(t, err)
		require.Equal(t, a, byName)
		require.Equal(t, a, compress.ByID(a.ID()))
		for _, n := range []int{1, 2, 41, 500, 5000, 70_000, 1 << 20, 5 << 20} {
			for _, plain := range [][]byte{text(n), noise(n), make([]byte, n)} {
				p := a.Append([]byte("before"), plain)
				require.True(t, bytes.HasPrefix(p, []byte("before")))
				p = p[6:]
				require.LessOrEqual(t, uint64(len(p)), compress.Bound(uint32(n)), "%s %d", a.Name(), n)
				roomy := make([]byte, 3, 3+compress.Bound(uint32(n)))
				again := a.Append(roomy, plain)
				require.Same(t, &roomy[:1][0], &again[0], "%s %d: it has room, and takes more", a.Name(), n)
				require.Equal(t, p, again[3:], "%s %d", a.Name(), n)
				k, err := a.PlainLen(p, n)
				require.NoError(t, err)
				require.Equal(t, n, k)
				_, err = a.PlainLen(p, n-1)
				require.ErrorIs(t, err, compress.ErrTooLong)
				got := make([]byte, n)
				require.NoError(t, a.Decompress(got, p))
				require.True(t, bytes.Equal(plain, got))
				for _, other := range []int{n - 1, n + 1} {
					require.Error(t, a.Decompress(make([]byte, other), p), "%s %d as %d", a.Name(), n, other)
				}
			}
		}
	}
}

// TestLZ4Blocks: more than one block, each of which refers to those before, as the origin writes
// what lies in several pieces.
func TestLZ4Blocks(t *testing.T) {
	piece := noise(1000)
	var c lz4.Compressor
	first := make([]byte, lz4.CompressBlockBound(1000))
	n, err := c.CompressBlock(piece, first)
	require.NoError(t, err)
	// A block that is one reference, 1000 back, and then 5 bytes as they are.
	second := []byte{0x1f, piece[0], 999 & 0xff, 999 >> 8}
	for left := 1000 - 1 - 4 - 15; ; left -= 255 {
		second = append(second, byte(min(left, 255)))
		if left < 255 {
			break
		}
	}
	second[2], second[3] = byte(1000&0xff), byte(1000>>8)
	second = append(second, 0x50, 1, 2, 3, 4, 5)
	p := binary.LittleEndian.AppendUint32(nil, 2)
	for _, x := range [2]int{1000, 1005} {
		p = binary.LittleEndian.AppendUint32(p, uint32(x))
		size := n
		if x != 1000 {
			size = len(second)
		}
		p = binary.LittleEndian.AppendUint32(p, uint32(size))
	}
	p = append(append(p, first[:n]...), second...)
	k, err := LZ4{}.PlainLen(p, 1<<20)
	require.NoError(t, err)
	require.Equal(t, 2005, k)
	got := make([]byte, k)
	require.NoError(t, LZ4{}.Decompress(got, p))
	require.Equal(t, append(append(bytes.Clone(piece), piece...), 1, 2, 3, 4, 5), got)
}

// TestBombs: what says too much, and what becomes more than it says, takes no memory.
func TestBombs(t *testing.T) {
	const limit = 1 << 20
	huge := make([]byte, 64<<20)
	for _, a := range compress.Registered() {
		bomb := a.Append(nil, huge)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := a.PlainLen(bomb, limit)
		require.ErrorIs(t, err, compress.ErrTooLong, a.Name())
		small := make([]byte, 1000)
		require.Error(t, a.Decompress(small, bomb), a.Name())
		switch a.ID() { // say less than there is
		case compress.IDZstd:
			binary.LittleEndian.PutUint32(bomb, 1000)
		case compress.IDLZ4:
			binary.LittleEndian.PutUint32(bomb[4:], 1000)
		case compress.IDSnappy:
			_, k := binary.Uvarint(bomb)
			bomb = append(binary.AppendUvarint(nil, 1000), bomb[k:]...)
		}
		if n, err := a.PlainLen(bomb, limit); err == nil {
			require.Equal(t, 1000, n)
			require.Error(t, a.Decompress(small, bomb), a.Name())
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(bomb)+4<<20), a.Name())

		whole := a.Append(nil, text(5000))
		for n := range len(whole) { // cut off anywhere
			if k, err := a.PlainLen(whole[:n], limit); err == nil {
				require.Error(t, a.Decompress(make([]byte, k), whole[:n]), "%s cut at %d", a.Name(), n)
			}
		}
	}
	_, err := Snappy{}.PlainLen(binary.AppendUvarint(nil, 1<<32-1), limit)
	require.ErrorIs(t, err, compress.ErrTooLong)
	require.Error(t, Snappy{}.Decompress(make([]byte, 5), s2.EncodeSnappy(nil, text(6))))
}

// TestRecordings: what real OSDs of 20.2.4 have compressed (testdata/README.md) is read by the
// tool that reads recordings, every checksum and every length of it.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hex")
	require.NoError(t, err)
	require.Len(t, files, 5)
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		tr, err := frame.ReadTranscript(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		tags := map[frame.Tag]int{}
		sum, err := tr.Walk(frame.WalkOptions{}, func(r *frame.Record) error {
			require.NotContains(t, r.String(), "bad payload", name)
			if r.Compressed == "" {
				return nil
			}
			require.Contains(t, filepath.Base(name)+"complist-zstd", r.Compressed)
			if tags[r.Preamble.Tag]++; r.Preamble.Tag == frame.TagMessage {
				require.NotZero(t, r.Header.Seq)
				require.Greater(t, len(r.Front)+len(r.Middle)+len(r.Data), 300, name)
			}
			return nil
		})
		require.NoError(t, err, name)
		require.Zero(t, sum.Partial, name)
		require.NotZero(t, tags[frame.TagMessage], name)
	}
}

// FuzzDecompress: whatever the bytes, no panic, and no more than was asked for.
func FuzzDecompress(f *testing.F) {
	for _, a := range compress.Registered() {
		f.Add(a.ID(), a.Append(nil, text(300)))
		f.Add(a.ID(), a.Append(nil, noise(30)))
	}
	f.Fuzz(func(t *testing.T, id uint32, p []byte) {
		a := compress.ByID(id % 5)
		if a == nil {
			return
		}
		n, err := a.PlainLen(p, 1<<20)
		if err != nil {
			return
		}
		if n < 0 || n > 1<<20 {
			t.Fatalf("%s: a length of %d", a.Name(), n)
		}
		buf := make([]byte, n+8)
		copy(buf[n:], "sentinel")
		if a.Decompress(buf[:n:n], p) == nil && n > 0 {
			again := a.Append(nil, buf[:n])
			if k, err := a.PlainLen(again, n); err != nil || k != n {
				t.Fatalf("%s: compressed again: %d bytes instead of %d: %v", a.Name(), k, n, err)
			}
		}
		if string(buf[n:]) != "sentinel" {
			t.Fatalf("%s wrote behind", a.Name())
		}
	})
}
