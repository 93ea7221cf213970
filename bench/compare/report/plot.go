package report

import (
	"bytes"
	"html/template"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// series is one contestant's points, in order of x.
type series struct {
	name   string
	points plotter.XYs
}

// Sizes of plots, in points: texts are still read where a page is 390 pixels wide.
const (
	plotWidth     = vg.Length(420)
	plotHeight    = vg.Length(250) // without the legend
	legendColumns = 3
	legendLine    = vg.Length(15)
)

// entry is one name in a legend.
type entry struct {
	name   string
	thumbs []plot.Thumbnailer
}

// lines plots series against logarithmic axes. xTicks, if not nil, are all ticks of x.
func lines(x, y string, all []series, xTicks []plot.Tick) (template.HTML, error) {
	p := newPlot(x, y)
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(logTicks), plot.TickerFunc(logTicks)
	if xTicks != nil {
		p.X.Tick.Marker = plot.ConstantTicks(xTicks)
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = pale, pale
	p.Add(grid)
	var l []entry
	for i, s := range all {
		line, points, err := plotter.NewLinePoints(s.points)
		if err != nil {
			return "", err
		}
		k := lookOf(s.name, i)
		line.Width, line.Color, line.Dashes = 1.6, k.color, k.dash
		points.Color, points.Radius, points.Shape = k.color, 3, k.point
		p.Add(line, points)
		l = append(l, entry{s.name, []plot.Thumbnailer{line, points}})
	}
	widen(&p.X)
	widen(&p.Y)
	return paint(p, l, plotHeight)
}

// columnsOf is how many columns a legend has.
func columnsOf(all []entry) int { return min(len(all), legendColumns) }

// legendHeight is the room for a legend beneath a plot.
func legendHeight(all []entry) vg.Length {
	if len(all) == 0 {
		return 0
	}
	return 8 + legendLine*vg.Length((len(all)+columnsOf(all)-1)/columnsOf(all))
}

// drawLegend draws names in columns, from the top.
func drawLegend(c draw.Canvas, p *plot.Plot, all []entry) {
	columns := columnsOf(all)
	lines := (len(all) + columns - 1) / columns
	width := (c.Max.X - c.Min.X) / vg.Length(columns)
	for i, e := range all {
		l := plot.NewLegend()
		l.TextStyle = p.Legend.TextStyle
		l.Top, l.Left = true, true
		l.ThumbnailWidth, l.Padding = 18, 2
		l.Add(e.name, e.thumbs...)
		at := c
		at.Min.X += width * vg.Length(i/lines)
		at.Max.Y -= legendLine * vg.Length(i%lines)
		l.Draw(at)
	}
}

// widen leaves room at both ends of a logarithmic axis, and gives one of a single
// value some length.
func widen(a *plot.Axis) {
	if !(a.Min > 0) || math.IsInf(a.Max, 0) {
		a.Min, a.Max = 1, 10
	}
	margin := math.Pow(a.Max/a.Min, 0.05)
	if a.Min == a.Max {
		margin = 2
	}
	a.Min, a.Max = a.Min/margin, a.Max*margin
}

// logTicks labels 1, 2 and 5 of each decade, or only 1 if there are many decades.
func logTicks(lo, hi float64) (out []plot.Tick) {
	wide := math.Log10(hi/lo) > 3
	for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
		for m := 1; m < 10; m++ {
			v := float64(m) * math.Pow(10, e)
			if v < lo || v > hi {
				continue
			}
			t := plot.Tick{Value: v}
			if m == 1 || !wide && (m == 2 || m == 5) {
				t.Label = short(v)
			}
			out = append(out, t)
		}
	}
	return out
}

// short writes a number with k, M or G.
func short(v float64) string {
	for _, u := range []struct {
		x    float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.x*0.9999 {
			return number(v/u.x) + u.name
		}
	}
	return number(v)
}

// paint draws a plot, its legend beneath, and returns it as an svg element. height is that
// of the plot alone.
func paint(p *plot.Plot, legend []entry, height vg.Length) (template.HTML, error) {
	below := legendHeight(legend)
	c := vgsvg.New(plotWidth, height+below)
	all := draw.New(c)
	all.SetColor(p.BackgroundColor)
	all.Fill(all.Rectangle.Path())
	if below > 0 {
		drawLegend(draw.Crop(all, 10, -4, 0, -height-4), p, legend)
	}
	p.Draw(draw.Crop(all, 10, -10, below+4, -8))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	return inline(b.String()), nil
}

// inline makes of an SVG file an element within HTML: no XML declaration, a width that
// follows the page's, and fonts that are there.
func inline(svg string) template.HTML {
	if i := strings.Index(svg, "<svg"); i > 0 {
		svg = svg[i:]
	}
	svg = strings.ReplaceAll(svg,
		"font-family:Liberation Sans;font-variant:normal;font-weight:normal;font-style:normal;", "")
	head, rest, _ := strings.Cut(svg, ">")
	if i := strings.Index(head, "viewBox"); i >= 0 {
		head = `<svg role="img" font-family="Liberation Sans,Arial,Helvetica,sans-serif" ` + head[i:]
	}
	head = strings.ReplaceAll(head, `xmlns:xlink="http://www.w3.org/1999/xlink"`, "")
	return template.HTML(head + ">" + themed(rest)) //nolint:gosec // drawn by us, texts escaped by the canvas
}
