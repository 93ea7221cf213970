package report

import (
	"fmt"
	"html/template"
	"image/color"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours are Okabe's and Ito's, which people with any kind of colour vision can
// tell apart; dashes and shapes of points differ too.
// A page has them as variables, so that it can be dark: see palette.
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
	textSize = vg.Length(10)
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

// tone is a colour on a light page and on a dark one.
type tone struct{ light, dark color.RGBA }

// palette has every colour of the plots. What is dark on white is light on black.
var palette = []tone{
	{color.RGBA{0xff, 0xff, 0xff, 0xff}, color.RGBA{0x16, 0x19, 0x1d, 0xff}},
	{color.RGBA{0, 0, 0, 0xff}, color.RGBA{0x9a, 0xa0, 0xa8, 0xff}}, // axes
	{black, color.RGBA{0xdd, 0xe0, 0xe4, 0xff}},
	{gray, color.RGBA{0x98, 0x9d, 0xa4, 0xff}},
	{pale, color.RGBA{0x33, 0x38, 0x3f, 0xff}},
	{blue, color.RGBA{0x3d, 0xa5, 0xe8, 0xff}},
	{sky, color.RGBA{0x8f, 0xd3, 0xff, 0xff}},
	{vermillion, color.RGBA{0xf0, 0x7c, 0x2b, 0xff}},
	{orange, color.RGBA{0xf2, 0xb9, 0x33, 0xff}},
	{brown, color.RGBA{0xbd, 0x86, 0x58, 0xff}},
	{green, color.RGBA{0x2d, 0xc4, 0x97, 0xff}},
	{purple, color.RGBA{0xe0, 0x95, 0xc0, 0xff}},
	{olive, color.RGBA{0xb5, 0xb5, 0x4a, 0xff}},
	{violet, color.RGBA{0xa9, 0x83, 0xdb, 0xff}},
}

// shaded is the palette, and after it the lighter colours of second bars, which are darker
// ones on a dark page.
func shaded() []tone {
	out := slices.Clone(palette)
	for _, t := range palette[2:] {
		d := func(v uint8) uint8 { return uint8(int(v) * 11 / 20) }
		out = append(out, tone{shade(t.light, 1), color.RGBA{d(t.dark.R), d(t.dark.G), d(t.dark.B), 0xff}})
	}
	return out
}

func hex(c color.RGBA) string { return fmt.Sprintf("%02x%02x%02x", c.R, c.G, c.B) }

// themes are the colours as variables of a style sheet, for a light and for a dark page.
func themes() (light, dark template.CSS) {
	var l, d strings.Builder
	for _, t := range shaded() {
		fmt.Fprintf(&l, "--c%s:#%s;", hex(t.light), hex(t.light))
		fmt.Fprintf(&d, "--c%s:#%s;", hex(t.light), hex(t.dark))
	}
	return template.CSS(l.String()), template.CSS(d.String()) //nolint:gosec // of our own constants
}

var colored = regexp.MustCompile(`#[0-9A-Fa-f]{6}\b`)

// themed replaces the colours of a plot by the page's variables.
func themed(svg string) string {
	return colored.ReplaceAllStringFunc(svg, func(c string) string { return "var(--c" + strings.ToLower(c[1:]) + ")" })
}
