package workload

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSelect(t *testing.T) {
	names := func(in ...string) (out []string) {
		s, err := Select(in)
		require.NoError(t, err)
		for _, s := range s {
			out = append(out, s.Name)
		}
		return out
	}
	require.Len(t, names(), len(Full()))
	require.Equal(t, []string{"ping-pong"}, names("ping-pong"))
	require.Equal(t, []string{"pipelined/16/64KiB/4", "pipelined/16/64KiB/16", "idle/1000"},
		names("idle/1000", "pipelined/16/64KiB"))
	_, err := Select([]string{"pipelined/17"})
	require.ErrorContains(t, err, "ping-pong, pipelined/1/64B")
}

// TestScenarios: names are unique and say what the scenario is, and what is in
// flight is bounded.
func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Full() {
		require.False(t, seen[s.Name], s.Name)
		seen[s.Name] = true
		inFlight := s.Connections * s.Window
		if s.InFlight > 0 {
			require.Equal(t, 1, s.Window, s.Name)
			require.Less(t, s.InFlight, s.Connections, s.Name)
			inFlight = s.InFlight
		}
		if s.Kind != Open {
			require.LessOrEqual(t, inFlight*s.Size, inFlightMax, s.Name)
		}
		group, _, _ := strings.Cut(s.Name, "/")
		if s.Kind != Closed {
			require.Equal(t, string(s.Kind), group)
		}
	}
	require.Len(t, Quick(), 15)
	for _, s := range Quick() {
		require.True(t, seen[s.Name], s.Name)
		require.Positive(t, s.Seconds, s.Name)
		require.Contains(t, s.Only, "threadpipe-goroutines", s.Name) // what ratios refer to
	}
}

// TestParts: each scenario is in one part.
func TestParts(t *testing.T) {
	var names, all []string
	for _, p := range Parts() {
		require.NotEmpty(t, p.Scenarios, p.Name)
		require.NotEmpty(t, p.What, p.Name)
		for _, s := range p.Scenarios {
			names = append(names, s.Name)
		}
	}
	for _, s := range Full() {
		all = append(all, s.Name)
	}
	require.ElementsMatch(t, all, names)
}

// TestAmong: who is not among a scenario's contestants has no row, and takes no time.
func TestAmong(t *testing.T) {
	s := Scenario{Name: "x", Connections: 2, Size: 8, Window: 1, Only: []string{"good", "skipped", "nobody"}}
	cfg := Config{Contestants: fakes(), Scenarios: []Scenario{s}, Reference: "good", Rounds: 1, Seconds: 0.02}
	res, err := Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Len(t, res.Rows, 2)
	require.Equal(t, "good", res.Rows[0].Contestant)
	require.Equal(t, 1.0, res.Rows[0].Ratio)
	require.Equal(t, "skipped", res.Rows[1].Contestant)
	require.Len(t, cfg.Contestants, len(fakes()))
	all := s
	all.Only = nil
	require.Less(t, EstimateScenario(cfg, s), EstimateScenario(cfg, all))
}

// TestNotes: each kind is explained once.
func TestNotes(t *testing.T) {
	var r runner
	for range 2 {
		for _, s := range Full() {
			r.note(s.about())
		}
	}
	require.Len(t, r.res.Notes, 5)
}

// TestTurns: connections come in turns, and one that is in flight does not.
func TestTurns(t *testing.T) {
	l := newTurns(4)
	require.Equal(t, 0, l.next())
	require.Equal(t, 1, l.next())
	require.Equal(t, 2, l.pass(1))
	require.Equal(t, 3, l.pass(0))
	require.Equal(t, 1, l.pass(3))
	require.Equal(t, 0, l.pass(2))
	require.Equal(t, 3, l.pass(1))
}
