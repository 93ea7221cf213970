package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ratioFigure is every contestant's ratio to the reference in every scenario where more
// is better.
func ratioFigure(rows []Row, reference string) (f Figure, err error) {
	f = Figure{Title: "Ratios",
		Caption: "Rate by that of " + reference + " in the same rounds; more is better. " +
			"Memory and latency are not in it."}
	var names []string
	o := Overview(rows)
	at := map[string]float64{}
	for _, s := range Scenarios(rows) {
		if rising(s) {
			names = append(names, s)
		}
	}
	points := make([]plotter.XYs, len(o.Columns))
	for i := range names {
		at[names[i]] = float64(len(names) - 1 - i)
	}
	n := 0
	for _, l := range o.Lines {
		y, ok := at[l.Scenario]
		if !ok {
			continue
		}
		for i, v := range l.Values {
			if v > 0 {
				points[i] = append(points[i], plotter.XY{X: v, Y: y})
				n++
			}
		}
	}
	if n == 0 {
		return f, nil
	}
	p := newPlot("ratio to "+reference, "")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = pale, pale
	p.Add(grid, vertical{1, gray})
	var l []entry
	for i, name := range o.Columns {
		if len(points[i]) == 0 {
			continue
		}
		s, err := plotter.NewScatter(points[i])
		if err != nil {
			return f, err
		}
		k := lookOf(name, i)
		s.Color, s.Radius, s.Shape = k.color, 3.5, k.point
		p.Add(s)
		l = append(l, entry{name, []plot.Thumbnailer{s}})
	}
	for i, j := 0, len(names)-1; i < j; i, j = i+1, j-1 {
		names[i], names[j] = names[j], names[i]
	}
	p.Y.Padding = 10 // another font may be wider than ours
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5
	widen(&p.X)
	f.SVG, err = paint(p, l, vg.Length(60+15*len(names)))
	return f, err
}

// vertical is a line across the plot at x.
type vertical struct {
	x     float64
	color color.Color
}

// Plot implements plot.Plotter.
func (v vertical) Plot(c draw.Canvas, p *plot.Plot) {
	toX, _ := p.Transforms(&c)
	if x := toX(v.x); c.ContainsX(x) {
		c.StrokeLine2(draw.LineStyle{Color: v.color, Width: 1}, x, c.Min.Y, x, c.Max.Y)
	}
}
