package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/scaling"
)

// workersReport is what msgrbench workers prints. A message is a request with its reply.
type workersReport struct {
	Environment report.Environment `json:"environment"`
	CPUs        int                `json:"cpus"`
	Connections int                `json:"connections"`
	Window      int                `json:"window"`
	Length      int                `json:"length"`
	Rounds      int                `json:"rounds"`
	Seconds     float64            `json:"seconds"`
	Partial     string             `json:"partial,omitempty"` // why not all was measured
	Lines       []lineReport       `json:"lines"`
	Paths       []pathReport       `json:"paths"`
}

// lineReport is something that workers share. Ns are for an operation of all goroutines
// together.
type lineReport struct {
	Name        string     `json:"name"`
	What        string     `json:"what"`
	Where       string     `json:"where"`
	AloneNs     float64    `json:"alone_ns"`
	Alone90     [2]float64 `json:"alone_interval"`
	ContendedNs float64    `json:"contended_ns"`
	Contended90 [2]float64 `json:"contended_interval"`
	Had         float64    `json:"had_processors"`
}

// pathReport is one way of dispatch.
type pathReport struct {
	Name string `json:"name"`
	// PerRead is how many messages a read brings with one worker, as far as that can be
	// counted, and Serial the part of a message's time in which it has a line to itself.
	PerRead  float64    `json:"messages_per_read"`
	Serial   float64    `json:"serial_part"`
	Measured []measured `json:"measured"`
	// Apart is two workers of which each has the other end of the other's connections.
	Apart      *measured     `json:"apart,omitempty"`
	Law        scaling.Model `json:"law"`
	How        string        `json:"how"`
	Loss       *float64      `json:"loss_of_two,omitempty"`
	LossBounds *[2]float64   `json:"loss_interval,omitempty"`
	Predicted  []predicted   `json:"predicted"`
	// ToAll is the law fitted to all that was measured, from three numbers of workers on.
	ToAll *scaling.Model `json:"fitted_to_all,omitempty"`
	Caps  []lineCap      `json:"caps"`
}

// measured is what so many workers carried.
type measured struct {
	Workers   int        `json:"workers"`
	Rate      float64    `json:"msgs_per_s"`
	Bounds    [2]float64 `json:"interval"`
	Had       float64    `json:"had_processors"`
	CPU       float64    `json:"cpu_us"`
	PerRead   float64    `json:"messages_per_read"` // 0: nobody counts that here
	Rounds    int        `json:"rounds"`            // that count
	Disturbed int        `json:"disturbed"`         // that do not, because others had the processors
	Scaled    int        `json:"scaled"`            // that count by their CPU time, for lack of others
}

// predicted is what so many workers would carry.
type predicted struct {
	Workers      int        `json:"workers"`
	Rate         float64    `json:"msgs_per_s"`
	Bounds       [2]float64 `json:"interval"`
	AllSerial    float64    `json:"all_serial"`
	AllCoherence float64    `json:"all_coherence"`
	AStep        float64    `json:"a_step"` // two workers lose it, and more no more than these
	ToAll        float64    `json:"fitted_to_all,omitempty"`
}

// lineCap is the rate at which a line is saturated.
type lineCap struct {
	Name       string  `json:"line"`
	PerMessage float64 `json:"operations_per_message"`
	Rate       float64 `json:"msgs_per_s"`
}

// perReadUnknown is what a read brings where nobody counts reads: few, so that what is
// shared for each read is not underrated.
const perReadUnknown = 16

// callsPerRead is how many system calls that read or write go with a read: both ends read a
// batch and write one.
const callsPerRead = 4

// fill makes the report of what was measured.
func (r *workersReport) fill(lines []scaling.Line, costs []scaling.Cost, workers []int, runs []trial) error {
	for i, l := range lines {
		c := costs[i]
		r.Lines = append(r.Lines, lineReport{
			l.Name, l.What, l.Where, c.Alone, [2]float64{c.AloneLow, c.AloneHigh},
			c.Contended, [2]float64{c.ContendedLow, c.ContendedHigh}, c.Had,
		})
	}
	for _, p := range paths {
		x := pathReport{Name: p.name, PerRead: perReadUnknown}
		of := func(n int, apart bool) (out []trial) {
			for _, r := range runs {
				if r.path == p && r.Workers == n && r.apart == apart {
					out = append(out, r)
				}
			}
			return out
		}
		var points []scaling.Point
		rates := map[int][]float64{}
		for _, n := range workers {
			all := of(n, false)
			if len(all) == 0 {
				continue
			}
			m, rounds := sumUp(n, all)
			rates[n] = rounds
			x.Measured = append(x.Measured, m)
			points = append(points, scaling.Point{Workers: n, Rate: m.Rate})
			if n == 1 {
				if m.PerRead > 0 {
					x.PerRead = min(max(1, m.PerRead), float64(r.Window))
				}
				x.Serial = scaling.SerialPart(lines, costs, p.fast, x.PerRead, m.CPU*1e3, r.CPUs)
			}
		}
		if all := of(2, true); len(all) > 0 {
			m, _ := sumUp(2, all)
			x.Apart = &m
		}
		if err := x.predict(points, rates, r.CPUs); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		for i := range lines {
			if per := lines[i].PerMessage(p.fast, x.PerRead); per > 0 {
				x.Caps = append(x.Caps, lineCap{lines[i].Name, per, costs[i].Cap(per)})
			}
		}
		r.Paths = append(r.Paths, x)
	}
	return nil
}

