package frame

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCRCShort compares with the standard library at every length and alignment
// that matters.
func TestCRCShort(t *testing.T) {
	if !useShort {
		t.Skip("this processor has no crc32 instruction")
	}
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, shortMax+16)
	for i := range buf {
		buf[i] = byte(r.Uint32())
	}
	for n := range shortMax + 1 {
		for off := range 9 {
			p, seed := buf[off:off+n], r.Uint32()
			require.Equal(t, ^crc32.Update(^seed, castagnoli, p), crcShort(seed, p), "length %d offset %d", n, off)
		}
	}
}

func BenchmarkCRC(b *testing.B) {
	buf := make([]byte, 4096)
	for _, n := range []int{28, 41, 64, 128, 256, 512, 1024} {
		b.Run(fmt.Sprintf("ours/%d", n), func(b *testing.B) {
			for range b.N {
				segmentCRC(buf[:n])
			}
		})
		b.Run(fmt.Sprintf("std/%d", n), func(b *testing.B) {
			for range b.N {
				crc32.Update(0, castagnoli, buf[:n])
			}
		})
	}
}
