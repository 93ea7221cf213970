package scaling

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUndisturbed: what others took away does not count, as long as there is enough else.
func TestUndisturbed(t *testing.T) {
	var s Slices
	for range 20 {
		s = append(s, Slice{1, 2, 100}, Slice{1, 1, 40}, Slice{1, 1.85, 90}, Slice{1, 2.5, 70})
	}
	out, had := s.Undisturbed(2)
	require.Len(t, out, 40)
	require.InDelta(t, 1.925, had, 1e-9)
	require.InDelta(t, 3.85/190, out.CPU(), 1e-9)
	median, _, _ := Median(out.Rates())
	require.Equal(t, 95.0, median)

	// With four processors none had them all: those count that had most.
	out, had = s.Undisturbed(4)
	require.Len(t, out, len(s)/10)
	require.InDelta(t, 2.5, had, 1e-9)

	require.True(t, s.Enough(2))
	require.False(t, s.Enough(4))
	require.False(t, s[:20].Enough(2))

	require.Equal(t, []float64{200, 160}, Slices{{1, 2, 100}, {1, 0, 0}, {1, 1, 40}}.Scaled(4))

	require.Equal(t, 3.0, Slices{{1, 1, 3}, {1, 1, 2}, {1, 1, 5}}.Rate())
	require.Equal(t, 2.0, Slices{{1, 1, 0}, {1, 1, 6}, {1, 1, 0}}.Rate())
	require.Zero(t, Slices(nil).Rate())

	out, had = s[:3].Undisturbed(4)
	require.Len(t, out, 3)
	require.InDelta(t, 4.85/3, had, 1e-9)
	out, had = Slices(nil).Undisturbed(1)
	require.Empty(t, out)
	require.Zero(t, had)
	require.Zero(t, out.CPU())
}

// TestMeter: nothing is counted twice or left out.
func TestMeter(t *testing.T) {
	n := int64(5)
	m := NewMeter(func() int64 { return n })
	for i := range 10 {
		n += int64(i)
		s := m.Slice()
		require.EqualValues(t, i, s.Ops)
		require.Positive(t, s.Seconds)
		require.GreaterOrEqual(t, s.CPU, 0.0)
	}
}