const (
	// hadEnough is how much of their processors slices have that count as they are, and
	// othersFew how much of one others have on a machine that is quiet.
	hadEnough, othersFew = 0.9, 0.05
	// roundsFew is how many rounds that had their processors are enough to leave out the others.
	roundsFew = 3
)

// sumUp is what the rounds of so many workers come to, and the rates of those that count.
// Rounds that never had all their processors are left out, if others did.
func sumUp(n int, all []trial) (m measured, rates []float64) {
	m.Workers = n
	var full, scaled []float64
	var kept, rest scaling.Slices
	for _, x := range all {
		s, had := x.Slices.Undisturbed(n)
		quiet := x.Others >= 0 && x.Others < othersFew
		if quiet && had < hadEnough*float64(n) {
			s = x.Slices // it has waited
		}
		if quiet || had >= hadEnough*float64(n) {
			full, kept = append(full, s.Rate()), append(kept, s...)
		} else if rate, _, _ := scaling.Median(s.Scaled(n)); rate > 0 {
			scaled, rest = append(scaled, rate), append(rest, s...)
		}
	}
	if len(full) >= min(roundsFew, len(all)) {
		rates, m.Disturbed = full, len(all)-len(full)
	} else {
		rates, kept, m.Scaled = append(full, scaled...), append(kept, rest...), len(scaled)
	}
	m.Rounds = len(rates)
	m.Rate, m.Bounds[0], m.Bounds[1] = scaling.Median(rates)
	m.CPU = kept.CPU() * 1e6
	if calls := callsOf(all); calls > 0 {
		m.PerRead = callsPerRead / calls
	}
	var sec float64
	for _, s := range kept {
		sec += s.Seconds
	}
	if sec > 0 {
		m.Had = kept.Used() / sec
	}
	return m, rates
}

func callsOf(all []trial) float64 {
	calls := make([]float64, len(all))
	for i := range all {
		calls[i] = all[i].Calls
	}
	median, _, _ := scaling.Median(calls)
	return median
}

// predict fits the law to one and two workers, and to all if there are more.
func (x *pathReport) predict(points []scaling.Point, rates map[int][]float64, cpus int) error {
	one, oneLow, oneHigh := scaling.Median(rates[1])
	two, twoLow, twoHigh := scaling.Median(rates[2])
	f, err := scaling.FitTwo(one, two, x.Serial)
	if err != nil {
		return err
	}
	x.Law, x.How = f.Model, f.How
	low, high := f.Model, f.Model
	if two > 0 {
		x.Loss = &f.Loss
		// The worst and the best that the intervals of both rates allow.
		worst, err := scaling.FitTwo(oneHigh, twoLow, x.Serial)
		if err != nil {
			return err
		}
		best, err := scaling.FitTwo(oneLow, twoHigh, x.Serial)
		if err != nil {
			return err
		}
		x.LossBounds = &[2]float64{best.Loss, worst.Loss}
		low, high = worst.Model, best.Model
	}
	low.X1, high.X1 = oneLow, oneHigh
	serial, coherence := f.Extremes()
	if len(points) >= 3 {
		m, err := scaling.Fit(points)
		if err != nil {
			return err
		}
		x.ToAll = &m
	}
	for _, n := range numbers(cpus) {
		p := predicted{
			Workers: n, Rate: f.Rate(n), Bounds: [2]float64{low.Rate(n), high.Rate(n)},
			AllSerial: serial.Rate(n), AllCoherence: coherence.Rate(n), AStep: one,
		}
		if n > 1 {
			p.AStep = float64(n) * f.Rate(2) / 2
		}
		if x.ToAll != nil {
			p.ToAll = x.ToAll.Rate(n)
		}
		x.Predicted = append(x.Predicted, p)
	}
	return nil
}

// numbers are those of workers that are predicted, with what the machine has.
func numbers(cpus int) []int {
	all := append(slices.Clone(counts), cpus)
	slices.Sort(all)
	return slices.Compact(all)
}

// write writes the report for people.
func (r *workersReport) write(w io.Writer) error {
	if err := r.Environment.Write(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nBoth ends in one process, on the same workers and processors: %d connections, window %d, %d B, "+
		"%d rounds of %g s.\nA message is a request with its reply; intervals have the median with 90 %%.\n",
		r.Connections, r.Window, r.Length, r.Rounds, r.Seconds)
	if r.Partial != "" {
		fmt.Fprintf(w, "PARTIAL: %s\n", r.Partial)
	}
	for i := range r.Paths {
		if err := r.Paths[i].write(w, r.CPUs); err != nil {
			return err
		}
	}
	return r.writeLines(w)
}

