package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

func pageOf(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, HTML(&b, r))
	return b.String()
}

// void elements have no end.
var void = map[string]bool{"meta": true, "link": true, "br": true, "img": true, "hr": true}

// TestHTML: every element that is opened is closed, in order; nothing refers to
// anything outside; every contestant, scenario and target is there.
func TestHTML(t *testing.T) {
	r := fixture()
	text := pageOf(t, r)
	var open []string
	svgs, ids, targets := 0, map[string]bool{}, map[string]bool{}
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			require.ErrorIs(t, z.Err(), io.EOF)
			break
		}
		token := z.Token()
		for _, a := range token.Attr {
			switch a.Key {
			case "href":
				require.True(t, strings.HasPrefix(a.Val, "#"), a.Val)
				targets[a.Val[1:]] = true
			case "id":
				require.False(t, ids[a.Val], a.Val)
				ids[a.Val] = true
			case "src", "action", "data", "onload", "onclick", "xlink:href":
				require.Fail(t, "a reference", "%s %v", token.Data, a)
			}
		}
		switch kind {
		case html.StartTagToken:
			require.NotContains(t, []string{"script", "link", "img", "iframe", "object"}, token.Data)
			if token.Data == "svg" {
				svgs++
				require.True(t, slices.ContainsFunc(token.Attr,
					func(a html.Attribute) bool { return a.Key == "aria-label" && a.Val != "" }))
			}
			if !void[token.Data] {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			require.NotEmpty(t, open, token.Data)
			require.Equal(t, open[len(open)-1], token.Data)
			open = open[:len(open)-1]
		}
	}
	require.Empty(t, open)
	for id := range targets {
		require.True(t, ids[id], id)
	}
	require.Equal(t, 12, svgs, "rate, CPU, memory, ping-pong, load twice, size twice, priorities, fan-out, "+
		"faults, ratios")
	last := 0
	for _, part := range []string{
		">Throughput and CPU against connections<", ">Memory against connections<", ">Latency<", `id="targets"`,
		`id="contestants"`, `id="plots"`, `id="ratios"`, `id="tables"`, `id="environment"`,
	} {
		at := strings.Index(text, part)
		require.Greater(t, at, last, part)
		last = at
	}
	for _, part := range []string{"url(", "@import", "http-equiv"} {
		require.NotContains(t, text, part)
	}
	outside := strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "")
	require.NotContains(t, outside, "http:")
	require.NotContains(t, outside, "https:")
	for _, s := range Scenarios(r.Rows) {
		require.Contains(t, text, "<h3>"+s+"</h3>")
	}
	for _, name := range names {
		require.Contains(t, text, "<td>"+name+"</td>")
		require.GreaterOrEqual(t, strings.Count(text, ">"+name+"</text>"), 6, "%s in plots", name)
	}
	for _, want := range []string{
		"FAILED: it &lt;broke&gt; | off", "skipped: it has no priorities", "a &lt;note&gt;", "a &lt;model&gt;",
		"<dt>async-queue</dt><dd>A &lt;kind&gt; of async-queue.</dd>",
		"<dt>threadpipe-goroutines (reference)</dt><dd>A &lt;kind&gt; of threadpipe-goroutines. It has no " +
			"checksum.</dd>",
	} {
		require.Contains(t, text, want)
	}
}

// TestFigures: each plot is well-formed XML; without rows there is none, and the page
// says so.
func TestFigures(t *testing.T) {
	figures, err := Figures(fixture().Rows, reference)
	require.NoError(t, err)
	pictures, err := Pictures(fixture().Rows, reference)
	require.NoError(t, err)
	for _, p := range pictures {
		figures = append(figures, p.Plots...)
	}
	require.Len(t, figures, 12)
	for _, f := range figures {
		d := xml.NewDecoder(strings.NewReader(string(f.SVG)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else {
				require.NoError(t, err, f.Title)
			}
		}
		require.NotContains(t, string(f.SVG), "font-family:", f.Title)
		require.NotContains(t, string(f.SVG), "NaN", f.Title)
		require.NotContains(t, string(f.SVG), "Inf", f.Title)
	}
	none := &Report{Reference: reference, Rounds: 1, Seconds: 1}
	require.Contains(t, pageOf(t, none), "<p>Nothing was measured that a picture could be made of.</p>")
	require.NotContains(t, pageOf(t, none), "<svg")
	require.NotContains(t, pageOf(t, none), `href="#plots"`)
}

// TestFiguresOfLittle: a single scenario makes a page as well, and only failures one without
// plots.
func TestFiguresOfLittle(t *testing.T) {
	all := fixture().Rows
	seen := map[string]bool{}
	for _, s := range Scenarios(all) {
		if seen[group(s)] {
			continue
		}
		seen[group(s)] = true
		var rows, broken []Row
		for _, r := range all {
			if r.Scenario == s {
				rows = append(rows, r)
				broken = append(broken,
					Row{Scenario: s, Contestant: r.Contestant, Connections: r.Connections, Failed: "no"})
			}
		}
		require.Contains(t, pageOf(t, &Report{Rows: rows, Reference: reference}), "<svg", s)
		text := pageOf(t, &Report{Rows: broken, Reference: reference})
		require.Contains(t, text, "FAILED: no", s)
		require.NotContains(t, text, "<svg", s)
	}
}

// TestDark: every colour of a plot is one of the page's, and has a value for light and for
// dark pages; on a dark page texts and contestants stand out.
func TestDark(t *testing.T) {
	text := pageOf(t, fixture())
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`var\(--c([0-9a-f]{6})\)`).FindAllStringSubmatch(text, -1) {
		used[m[1]] = true
	}
	require.Greater(t, len(used), 15)
	for c := range used {
		require.Equal(t, 2, strings.Count(text, "--c"+c+":#"), c)
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		require.NotRegexp(t, `(fill|stroke):#`, svg)
		require.NotRegexp(t, `rgb\(`, svg)
	}
	page := palette[0].dark
	for _, tone := range palette[1:] {
		if tone.light != pale {
			require.Greater(t, contrast(tone.dark, page), 4.5, hex(tone.light))
		}
	}
}

// contrast is that of WCAG.
func contrast(a, b color.RGBA) float64 {
	of := func(c color.RGBA) float64 {
		f := func(v uint8) float64 {
			if x := float64(v) / 255; x > 0.03928 {
				return math.Pow((x+0.055)/1.055, 2.4)
			}
			return float64(v) / 255 / 12.92
		}
		return 0.2126*f(c.R) + 0.7152*f(c.G) + 0.0722*f(c.B)
	}
	hi, lo := max(of(a), of(b)), min(of(a), of(b))
	return (hi + 0.05) / (lo + 0.05)
}
