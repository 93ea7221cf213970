package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/scaling"
	"github.com/stretchr/testify/require"
)

var quickWorkers = []string{"workers", "-rounds", "1", "-seconds", "0.1", "-connections", "4", "-window", "4"}

// TestWorkers: what there is a processor for is measured, the rest is predicted.
func TestWorkers(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	var stdout, stderr bytes.Buffer
	require.Equal(t, command.ExitOK, run(quickWorkers, &stdout, &stderr), "%s%s", &stdout, &stderr)
	commandtest.Wants(t, stdout.String(), "kernel: ", "async-fast\n", "async-queue\n", "predicted/s", "all serial",
		"law: sigma ", "Throttle.mu: taken and given back", "window 4")
	require.Equal(t, all, runtime.GOMAXPROCS(0))

	stdout.Reset()
	require.Equal(t, command.ExitOK, run(append(quickWorkers, "-json", "-most", "1"), &stdout, &stderr), &stderr)
	var r workersReport
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
	require.Len(t, r.Paths, 2)
	require.Len(t, r.Lines, len(scaling.Lines()))
	for _, p := range r.Paths {
		require.Len(t, p.Measured, 1)
		require.Positive(t, p.Measured[0].Rate)
		require.Nil(t, p.Apart)
		require.Nil(t, p.Loss)
		require.Zero(t, p.Law.Kappa)
		require.Contains(t, p.How, "nothing is known of kappa")
		require.GreaterOrEqual(t, len(p.Predicted), len(counts))
		require.InEpsilon(t, p.Measured[0].Rate, p.Predicted[0].Rate, 1e-9)
	}
	require.NotEmpty(t, r.Paths[1].Caps)
}

// TestWorkersInterrupted: before there is a rate of one worker there is nothing to print;
// later it is printed, and what is missing is said.
func TestWorkersInterrupted(t *testing.T) {
	code, stdout, stderr := commandtest.Interrupt(t, syscall.SIGTERM, " rounds: about ",
		"workers", "-rounds", "1000", "-seconds", "100")
	require.Equal(t, command.ExitSIGTERM, code, "%s%s", stdout, stderr)
	require.Contains(t, stderr, "interrupted by SIGTERM")
	require.Empty(t, stdout)

	r := reportOf(t, scaling.Model{X1: 1e6}, 2, 1)
	r.Partial = "interrupted"
	var out bytes.Buffer
	require.NoError(t, r.write(&out))
	commandtest.Wants(t, out.String(), "PARTIAL: interrupted\n", "2        not measured ")
}

// slicesOf is a trial with so many messages a second, in slices that had those processors.
func slicesOf(n int, rate, had, others float64) trial {
	t := trial{Workers: n, Others: others, Calls: 0.25, path: paths[0]}
	for range 20 {
		t.Slices = append(t.Slices, scaling.Slice{Seconds: 1, CPU: had, Ops: rate})
	}
	return t
}

// TestSumUp: rounds in which others had the processors do not count, or only by their CPU
// time; rounds that waited for themselves do.
func TestSumUp(t *testing.T) {
	full := func(rate float64) trial { return slicesOf(2, rate, 1.95, 0.5) }
	robbed := slicesOf(2, 10, 0.5, 1.5)
	m, rates := sumUp(2, []trial{full(100), robbed, full(120), full(110), robbed})
	require.Equal(t, []float64{100, 120, 110}, rates)
	require.Equal(t, 110.0, m.Rate)
	require.Equal(t, [2]float64{100, 120}, m.Bounds)
	require.Equal(t, 2, m.Disturbed)
	require.Zero(t, m.Scaled)
	require.InDelta(t, 1.95, m.Had, 1e-9)
	require.InDelta(t, 1.95/110*1e6, m.CPU, 1e-6)

	// Too few: the others count, by what they would do with two processors.
	m, rates = sumUp(2, []trial{full(100), robbed, robbed})
	require.Equal(t, []float64{100, 40, 40}, rates)
	require.Equal(t, 2, m.Scaled)
	require.Zero(t, m.Disturbed)

	// It has waited, for nobody else used the machine.
	m, rates = sumUp(2, []trial{slicesOf(2, 50, 1.2, 0.01)})
	require.Equal(t, []float64{50}, rates)
	require.Zero(t, m.Scaled)
	require.InDelta(t, 1.2, m.Had, 1e-9)
}

