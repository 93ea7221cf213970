package workload

import (
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
)

// rowOf sums up rounds of c in s.
func rowOf(c *Contestant, s Scenario, rounds []round) report.Row {
	r := report.Row{
		Scenario: s.Name, Contestant: c.Name, Connections: s.Connections, Size: s.Size, Window: s.Window,
		Messengers: s.Options.Messengers, Workers: s.Options.Workers, DrainWidth: s.Options.DrainWidth,
		Syscalls: -1, CtxSwitches: -1, Allocs: -1,
	}
	var good []round
	for _, x := range rounds {
		switch x.err {
		case nil:
			good = append(good, x)
		case errSkipped:
			r.Skipped = c.skips(s)
		case errInterrupted:
			r.Partial = true
		default:
			r.Failed = x.err.Error()
		}
	}
	r.Rounds = len(good)
	if len(good) == 0 {
		return r
	}
	of := func(f func(x *round) float64) float64 { return median(each(good, f)) }
	r.RSS = of(func(x *round) float64 { return x.rss })
	r.PeakRSS = of(func(x *round) float64 { return float64(x.server.PeakRSS) })
	r.Goroutines = int(of(func(x *round) float64 { return float64(x.server.Goroutines) }))
	r.Threads = int(of(func(x *round) float64 { return float64(x.server.Threads) }))
	values := each(good, func(x *round) float64 { return x.value(s) })
	if m := median(values); m > 0 {
		r.Spread = (slices.Max(values) - slices.Min(values)) / m
	}
	if s.idle() {
		return r
	}
	r.Msgs = of(func(x *round) float64 { return float64(x.Msgs) / x.Seconds })
	r.MB = r.Msgs * float64(s.Size) / 1e6
	r.P50 = of(func(x *round) float64 { return x.P50 })
	r.P99 = of(func(x *round) float64 { return x.P99 })
	r.P999 = of(func(x *round) float64 { return x.P999 })
	cpu := func(d time.Duration, x *round) float64 {
		return float64(d) / float64(time.Microsecond) / x.total()
	}
	r.CPU = of(func(x *round) float64 { return cpu(x.server.CPU+x.client.CPU, x) })
	r.ServerCPU = of(func(x *round) float64 { return cpu(x.server.CPU, x) })
	r.CtxSwitches = of(func(x *round) float64 {
		return float64(x.server.CtxSwitches+x.client.CtxSwitches) / x.total()
	})
	r.Allocs = of(func(x *round) float64 { return float64(x.server.Allocs+x.client.Allocs) / x.total() })
	if counted := slices.DeleteFunc(slices.Clone(good),
		func(x round) bool { return x.syscalls < 0 }); len(counted) > 0 {
		r.Syscalls = median(each(counted, func(x *round) float64 { return x.syscalls }))
	}
	r.Offered = of(func(x *round) float64 { return x.rate })
	faults(&r, good)
	return r
}

// faults sets what was lost in the worst round, so that one lost message is not
// hidden by rounds without.
func faults(r *report.Row, good []round) {
	for _, x := range good {
		r.Lost, r.Duplicated = max(r.Lost, x.Lost), max(r.Duplicated, x.Duplicated)
	}
	r.Drain = median(each(good, func(x *round) float64 { return x.Drain }))
	if slices.ContainsFunc(good, func(x round) bool { return x.Drain < 0 }) {
		r.Drain = -1
	}
}

// ratio is the median over the rounds in which both succeeded.
func ratio(s Scenario, rounds, ref []round) float64 {
	var out []float64
	for i := range rounds {
		if rounds[i].err == nil && ref[i].err == nil && ref[i].value(s) > 0 {
			out = append(out, rounds[i].value(s)/ref[i].value(s))
		}
	}
	return median(out)
}

func each(rounds []round, f func(x *round) float64) []float64 {
	out := make([]float64, len(rounds))
	for i := range rounds {
		out[i] = f(&rounds[i])
	}
	return out
}

// median of an even number is the mean of the two in the middle; 0 of none.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
