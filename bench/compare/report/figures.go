package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// Figure is one plot of the page. SVG is empty where nothing was measured.
type Figure struct {
	Title   string
	Caption string
	SVG     template.HTML
}

// Figures draws the plots that Pictures has not. One of which nothing was measured is left
// out.
func Figures(rows []Row, reference string) (out []Figure, err error) {
	for _, f := range []func([]Row) (Figure, error){
		func(rows []Row) (Figure, error) {
			return loadFigure(rows, "p50", func(r *Row) float64 { return r.P50 })
		},
		priorityFigure, fanOutFigure, faultsFigure, cephFigure,
		func(rows []Row) (Figure, error) { return ratioFigure(rows, reference) },
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
	out = slices.Insert(out, 1, sizes...)
	return slices.DeleteFunc(out, func(f Figure) bool { return f.SVG == "" }), nil
}

// Labelled is the plot with its title for who does not see it.
func (f Figure) Labelled() template.HTML {
	label := `role="img" aria-label="` + template.HTMLEscapeString(f.Title) + `"`
	return template.HTML(strings.Replace(string(f.SVG), `role="img"`, label, 1)) //nolint:gosec // see inline
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

func firstScenario(rows []Row, in func(r *Row) bool) string {
	if r := firstRow(rows, in); r != nil {
		return r.Scenario
	}
	return ""
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
		if len(xs) < 2 {
			continue // a size by itself is in the tables, and mostly in the first picture
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
	p99 := func(r *Row) float64 { return r.P99 }
	m, keys := measured(rows, []string{"same priority", "high priority"},
		measure{"priority/off", p99}, measure{"priority/on", p99})
	f = Figure{Title: "What priorities do", Caption: "p99 of a trickle of messages while bulk traffic fills the " +
		"link, µs: " +
		strings.Join(keys, ", and ") + "; less is better."}
	f.SVG, err = barChart("p99 of the trickle, µs", barsOf(rows, m...), keys)
	return f, err
}

// fanOutFigure is CPU per message where one message is sent over many connections, with
// acknowledgements and without.
func fanOutFigure(rows []Row) (f Figure, err error) {
	f = Figure{Title: "One message over many connections"}
	r := firstRow(rows, func(r *Row) bool { return group(r.Scenario) == "fan-out" })
	if r == nil {
		return f, nil
	}
	m, keys := measured(rows, []string{"without acknowledgements", "with acknowledgements"},
		measure{"fan-out/lossy", cpu.of}, measure{"fan-out/lossless", cpu.of})
	f.Caption = fmt.Sprintf(
		"User and system time of both processes for each of the %s that a message of %s reaches, µs; messengers "+
			"%s; less is better.",
		count(float64(r.Connections)), SizeName(r.Size), strings.Join(keys, ", and "))
	f.SVG, err = barChart("CPU µs per message", barsOf(rows, m...), keys)
	return f, err
}

// faultsFigure is the time until all is answered after all connections were cut.
func faultsFigure(rows []Row) (f Figure, err error) {
	f = Figure{Title: "All connections cut at full load", Caption: "Time until all is answered that was sent " +
		"before, ms; less is better. Who lost something never comes to that."}
	bars := barsOf(rows, measure{firstScenario(rows, faulty), func(r *Row) float64 { return r.Drain }})
	for i := range bars {
		if r := find(rows, firstScenario(rows, faulty), bars[i].name); r.Rounds > 0 && r.Drain < 0 {
			bars[i].notes[0] = count(float64(r.Lost)) + " lost"
		}
	}
	f.SVG, err = barChart("ms", bars, nil)
	return f, err
}

// cephFigure is CPU in the exchange of Ceph's own messenger test.
func cephFigure(rows []Row) (f Figure, err error) {
	f = Figure{Title: "The exchange of Ceph's messenger test",
		Caption: "User and system time of both ends for a request and its reply, µs; less is better."}
	f.SVG, err = barChart("CPU µs per message", slices.DeleteFunc(barsOf(rows, measure{"ceph-perf", cpu.of}),
		func(b bar) bool { return b.notes[0] == "skipped" }), nil)
	return f, err
}