// reportOf is a report of trials that scale by the law.
func reportOf(t *testing.T, law scaling.Model, cpus int, workers ...int) *workersReport {
	lines := scaling.Lines()
	costs := make([]scaling.Cost, len(lines))
	for i := range costs {
		costs[i] = scaling.Cost{Alone: 100, Contended: 100, Had: 2}
	}
	var all []trial
	for _, p := range paths {
		for _, n := range workers {
			for _, off := range []float64{0.98, 1, 1.02} {
				x := slicesOf(n, law.Rate(n)*off, float64(n), 0.5)
				x.path = p
				all = append(all, x)
			}
		}
	}
	r := &workersReport{Environment: report.Environment{Kernel: "6.1"}, CPUs: cpus, Window: 64, Rounds: 3}
	require.NoError(t, r.fill(lines, costs, workers, all))
	return r
}

// TestPrediction: from one and two workers, what a machine with more of them would measure
// is predicted, if the serial part is what it is; from more, it need not be known.
func TestPrediction(t *testing.T) {
	law := scaling.Model{X1: 1e6, Sigma: 0.02, Kappa: 0.001}
	r := reportOf(t, law, 8, 1, 2, 4, 8)
	for _, p := range r.Paths {
		require.InEpsilon(t, law.Rate(1), p.Measured[0].Rate, 1e-9)
		require.InDelta(t, 16, p.PerRead, 1e-9) // four calls for each: 0.25 a message
		require.InDelta(t, law.Sigma+2*law.Kappa, *p.Loss, 1e-9)
		require.Less(t, p.LossBounds[0], *p.Loss)
		require.Greater(t, p.LossBounds[1], *p.Loss)
		require.InDelta(t, law.Sigma, p.ToAll.Sigma, 1e-9)
		require.InDelta(t, law.Kappa, p.ToAll.Kappa, 1e-9)
		for _, x := range p.Predicted {
			require.InEpsilon(t, law.Rate(x.Workers), x.ToAll, 1e-6)
			require.LessOrEqual(t, x.Bounds[0], x.Rate)
			require.GreaterOrEqual(t, x.Bounds[1], x.Rate)
			require.LessOrEqual(t, x.AllCoherence, x.Rate*(1+1e-9))
			require.GreaterOrEqual(t, x.AllSerial, x.Rate*(1-1e-9))
			require.GreaterOrEqual(t, x.AStep, x.AllSerial*(1-1e-9))
		}
	}
	var out bytes.Buffer
	require.NoError(t, r.write(&out))
	commandtest.Wants(t, out.String(), "fitted to all: sigma 0.0200, kappa 0.00100",
		"not measurable here: 8 processors", "two workers lose 2.2 % ")

	// What JSON cannot say is not there.
	one := reportOf(t, law, 1, 1)
	require.Nil(t, one.Paths[0].Loss)
	_, err := json.Marshal(one)
	require.NoError(t, err)
	out.Reset()
	require.NoError(t, one.write(&out))
	commandtest.Wants(t, out.String(), "not measurable here: 1 processor ", "nothing is known of kappa")

	// Nothing was measured.
	err = (&workersReport{}).fill(nil, nil, []int{1}, nil)
	require.ErrorIs(t, err, scaling.ErrNoOne)
}

func TestSI(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 12.34: "12.3", 1234: "1.23 k", 1.6e6: "1.6 M"} {
		require.Equal(t, want, si(x))
	}
	require.Empty(t, peak(scaling.Model{Sigma: 0.1}))
	require.Equal(t, ", most with 10 workers", peak(scaling.Model{Kappa: 0.01}))
}