func (x *pathReport) write(w io.Writer, cpus int) error {
	fmt.Fprintf(w, "\n%s\n", x.Name)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fitted := ""
	if x.ToAll != nil {
		fitted = "\tfitted to all"
	}
	fmt.Fprint(t, "workers\tmeasured/s\tinterval\thad\tCPU, us\ta read\t")
	fmt.Fprintln(t, "predicted/s\tinterval\ta step\tall serial\tall coherence"+fitted)
	for _, p := range x.Predicted {
		i := slices.IndexFunc(x.Measured, func(m measured) bool { return m.Workers == p.Workers })
		fmt.Fprintf(t, "%d\t", p.Workers)
		switch {
		case i >= 0:
			m := x.Measured[i]
			fmt.Fprintf(t, "%s\t%s to %s\t%.2f\t%.2f\t%.0f",
				si(m.Rate), si(m.Bounds[0]), si(m.Bounds[1]), m.Had, m.CPU, m.PerRead)
		case p.Workers > cpus:
			fmt.Fprintf(t, "not measurable here: %s\t\t\t\t", processors(cpus))
		default:
			fmt.Fprint(t, "not measured\t\t\t\t")
		}
		fmt.Fprintf(t, "\t%s\t%s to %s\t%s\t%s\t%s",
			si(p.Rate), si(p.Bounds[0]), si(p.Bounds[1]), si(p.AStep), si(p.AllSerial), si(p.AllCoherence))
		if x.ToAll != nil {
			fmt.Fprintf(t, "\t%s", si(p.ToAll))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "law: sigma %.4f, kappa %.5f%s; %s\n", x.Law.Sigma, x.Law.Kappa, peak(x.Law), x.How)
	if x.Loss != nil {
		fmt.Fprintf(w, "two workers lose %.1f %% (%.1f to %.1f); the serial part is %.2f %% at %.0f messages a read\n",
			100**x.Loss, 100*x.LossBounds[0], 100*x.LossBounds[1], 100*x.Serial, x.PerRead)
	}
	if x.ToAll != nil {
		fmt.Fprintf(w, "fitted to all: sigma %.4f, kappa %.5f%s\n", x.ToAll.Sigma, x.ToAll.Kappa, peak(*x.ToAll))
	}
	for _, c := range x.Caps {
		fmt.Fprintf(w, "cap: %s, %.3f a message, is saturated at %s/s\n", c.Name, c.PerMessage, si(c.Rate))
	}
	if m := x.Apart; m != nil {
		fmt.Fprintf(w, "apart: 2 workers carry %s/s (%s to %s), %.2f us of CPU, %.0f a read, had %.2f\n",
			si(m.Rate), si(m.Bounds[0]), si(m.Bounds[1]), m.CPU, m.PerRead, m.Had)
	}
	for _, m := range x.Measured {
		if m.Scaled > 0 {
			fmt.Fprintf(w, "%s had %.2f processors at best: others use them. The rate is scaled by CPU time",
				workersOf(m.Workers), m.Had)
			if m.Workers > 1 {
				fmt.Fprint(w, ", and says little of what workers cost each other")
			}
			fmt.Fprintln(w)
		}
		if m.Disturbed > 0 {
			fmt.Fprintf(w, "%s: %d of %d rounds never had all processors and do not count\n",
				workersOf(m.Workers), m.Disturbed, m.Disturbed+m.Rounds)
		}
	}
	return nil
}

func (r *workersReport) writeLines(w io.Writer) error {
	few := false
	fmt.Fprintf(w, "\nWhat workers share: ns an operation, with one goroutine, and of all together with %s\n",
		processors(r.CPUs))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "line\tone\tinterval\tall\tinterval\thad\twhat\twhere")
	for _, l := range r.Lines {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f to %.1f\t%.1f\t%.1f to %.1f\t%.2f\t%s\t%s\n",
			l.Name, l.AloneNs, l.Alone90[0], l.Alone90[1],
			l.ContendedNs, l.Contended90[0], l.Contended90[1], l.Had, l.What, l.Where)
		if l.Had < hadEnough*float64(r.CPUs) {
			few = true
		}
	}
	if err := t.Flush(); err != nil || !few {
		return err
	}
	_, err := fmt.Fprintf(w,
		"Where had is less than %.1f, others had the processors, or the goroutines slept: all may be too low.\n",
		hadEnough*float64(r.CPUs))
	return err
}

func processors(n int) string {
	if n == 1 {
		return "1 processor"
	}
	return fmt.Sprintf("%d processors", n)
}

func workersOf(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}

func peak(m scaling.Model) string {
	if p := m.Peak(); !math.IsInf(p, 0) {
		return fmt.Sprintf(", most with %.0f workers", p)
	}
	return ""
}

// si is a rate with three digits.
func si(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.3g M", x/1e6)
	case x >= 1e3:
		return fmt.Sprintf("%.3g k", x/1e3)
	}
	return fmt.Sprintf("%.3g", x)
}
