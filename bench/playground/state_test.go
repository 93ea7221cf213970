package playground

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/stretchr/testify/require"
)

// What a state has is bounded, and so is a run.
func TestBounds(t *testing.T) {
	a := &asker{t: t}
	a.ask("start", map[string]any{"text": "nodes 20\nlinks latency=300ms\ntraffic gossip every=5ms\nrun 30s\n"})
	s := a.ask("advance", map[string]any{"to": 5e9})["state"]
	require.Equal(t, FramesMax, len(s["frames"].([]any)))
	require.Positive(t, s["more"])
	require.LessOrEqual(t, len(s["events"].([]any)), EventsMax)
	a.e.records = 10_000
	a.ask("start", map[string]any{"text": "nodes 20\ntraffic gossip every=1us\n"})
	s = a.ask("advance", map[string]any{"to": 1000e9})["state"]
	require.Equal(t, "limit", s["ended"], "%v", s["violation"])
	require.Contains(t, s["limit"], "records")
	require.Contains(t, a.try("act", map[string]any{"line": "heal"})["error"]["message"], "the run is over")
}

// The state tells what there is.
func TestState(t *testing.T) {
	a := &asker{t: t}
	a.ask("start", map[string]any{"text": "node a\nnode b throttle=3000\nnode c\nlinks latency=50ms\n" +
		"send a b 3 size=1000 prio=63\nrun 10s\n"})
	a.ask("advance", map[string]any{"to": 60e6})
	s := a.ask("advance", map[string]any{"to": 70e6})["state"]
	frame := s["frames"].([]any)[0].(map[string]any)
	require.Equal(t, "b", frame["a"])
	require.Equal(t, "a", frame["b"])
	require.InDelta(t, 50e6, frame["sent"], 1e6)
	require.InDelta(t, 100e6, frame["due"], 1e6)
	node := s["nodes"].([]any)[0].(map[string]any)
	require.Equal(t, map[string]any{"63": 3.}, node["out"])
	session := s["sessions"].([]any)[0].(map[string]any)
	require.Equal(t, "connecting", session["state"])
	require.Equal(t, []any{3., 0.}, session["queued"])
	require.EqualValues(t, 10e9, s["end"])

	s = a.ask("advance", map[string]any{"to": 2e9})["state"]
	session = s["sessions"].([]any)[0].(map[string]any)
	require.Equal(t, "ready", session["state"])
	require.Equal(t, []any{0., 0.}, session["kept"])
	seen := map[string]int{}
	for _, f := range s["frames"].([]any) {
		f := f.(map[string]any)
		require.NotContains(t, f, "lost")
		if f["tag"] == "MESSAGE" {
			require.EqualValues(t, 63, f["prio"])
		}
		seen[f["tag"].(string)]++
	}
	for _, tag := range []string{"HELLO", "AUTH_REQUEST", "CLIENT_IDENT", "MESSAGE"} {
		require.Positive(t, seen[tag], "%s of %v", tag, seen)
	}

	for _, line := range []string{
		"stall a b", "send a b 2 prio=200", "pause c", "clock a skew=5s", "stick b", "kill c",
	} {
		a.ask("act", map[string]any{"line": line})
	}
	s = a.ask("advance", map[string]any{"to": 2.5e9})["state"]
	session = s["sessions"].([]any)[0].(map[string]any)
	require.Equal(t, true, session["cut"])
	require.Equal(t, []any{2., 0.}, session["kept"])
	nodes := s["nodes"].([]any)
	require.EqualValues(t, 5e9, nodes[0].(map[string]any)["skew"])
	require.Equal(t, "stuck", nodes[1].(map[string]any)["state"])
	require.Equal(t, "dead", nodes[2].(map[string]any)["state"])
	require.Equal(t, []any{"stall a b"}, s["faults"])
	require.Equal(t, []pair{{0, 1}, {0, 3}, {0, 2}, {2, 3}}, barred([]string{"stall 0 1", "hold", "partition [0] [3 2]",
		"dials", "partition [3] [2]"}))
	s = a.ask("act", map[string]any{"line": "cut a b"})["state"]
	lost := 0
	for _, f := range s["frames"].([]any) {
		if f.(map[string]any)["lost"] == true {
			lost++
		}
	}
	require.Positive(t, lost)
}

// A chart of a part of what has been.
func TestChart(t *testing.T) {
	a := &asker{t: t}
	a.ask("preset", map[string]any{"name": "tour-race"})
	a.ask("advance", map[string]any{"to": 3e9})
	c := a.ask("chart", map[string]any{"from": 0.5e9, "to": 1.5e9})["chart"]
	rows := c["rows"].([]any)
	require.NotEmpty(t, rows)
	for _, r := range rows {
		at := r.(map[string]any)["at"].(float64)
		require.True(t, at >= 0.5e9 && at <= 1.5e9)
	}
	require.Equal(t, []any{"a", "b"}, c["hosts"])
	require.Contains(t, c["chart"], "sequenceDiagram")
	e := a.try("chart", map[string]any{"from": 5e9, "to": 9e9})["error"]
	require.Contains(t, e["message"], "of a run that is at 3s")
}

// The steps that the page explains are those that there are.
func TestSteps(t *testing.T) {
	nodes := "node a\nnode b\nnode c\nnode d\n"
	for _, s := range Steps {
		text := nodes + s.Usage
		switch s.Verb {
		case "seed", "node", "nodes":
			text = s.Usage
		}
		_, err := asynctest.ParseScenario("x", []byte(text))
		require.NoError(t, err, s.Usage)
	}
	doc, err := os.ReadFile("../../async/asynctest/scenario.go")
	require.NoError(t, err)
	for line := range strings.Lines(string(doc)) {
		if rest, ok := strings.CutPrefix(line, "//\t"); ok && rest[0] != ' ' {
			verb := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == ',' })[0]
			require.True(t, strings.Contains(fmt.Sprint(Steps), "{"+verb+" "), "the page does not explain %q", verb)
		}
	}
}

// TestQueueByBand: what waits for a dispatcher is drawn by its priorities.
func TestQueueByBand(t *testing.T) {
	a := &asker{t: t}
	a.ask("start", map[string]any{"text": "node a\nnode b\nsend a b 1\nrun 1s\nstick b\nsend a b 1\nrun 1s\n" +
		"send a b 3 prio=200\nsend a b 2 prio=63\nsend a b 1\nrun 10s\n"})
	s := a.ask("advance", map[string]any{"to": 3e9})["state"]
	node := s["nodes"].([]any)[1].(map[string]any)
	require.Equal(t, map[string]any{"196": 3., "64": 2., "127": 2.}, node["queue"])
}
