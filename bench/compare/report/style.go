package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours are Okabe's and Ito's, which people with any kind of colour vision can
// tell apart; dashes and shapes of points differ too.
var (
	blue       = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	sky        = color.RGBA{0x56, 0xb4, 0xe9, 0xff}
	vermillion = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	orange     = color.RGBA{0xe6, 0x9f, 0x00, 0xff}
	brown      = color.RGBA{0x8c, 0x56, 0x2b, 0xff}
	green      = color.RGBA{0x00, 0x9e, 0x73, 0xff}
	purple     = color.RGBA{0xcc, 0x79, 0xa7, 0xff}
	olive      = color.RGBA{0x80, 0x80, 0x20, 0xff}
	violet     = color.RGBA{0x6a, 0x3d, 0x9a, 0xff}
	black      = color.RGBA{0x22, 0x22, 0x22, 0xff}
	gray       = color.RGBA{0x88, 0x88, 0x88, 0xff}
	pale       = color.RGBA{0xe4, 0xe4, 0xe4, 0xff}
)

// look is how a contestant is drawn in every plot.
type look struct {
	color color.Color
	dash  []vg.Length
	point draw.GlyphDrawer
}

var (
	dashed = []vg.Length{5, 2.5}
	dotted = []vg.Length{1.5, 2}
)

var looks = map[string]look{
	"async-fast":            {blue, nil, draw.CircleGlyph{}},
	"async-queue":           {sky, nil, draw.SquareGlyph{}},
	"threadpipe-goroutines": {vermillion, nil, draw.TriangleGlyph{}},
	"threadpipe-queue":      {orange, nil, draw.PyramidGlyph{}},
	"threadpipe-threads":    {brown, nil, draw.BoxGlyph{}},
	"threadpipe-batch":      {brown, dashed, draw.PyramidGlyph{}},
	"grpc":                  {green, dashed, draw.RingGlyph{}},
	"drpc":                  {purple, dashed, draw.SquareGlyph{}},
	"drpc-batch":            {purple, dotted, draw.PyramidGlyph{}},
	"netrpc":                {olive, dashed, draw.PlusGlyph{}},
	"nats":                  {violet, dashed, draw.CrossGlyph{}},
	"raw-net":               {black, dotted, draw.CircleGlyph{}},
	"raw-netpoll":           {gray, dotted, draw.BoxGlyph{}},
}

// lookOf returns the look of a contestant; unknown ones share those that are left.
func lookOf(contestant string, i int) look {
	if l, ok := looks[contestant]; ok {
		return l
	}
	colors := []color.Color{violet, green, brown, black}
	return look{colors[i%len(colors)], dashed, draw.CrossGlyph{}}
}

const (
	typeface = "Liberation"
	textSize = vg.Length(9)
)

var sans = font.Font{Typeface: typeface, Variant: "Sans", Size: textSize}

// newPlot returns an empty plot with our fonts.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, s := range []*draw.TextStyle{
		&p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		s.Font = sans
		s.Color = black
	}
	p.X.Label.Padding, p.Y.Label.Padding = 4, 4
	return p
}
