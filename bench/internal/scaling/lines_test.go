package scaling

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// ants keeps two goroutines for its default pool from the import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// TestLines: each line can be measured, and leaves the process as it was.
func TestLines(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	lines := Lines()
	costs, err := MeasureAll(t.Context(), lines, 2, 4*time.Millisecond)
	require.NoError(t, err)
	require.Len(t, costs, len(lines))
	seen := map[string]bool{}
	for i, l := range lines {
		require.Positive(t, costs[i].Alone, l.Name)
		require.Positive(t, costs[i].Contended, l.Name)
		require.False(t, seen[l.Name], l.Name)
		seen[l.Name] = true
		require.Same(t, &lines[i], Named(lines, l.Name))
		for _, read := range []float64{0, 1, 15, 16, 64} {
			for _, fast := range []bool{true, false} {
				require.GreaterOrEqual(t, l.PerMessage(fast, read), 0.0, l.Name)
				require.LessOrEqual(t, l.PerMessage(fast, read), 2.0, l.Name)
			}
		}
	}
	require.Equal(t, all, runtime.GOMAXPROCS(0))
	require.Nil(t, Named(lines, "none"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = MeasureAll(ctx, lines, 1, time.Millisecond)
	require.ErrorIs(t, err, context.Canceled)
}

func TestCost(t *testing.T) {
	for _, c := range []struct {
		cost   Cost
		p      int
		serial float64
	}{
		{Cost{Alone: 100, Contended: 50}, 2, 0},    // not shared
		{Cost{Alone: 100, Contended: 100}, 2, 100}, // one at a time
		{Cost{Alone: 100, Contended: 75}, 2, 50},
		{Cost{Alone: 100, Contended: 400}, 2, 100}, // more is coherence
		{Cost{Alone: 100, Contended: 30}, 2, 0},
		{Cost{Alone: 100, Contended: 25}, 4, 0},
		{Cost{Alone: 100, Contended: 100}, 4, 100},
		{Cost{Alone: 100, Contended: 100}, 1, 0}, // who knows
		{Cost{}, 2, 0},
	} {
		require.InDelta(t, c.serial, c.cost.Serial(c.p), 1e-9, c)
	}
	require.InDelta(t, 1e9/(50*0.25), Cost{Alone: 100, Contended: 50}.Cap(0.25), 1e-3)
	require.Zero(t, Cost{Alone: 100, Contended: 50}.Cap(0))
}

func TestSerialPart(t *testing.T) {
	lines := []Line{
		{Fast: perRead, Queue: perTurn},
		{Fast: never, Queue: perRead},
	}
	costs := []Cost{{Alone: 100, Contended: 100}, {Alone: 200, Contended: 150}} // 100 and 100 serial
	require.InDelta(t, 100.0/32/1000, SerialPart(lines, costs, true, 32, 1000, 2), 1e-12)
	require.InDelta(t, (100.0/16+100.0/32)/1000, SerialPart(lines, costs, false, 32, 1000, 2), 1e-12)
	require.Equal(t, 1.0, SerialPart(lines, costs, false, 1, 1, 2))
	require.Zero(t, SerialPart(lines, costs, false, 1, 0, 2))
}
