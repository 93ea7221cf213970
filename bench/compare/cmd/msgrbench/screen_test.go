package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/stretchr/testify/require"
)

// TestScreen: on a terminal one line changes with each round; elsewhere a scenario is a
// line.
func TestScreen(t *testing.T) {
	two := []workload.Scenario{{Name: "one"}, {Name: "two"}}
	p := plan{cfg: workload.Config{Scenarios: two, Rounds: 2, Seconds: 1}, ceph: true}
	play := func(terminal bool) string {
		var b bytes.Buffer
		s := newScreen(&b, p)
		s.terminal = terminal
		for _, x := range p.cfg.Scenarios {
			for round := range 2 {
				s.round(x, round, "somebody")
			}
		}
		s.begin(cephScenario)
		s.end()
		return b.String()
	}
	text := play(false)
	require.Equal(t, 5, strings.Count(text, "\n"), text)
	for _, want := range []string{
		"3 scenarios", " one (1 of 3)\n", " two (2 of 3)\n", " ceph-perf (3 of 3)\n", " done\n",
	} {
		require.Contains(t, text, want)
	}
	text = play(true)
	require.Equal(t, 1, strings.Count(text, "\n"), text)
	for _, want := range []string{
		"one (1 of 3), round 1 of 2: somebody", "two (2 of 3), round 2 of 2: somebody", "ceph-perf (3 of 3)",
	} {
		require.Contains(t, text, want)
	}
	require.True(t, strings.HasSuffix(text, "\r\x1b[K"))
}
