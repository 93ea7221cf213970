package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
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
	require.Equal(t, 9, svgs, "memory, load twice, size twice, priorities, CPU, fan-out, ratios")
	require.NotContains(t, text, "not measured</p>")
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
	} {
		require.Contains(t, text, want)
	}
}

// TestFigures: each plot is well-formed XML; without rows there is none, and the page
// says so.
func TestFigures(t *testing.T) {
	figures, err := Figures(fixture().Rows, reference)
	require.NoError(t, err)
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
	require.Contains(t, pageOf(t, none), "<p>not measured</p>")
	require.NotContains(t, pageOf(t, none), "<svg")
}

// TestFiguresOfLittle: a single scenario, or only failures, make a page as well.
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
		require.Contains(t, pageOf(t, &Report{Rows: broken, Reference: reference}), "FAILED: no", s)
	}
}
