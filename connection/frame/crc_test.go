package frame

import (
	"fmt"
	"hash/crc32"
	"math/bits"
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

// TestCRCFold does the same for long ones.
func TestCRCFold(t *testing.T) {
	if !useFold {
		t.Skip("this processor has no multiplication without carry of 512 bits")
	}
	r := rand.New(rand.NewPCG(3, 4))
	buf := make([]byte, 4096+64)
	for i := range buf {
		buf[i] = byte(r.Uint32())
	}
	for n := 256; n <= 4096; n++ {
		off, seed := r.IntN(65), r.Uint32()
		if n < 700 {
			off = n % 65
		}
		p := buf[off : off+n]
		require.Equal(t, ^crc32.Update(^seed, castagnoli, p[:n&^63]), crcFold(seed, p), "length %d offset %d", n, off)
		require.Equal(t, ^crc32.Update(^seed, castagnoli, p), updateCRC(seed, p), "length %d offset %d", n, off)
	}
	// One bit anywhere, for a lane that is left out would not be seen by chance.
	p := make([]byte, 1024)
	for i := range 8 * len(p) {
		p[i/8] = 1 << (i % 8)
		require.Equal(t, ^crc32.Update(^uint32(0), castagnoli, p), crcFold(0, p), "bit %d", i)
		p[i/8] = 0
	}
}

// TestFoldConstants computes those of crcFold.
func TestFoldConstants(t *testing.T) {
	power := func(n int) (r uint64) { // x^n modulo the polynomial
		for r = 1; n > 0; n-- {
			if r <<= 1; r>>32 != 0 {
				r ^= 0x11edc6f41
			}
		}
		return uint64(bits.Reverse32(uint32(r))) << 1
	}
	for _, k := range []struct {
		over      int
		low, high uint64
	}{
		{2048, 0x0dcb17aa4, 0x0b9e02b86}, {512, 0x0740eef02, 0x09e4addf8},
		{384, 0x01c291d04, 0x1d82c63da}, {256, 0x1384aa63a, 0x0ba4fc28e}, {128, 0x0f20c0dfe, 0x14cd00bd6},
	} {
		require.Equal(t, k.low, power(k.over+32), k.over)
		require.Equal(t, k.high, power(k.over-32), k.over)
	}
}

func BenchmarkCRC(b *testing.B) {
	buf := make([]byte, 4<<20)
	for _, n := range []int{28, 41, 64, 128, 192, 256, 300, 384, 512, 1024, 4096, 64 << 10, 4 << 20} {
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
