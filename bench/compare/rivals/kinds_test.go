//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"context"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/stretchr/testify/require"
)

// TestKinds: every contestant that does not say why not takes part in every kind of
// scenario, and messengers lose nothing and answer nothing twice when they are cut.
func TestKinds(t *testing.T) {
	res, err := workload.Run(context.Background(), workload.Config{
		Contestants: All(), Reference: Reference, Rounds: 1, Seconds: 0.05,
		Scenarios: []workload.Scenario{
			{Name: "priority", Kind: workload.Priority, Connections: 1, Size: 4096, Window: 16, High: true},
			{Name: "faults", Kind: workload.Faults, Connections: 3, Size: 100, Window: 8},
			{Name: "fan-out", Kind: workload.FanOut, Connections: 20, Size: 4 << 10, Window: 1},
			{Name: "fan-out lossy", Kind: workload.FanOut, Connections: 20, Size: 4 << 10, Window: 1,
				Options: workload.Options{Lossy: true}},
			{Name: "turns", Connections: 20, Size: 100_000, Window: 1, InFlight: 5},
			{Name: "workers", Connections: 2, Size: 64, Window: 4, Options: workload.Options{Workers: 1}},
			{Name: "messengers", Connections: 5, Size: 64, Window: 4,
				Options: workload.Options{Messengers: 3, DrainWidth: 2}},
		},
	})
	require.NoError(t, err)
	took := map[string]int{}
	for _, r := range res.Rows {
		t.Logf("%s %s: %.0f msgs/s, %d lost, %d duplicated, drained in %.1f ms %s",
			r.Scenario, r.Contestant, r.Msgs, r.Lost, r.Duplicated, r.Drain, r.Skipped)
		require.Empty(t, r.Failed, "%s in %s", r.Contestant, r.Scenario)
		took[r.Scenario] += r.Rounds
		messenger := strings.HasPrefix(r.Contestant, "async") || strings.HasPrefix(r.Contestant, "threadpipe")
		if r.Scenario == "faults" && messenger {
			require.Zero(t, r.Lost, r.Contestant)
			require.Zero(t, r.Duplicated, r.Contestant)
			require.Positive(t, r.Drain, r.Contestant)
		}
	}
	all := 0 // but guests
	for _, c := range All() {
		if !c.Guest {
			all++
		}
	}
	require.Equal(t, map[string]int{
		"priority": 6, "faults": all, "fan-out": 9, "fan-out lossy": 9, "turns": all,
		"workers": 2, "messengers": 1,
	}, took)
}
