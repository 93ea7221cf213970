package report

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

var rows = []Row{
	{Scenario: "ping-pong", Contestant: "a", Connections: 1, Size: 64, Window: 1, Msgs: 12345.6, Ratio: 1.5, Rounds: 3, Spread: 0.1},
	{Scenario: "ping-pong", Contestant: "b", Connections: 1, Size: 64, Window: 1, Rounds: 2, Failed: "oops"},
	{Scenario: "idle", Contestant: "a", Connections: 1000, Failed: "no such thing"},
	{Scenario: "idle", Contestant: "b", Connections: 1000, Skipped: "not here"},
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Table(&b, rows))
	for _, want := range []string{
		"ping-pong: connections 1, window 1, 64 B", "12346", "1.50", "10%", "a round FAILED: oops",
		"idle: connections 1000", "FAILED: no such thing", "skipped: not here",
	} {
		require.Contains(t, b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, JSON(&b, rows))
	var back []Row
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	require.Equal(t, rows, back)
	var names []map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &names))
	for _, want := range []string{"scenario", "contestant", "connections", "size", "window", "msgs_per_s", "mb_per_s", "p50_us", "p99_us",
		"p999_us", "cpu_us_per_msg", "rss_kib_per_conn", "goroutines", "threads", "ratio", "rounds", "spread"} {
		require.Contains(t, names[0], want)
	}
}
