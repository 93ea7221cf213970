package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// Figure is one plot of the page. SVG is empty where nothing was measured.
type Figure struct {
	Title   string
	Caption string
	SVG     template.HTML
}

// Figures draws all plots.
func Figures(rows []Row, reference string) (out []Figure, err error) {
	for _, f := range []func([]Row) (Figure, error){
		memoryFigure,
		func(rows []Row) (Figure, error) {
			return loadFigure(rows, "p50", func(r *Row) float64 { return r.P50 })
		},
		func(rows []Row) (Figure, error) {
			return loadFigure(rows, "p99", func(r *Row) float64 { return r.P99 })
		},
	} {
		x, err := f(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	sizes, err := sizeFigures(rows)
	if err != nil {
		return nil, err
	}
	out = append(out, sizes...)
	for _, f := range []func([]Row) (Figure, error){
		priorityFigure, cpuFigure, fanOutFigure,
		func(rows []Row) (Figure, error) { return ratioFigure(rows, reference) },
	} {
		x, err := f(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// seriesOf makes a series for each contestant of the rows that are selected.
func seriesOf(rows []Row, in func(r *Row) bool, x, y func(r *Row) float64) (out []series, xs []float64) {
	for _, name := range Contestants(rows) {
		s := series{name: name}
		for i := range rows {
			r := &rows[i]
			if r.Contestant == name && r.Rounds > 0 && in(r) && x(r) > 0 && y(r) > 0 {
				s.points = append(s.points, plotter.XY{X: x(r), Y: y(r)})
				xs = append(xs, x(r))
			}
		}
		if len(s.points) > 0 {
			slices.SortFunc(s.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
			out = append(out, s)
		}
	}
	slices.Sort(xs)
	return out, slices.Compact(xs)
}

func ticks(xs []float64, label func(x float64) string) []plot.Tick {
	out := make([]plot.Tick, len(xs))
	for i, x := range xs {
		out[i] = plot.Tick{Value: x, Label: label(x)}
	}
	return out
}

func connections(r *Row) float64 { return float64(r.Connections) }

// memoryFigure is memory against connections, or bars if there is one number of them.
func memoryFigure(rows []Row) (f Figure, err error) {
	f = Figure{Title: "Memory against connections",
		Caption: "RSS of the server for each idle connection, KiB; less is better."}
	all, xs := seriesOf(rows, idle, connections, memory.of)
	switch len(xs) {
	case 0:
	case 1:
		f.Caption = fmt.Sprintf("RSS of the server for each of %s idle connections, KiB; less is better.", count(xs[0]))
		f.SVG, err = barChart("KiB per connection", barsOf(rows, firstScenario(rows, idle), memory.of), nil)
	default:
		f.SVG, err = lines("idle connections", "KiB per connection", all,
			ticks(xs, func(x float64) string { return count(x) }))
	}
	return f, err
}

func firstScenario(rows []Row, in func(r *Row) bool) string {
	for i := range rows {
		if in(&rows[i]) && rows[i].Rounds > 0 {
			return rows[i].Scenario
		}
	}
	return ""
}

// barsOf makes a bar for each contestant of a scenario.
func barsOf(rows []Row, scenario string, of func(r *Row) float64) (out []bar) {
	for i, name := range Contestants(rows) {
		b := bar{name: name, color: lookOf(name, i).color, values: []float64{0}, notes: []string{"not measured"}}
		if r := find(rows, scenario, name); r != nil {
			b.values[0], b.notes[0] = valueOf(r, of)
		}
		out = append(out, b)
	}
	return out
}

func valueOf(r *Row, of func(r *Row) float64) (v float64, note string) {
	switch {
	case r.Rounds > 0 && of(r) > 0:
		return of(r), ""
	case r.Rounds > 0:
		return 0, "0"
	case r.Skipped != "" && r.Failed == "":
		return 0, "skipped"
	case r.Partial && r.Failed == "":
		return 0, "not measured"
	}
	return 0, "failed"
}

// loadFigure is a percentile of latency against the offered load.
func loadFigure(rows []Row, name string, of func(r *Row) float64) (f Figure, err error) {
	f = Figure{
		Title: "Latency against offered load, " + name,
		Caption: "From the time a request was meant to be sent, so that a stall counts for all that should have " +
			"been sent in it; µs, less is better.",
	}
	all, _ := seriesOf(rows, func(r *Row) bool { return group(r.Scenario) == "open" },
		func(r *Row) float64 { return r.Offered }, of)
	if len(all) > 0 {
		f.SVG, err = lines("offered load, messages/s", name+", µs", all, nil)
	}
	return f, err
}

// sizeFigures are throughput against size, for each number of connections with more
// than one size, or for the one there is. Of several windows the best counts.
func sizeFigures(rows []Row) (out []Figure, err error) {
	var byConns []int
	for i := range rows {
		if pipelined(&rows[i]) && rows[i].Rounds > 0 && !slices.Contains(byConns, rows[i].Connections) {
			byConns = append(byConns, rows[i].Connections)
		}
	}
	slices.Sort(byConns)
	f := Figure{Title: "Throughput against size",
		Caption: "Payload of one direction, both are as much; more is better."}
	for _, n := range byConns {
		all, xs := seriesOf(rows, func(r *Row) bool { return pipelined(r) && r.Connections == n },
			func(r *Row) float64 { return float64(r.Size) }, func(r *Row) float64 { return r.MB })
		if len(xs) < 2 && len(byConns) > 1 {
			continue
		}
		for i := range all {
			all[i].points = best(all[i].points)
		}
		g := f
		g.Title += fmt.Sprintf(", %s connection%s", count(float64(n)), plural(n))
		if g.SVG, err = lines("size of a payload", "MB/s", all,
			ticks(xs, func(x float64) string { return SizeName(int(x)) })); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	if out == nil {
		out = append(out, f)
	}
	return out, nil
}

// best keeps of points with the same x, which follow each other, the highest.
func best(points plotter.XYs) (out plotter.XYs) {
	for _, p := range points {
		if n := len(out); n > 0 && out[n-1].X == p.X {
			out[n-1].Y = max(out[n-1].Y, p.Y)
			continue
		}
		out = append(out, p)
	}
	return out
}

// priorityFigure is the trickle's p99 with priorities off and on.
func priorityFigure(rows []Row) (f Figure, err error) {
	f = Figure{
		Title: "What priorities do",
		Caption: "p99 of a trickle of messages while bulk traffic fills the link, µs: at the same priority, " +
			"and at a high one; less is better.",
	}
	p99 := func(r *Row) float64 { return r.P99 }
	off, on := barsOf(rows, "priority/off", p99), barsOf(rows, "priority/on", p99)
	if firstScenario(rows, func(r *Row) bool { return group(r.Scenario) == "priority" }) == "" {
		return f, nil
	}
	for i := range off {
		off[i].values, off[i].notes = append(off[i].values, on[i].values...), append(off[i].notes, on[i].notes...)
	}
	f.SVG, err = barChart("p99 of the trickle, µs", off, []string{"same priority", "high priority"})
	return f, err
}

// cpuFigure is CPU per message where small messages are pipelined: at 16 connections,
// or the number next to it.
func cpuFigure(rows []Row) (f Figure, err error) {
	f = Figure{Title: "CPU per message"}
	of64 := func(r *Row) bool { return pipelined(r) && r.Size == 64 }
	scenario := firstScenario(rows, func(r *Row) bool { return of64(r) && r.Connections == 16 })
	if scenario == "" {
		scenario = firstScenario(rows, of64)
	}
	if scenario == "" {
		scenario = firstScenario(rows, func(r *Row) bool { return r.CPU > 0 })
	}
	if scenario == "" {
		return f, nil
	}
	f.Caption = fmt.Sprintf(
		"User and system time of both processes for a request and its reply in %s, µs; less is better.", scenario)
	f.SVG, err = barChart("CPU µs per message", barsOf(rows, scenario, cpu.of), nil)
	return f, err
}

// fanOutFigure is CPU per message where one message is sent over many connections, with
// acknowledgements and without.
func fanOutFigure(rows []Row) (f Figure, err error) {
	f = Figure{Title: "One message over many connections"}
	i := slices.IndexFunc(rows, func(r Row) bool { return group(r.Scenario) == "fan-out" && r.Rounds > 0 })
	if i < 0 {
		return f, nil
	}
	f.Caption = fmt.Sprintf(
		"User and system time of both processes for each of the %s that a message of %s reaches, µs: "+
			"messengers without acknowledgements (lossy), and with them; less is better.",
		count(float64(rows[i].Connections)), SizeName(rows[i].Size))
	lossy, lossless := barsOf(rows, "fan-out/lossy", cpu.of), barsOf(rows, "fan-out/lossless", cpu.of)
	for i := range lossy {
		lossy[i].values = append(lossy[i].values, lossless[i].values...)
		lossy[i].notes = append(lossy[i].notes, lossless[i].notes...)
	}
	f.SVG, err = barChart("CPU µs per message", lossy, []string{"lossy", "lossless"})
	return f, err
}
