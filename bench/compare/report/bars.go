package report

import (
	"html/template"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bar is a group of horizontal bars beneath each other. A value of 0 has none, and the
// note is written in its place.
type bar struct {
	name   string
	values []float64
	notes  []string
	color  color.Color
}

// wideRange is the quotient of values from which on an axis is logarithmic. A bar's
// length would say nothing there: values are points then.
const wideRange = 60

// barChart plots horizontal bars; it is "" if no bar has a value. keys, if there are several,
// name the bars of a group.
func barChart(x string, all []bar, keys []string) (template.HTML, error) {
	p := newPlot(x, "")
	p.Y.Padding = 10 // another font may be wider than ours
	var names []string
	lo, hi := math.Inf(1), 0.0
	for i := range all {
		b := &all[len(all)-1-i] // the first one at the top
		names = append(names, b.name)
		for _, v := range b.values {
			if v > 0 {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if hi == 0 {
		return "", nil
	}
	log := hi/lo > wideRange
	if log {
		p.X.Min, p.X.Max = lo/2, hi*3 // room for the figures
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
	} else {
		p.X.Min, p.X.Max = 0, hi*1.15
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = nil, pale // nil: none
	p.Add(grid, bars{all, len(keys), log})
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.5, float64(len(all))-0.5
	var l []entry
	if len(keys) > 1 {
		for i, name := range keys {
			l = append(l, entry{name, []plot.Thumbnailer{swatch{shade(black, i)}}})
		}
	}
	return paint(p, l, vg.Length(46+len(all)*(9+10*max(1, len(keys)))))
}

// shade is the colour of the i-th bar in a group: the later the lighter.
func shade(c color.Color, i int) color.RGBA {
	r, g, b, _ := c.RGBA()
	if i == 0 {
		return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 0xff}
	}
	light := func(v uint32) uint8 { return uint8(255 - (255-v>>8)*2/5) }
	return color.RGBA{light(r), light(g), light(b), 0xff}
}

// bars draws the bars, or points, and their figures.
type bars struct {
	all    []bar
	keys   int
	points bool
}

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	slot := float64(toY(1)-toY(0)) * 0.8 / float64(max(1, b.keys))
	text := p.X.Tick.Label
	text.XAlign, text.YAlign = draw.XLeft, draw.YCenter
	text.Font.Size = textSize - 1
	for i, group := range b.all {
		top := float64(toY(float64(len(b.all)-1-i))) + slot*float64(max(1, b.keys))/2
		for j, v := range group.values {
			hi, lo := vg.Length(top-slot*float64(j)), vg.Length(top-slot*float64(j+1)+0.6)
			if v <= 0 {
				c.FillText(text, vg.Point{X: c.Min.X + 3, Y: (hi + lo) / 2}, group.notes[j])
				continue
			}
			end, fill := toX(v), shade(group.color, j)
			if b.points {
				c.StrokeLine2(draw.LineStyle{Color: pale, Width: 1}, c.Min.X, (hi+lo)/2, end, (hi+lo)/2)
				c.DrawGlyph(draw.GlyphStyle{Color: fill, Radius: 3.5, Shape: draw.CircleGlyph{}},
					vg.Point{X: end, Y: (hi + lo) / 2})
				end += 3
			} else {
				c.FillPolygon(fill,
					[]vg.Point{{X: c.Min.X, Y: lo}, {X: end, Y: lo}, {X: end, Y: hi}, {X: c.Min.X, Y: hi}})
			}
			c.FillText(text, vg.Point{X: end + 3, Y: (hi + lo) / 2}, decimals(v))
		}
	}
}

// swatch is a rectangle in the legend.
type swatch struct{ color color.Color }

// Thumbnail implements plot.Thumbnailer.
func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.color, []vg.Point{
		{X: c.Min.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Min.X, Y: c.Max.Y},
	})
}
