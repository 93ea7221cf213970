package connection

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteBatch(t *testing.T) {
	const most = 256 << 10
	var b writeBatch
	took := func(n int, full bool, want int) {
		t.Helper()
		b.took(n, most, full)
		require.Equal(t, want, b.limit(most))
	}
	require.Equal(t, most, b.limit(most), "in the beginning")
	took(10<<10, false, most)
	took(100<<10, true, 100<<10)
	took(12<<10, true, 12<<10) // however much it was before
	took(2<<10, false, 12<<10) // there was no more
	took(0, true, writeBatchLeast)
	took(300, false, writeBatchLeast) // the rest of one
	took(300+writeBatchLeast, false, 300+writeBatchLeast)
	took(10<<10, false, 10<<10) // it goes on
	took(most-1, false, most-1)
	took(most, false, most)
	took(4<<20, true, most)
	took(5, false, most)

	for _, most := range []int{1, 2, 4095, 4096, 4097, 1 << 30} {
		var b writeBatch
		for _, n := range []int{0, 1, most / 2, most - 1, most} {
			b.took(n, most, true)
			for range 70 {
				require.Positive(t, b.limit(most))
				require.LessOrEqual(t, b.limit(most), most)
				b.took(min(2*b.limit(most), most), most, false)
			}
			require.Equal(t, most, b.limit(most))
		}
	}
}
