package hist

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBuckets(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: 0, 0: 0, 1: 0, 1023: 0, 1024: 1, 2047: 1, 2048: 2, time.Millisecond: 10, time.Second: 20,
		math.MaxInt64: Buckets - 1,
	} {
		require.Equal(t, want, Bucket(d), "%v", d)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(9*time.Minute)).Draw(t, "d"))
		i := Bucket(d)
		require.Less(t, d, Limit(i))
		if i > 0 {
			require.GreaterOrEqual(t, d, Limit(i-1))
		}
	})
}

func TestEmpty(t *testing.T) {
	var h Durations
	require.Zero(t, h.Count())
	require.Zero(t, h.Mean())
	require.Zero(t, h.Quantile(0.5))
}

// TestAgainstAll: count, mean and quantiles are those of the durations themselves, as far as
// buckets can tell, also when they were counted in two histograms.
func TestAgainstAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 100).Draw(t, "durations")
		q := rapid.Float64Range(0.01, 1).Draw(t, "q")
		var a, b Durations
		var sum int64
		for i, d := range all {
			[]*Durations{&a, &b}[i%2].Add(time.Duration(d))
			sum += d
		}
		a.Merge(&b)
		require.EqualValues(t, len(all), a.Count())
		require.Equal(t, time.Duration(sum/int64(len(all))), a.Mean())
		below := 0
		limit := a.Quantile(q)
		for _, d := range all {
			if time.Duration(d) < limit {
				below++
			}
		}
		require.GreaterOrEqual(t, float64(below), math.Floor(q*float64(len(all))))
	})
}

func TestAddN(t *testing.T) {
	var a, b Durations
	a.AddN(5*time.Millisecond, 3)
	for range 3 {
		b.Add(5 * time.Millisecond)
	}
	require.Equal(t, b, a)
}
