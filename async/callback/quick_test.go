package callback

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInsideQuick: it says what Inside says, at depths beyond what it looks at too, and
// allocates nothing.
func TestInsideQuick(t *testing.T) {
	for _, mark := range []func(f func()){
		func(f func()) { f() }, OnPool, OnWorker,
		func(f func()) { OnPool(func() { OnWorker(f) }) },
		func(f func()) { OnWorker(func() { OnPool(f) }) },
		func(f func()) { defer OnWorker(f) },
		func(f func()) { OnWorker(func() { defer func() { recover(); f() }(); panic("planned") }) },
	} {
		var down func(n int)
		down = func(n int) {
			require.Equal(t, Inside(), InsideQuick(), "%d frames from the end", n)
			if n > 0 {
				down(n - 1)
			}
		}
		mark(func() { down(2 * quickFrames) })
	}
	require.Equal(t, Outside, InsideQuick())
	OnWorker(func() {
		require.Zero(t, testing.AllocsPerRun(100, func() { InsideQuick() }))
	})
}

func BenchmarkInsideQuick(b *testing.B) {
	for _, depth := range []int{4, 20, 40} {
		b.Run(fmt.Sprintf("frames=%d", depth), func(b *testing.B) {
			var down func(n int)
			down = func(n int) {
				if n > 0 {
					down(n - 1)
					return
				}
				for b.Loop() {
					InsideQuick()
				}
			}
			b.ReportAllocs()
			OnWorker(func() { down(depth) })
		})
	}
}
