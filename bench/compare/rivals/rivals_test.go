//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"context"
	"os"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	workload.RunChild(append(All(), Calls()...))
	// Under the race detector every process would wait for a second at its end.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// TestAll: every contestant serves several connections at several sizes, and ends
// without an error.
func TestAll(t *testing.T) {
	res, err := workload.Run(context.Background(), workload.Config{
		Contestants: All(), Reference: Reference, Rounds: 1, Seconds: 0.05,
		Scenarios: []workload.Scenario{
			{Name: "small", Connections: 3, Size: 64, Window: 5},
			{Name: "empty", Connections: 1, Size: 0, Window: 1},
			{Name: "large", Connections: 2, Size: 200_000, Window: 3},
			{Name: "idle", Connections: 20},
			{Name: "secure", Connections: 2, Size: 200_000, Window: 3,
				Only: []string{"async-secure", "raw-tls", "grpc-tls", Reference}},
		},
	})
	require.NoError(t, err)
	rows := res.Rows
	guests := 0
	for _, c := range All() {
		if c.Guest {
			guests++
		}
	}
	require.Equal(t, 3, guests)
	require.Len(t, rows, 4*(len(All())-guests)+guests+1)
	for _, r := range rows {
		t.Logf("%s %s: %.0f msgs/s, %d threads %s", r.Scenario, r.Contestant, r.Msgs, r.Threads, r.Skipped)
		require.Empty(t, r.Failed, "%s in %s", r.Contestant, r.Scenario)
		require.True(t, r.Rounds == 1 || r.Skipped != "")
	}
}

// TestCalls: every contestant that calls does, several calls at a time, and ends without an error.
func TestCalls(t *testing.T) {
	res, err := workload.Run(context.Background(), workload.Config{
		Contestants: Calls(), Reference: CallsReference, Rounds: 1, Seconds: 0.05,
		Scenarios: []workload.Scenario{
			{Name: "small", Connections: 3, Size: 64, Window: 4},
			{Name: "large", Connections: 2, Size: 200_000, Window: 2},
		},
	})
	require.NoError(t, err)
	require.Len(t, res.Rows, 2*len(Calls()))
	for _, r := range res.Rows {
		t.Logf("%s %s: %.0f calls/s", r.Scenario, r.Contestant, r.Msgs)
		require.Empty(t, r.Failed, "%s in %s", r.Contestant, r.Scenario)
		require.Equal(t, 1, r.Rounds)
	}
}

// TestDescribed: a report says of every contestant what it is, and of nobody else.
func TestDescribed(t *testing.T) {
	for _, c := range All() {
		require.NotEmpty(t, c.Is, c.Name)
	}
	require.Len(t, described, len(All()))
}
