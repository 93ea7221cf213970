package scaling

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

var workers = []int{1, 2, 3, 4, 6, 8, 12, 16}

func pointsOf(m Model, counts ...int) (p []Point) {
	for _, n := range counts {
		p = append(p, Point{n, m.Rate(n)})
	}
	return p
}

// TestFit: what was put in is found again, from three numbers of workers on.
func TestFit(t *testing.T) {
	for _, want := range []Model{
		{1e6, 0, 0}, {1e6, 0.05, 0}, {1e6, 0, 0.002}, {5e5, 0.02, 0.001}, {3e6, 0.3, 0.01},
	} {
		for k := 3; k <= len(workers); k++ {
			m, err := Fit(pointsOf(want, workers[:k]...))
			require.NoError(t, err)
			require.InDelta(t, want.X1, m.X1, 1)
			require.InDelta(t, want.Sigma, m.Sigma, 1e-9)
			require.InDelta(t, want.Kappa, m.Kappa, 1e-9)
		}
		f, err := FitTwo(want.Rate(1), want.Rate(2), want.Sigma)
		require.NoError(t, err)
		require.InDelta(t, want.Kappa, f.Kappa, 1e-9)
		require.InDelta(t, want.Sigma+2*want.Kappa, f.Loss, 1e-9)
		for _, n := range workers {
			require.InEpsilon(t, want.Rate(n), f.Rate(n), 1e-6)
		}
	}
}

// TestFitNoise: rates that are wrong by up to 2 % give a model that says with 16 workers what
// the true one says, within 15 %, and never one with a negative part.
func TestFitNoise(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		want := Model{1e6, r.Float64() * 0.1, r.Float64() * 0.003}
		p := pointsOf(want, workers...)
		for i := range p {
			p[i].Rate *= 1 + 0.04*(r.Float64()-0.5)
		}
		m, err := Fit(p)
		require.NoError(t, err)
		require.GreaterOrEqual(t, m.Sigma, 0.0)
		require.GreaterOrEqual(t, m.Kappa, 0.0)
		require.InEpsilon(t, want.Rate(16), m.Rate(16), 0.15, "%+v", want)
	}
}

// TestFitEdge: losses that no sigma and kappa of at least 0 give end on the edge.
func TestFitEdge(t *testing.T) {
	// Better than linear.
	m, err := Fit([]Point{{1, 100}, {2, 210}, {4, 430}})
	require.NoError(t, err)
	require.Equal(t, Model{X1: 100}, m)
	// It gets better with more: no kappa.
	m, err = Fit([]Point{{1, 100}, {2, 150}, {4, 400}})
	require.NoError(t, err)
	require.Zero(t, m.Kappa)
	require.Positive(t, m.Sigma)
	// It gets worse faster than by kappa alone: no sigma.
	m, err = Fit([]Point{{1, 100}, {2, 200}, {4, 40}})
	require.NoError(t, err)
	require.Zero(t, m.Sigma)
	require.Positive(t, m.Kappa)
	// The same number twice is one number.
	m, err = Fit([]Point{{1, 100}, {2, 180}, {2, 180}})
	require.NoError(t, err)
	require.InDelta(t, 180, m.Rate(2), 1e-6)
}

func TestFitTwoDegenerate(t *testing.T) {
	f, err := FitTwo(100, 0, 0.03) // one processor
	require.NoError(t, err)
	require.Equal(t, Model{100, 0.03, 0}, f.Model)
	require.True(t, math.IsNaN(f.Loss))
	require.Contains(t, f.How, "nothing is known of kappa")

	f, err = FitTwo(100, 210, 0.03) // better than linear
	require.NoError(t, err)
	require.Equal(t, Model{100, 0.03, 0}, f.Model)
	require.Contains(t, f.How, "less than the serial part")
	require.Negative(t, f.Loss)

	f, err = FitTwo(100, 80, 0.03) // worse than one
	require.NoError(t, err)
	require.Contains(t, f.How, "no more than one")
	require.InDelta(t, 80, f.Rate(2), 1e-9)
	require.Less(t, f.Rate(8), f.Rate(2))
	require.Less(t, f.Peak(), 2.0)

	f, err = FitTwo(100, 190, 7) // a serial part that cannot be
	require.NoError(t, err)
	require.Equal(t, 1.0, f.Sigma)

	_, err = FitTwo(0, 100, 0)
	require.ErrorIs(t, err, ErrNoOne)
	for _, x := range [][2]float64{{-1, 2}, {math.NaN(), 2}, {1, math.NaN()}, {1, -1}, {1, math.Inf(1)}} {
		_, err = FitTwo(x[0], x[1], 0)
		require.ErrorIs(t, err, ErrRate, x)
	}
	_, err = Fit([]Point{{2, 1}, {3, 2}})
	require.ErrorIs(t, err, ErrNoOne)
	_, err = Fit([]Point{{1, 1}, {2, 2}})
	require.ErrorContains(t, err, "1 numbers of workers beside 1")
	_, err = Fit([]Point{{1, 1}, {2, 0}, {3, 2}})
	require.ErrorIs(t, err, ErrRate)
}

// TestExtremes: both say the same of two workers as the fit, which lies between them.
func TestExtremes(t *testing.T) {
	f, err := FitTwo(100, 185, 0.02)
	require.NoError(t, err)
	serial, coherence := f.Extremes()
	require.InDelta(t, 185, serial.Rate(2), 1e-9)
	require.InDelta(t, 185, coherence.Rate(2), 1e-9)
	for n := 3; n <= 64; n++ {
		require.Greater(t, serial.Rate(n), f.Rate(n))
		require.Less(t, coherence.Rate(n), f.Rate(n))
	}
}

func TestPeak(t *testing.T) {
	require.Equal(t, math.Inf(1), Model{1, 0.1, 0}.Peak())
	require.Equal(t, 1.0, Model{1, 1, 0}.Peak())
	m := Model{1, 0.1, 0.001}
	require.Equal(t, 30.0, math.Round(m.Peak()))
	require.Less(t, m.Rate(50), m.Rate(30))
	require.Less(t, m.Rate(20), m.Rate(30))
}

func TestMedian(t *testing.T) {
	check := func(want [3]float64, values ...float64) {
		t.Helper()
		m, low, high := Median(values)
		require.Equal(t, want, [3]float64{m, low, high})
	}
	check([3]float64{0, 0, 0})
	check([3]float64{7, 7, 7}, 7)
	check([3]float64{2, 1, 3}, 3, 1, 2)
	check([3]float64{3, 1, 5}, 5, 4, 3, 2, 1)                     // 94 %
	check([3]float64{4.5, 2, 7}, 8, 7, 6, 5, 4, 3, 2, 1)          // 93 %
	check([3]float64{6, 3, 9}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) // 93 %
}
