package prom

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/export/exporttest"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// TestCallsAndStreams: what a Node and a Mux count stands beside what their messenger does, and is
// not there for a messenger without them, nor for a collector that knows of none.
func TestCallsAndStreams(t *testing.T) {
	server, client := exporttest.New(t, entity.OSD(0)), exporttest.New(t, entity.OSD(1))
	plain := messenger(t, entity.Client(2), new(sponge))
	all := []*async.Messenger{server.Messenger, client.Messenger, plain}
	cfg := Config{Messengers: all, Options: export.Options{
		Nodes: []*rpc.Node{client.Node, server.Node}, Muxes: []*stream.Mux{server.Mux, client.Mux},
	}}
	c := NewCollector(cfg)
	cfg.Nodes[0], cfg.Muxes[0] = nil, nil // the collector has its own
	exporttest.Work(t, client, server)
	got := scrape(t, page(t, c))
	require.EqualValues(t, 3, number(t, got, "msgr_rpc_calls_total", "messenger", "osd.1"))
	require.EqualValues(t, 0, number(t, got, "msgr_rpc_calls_total", "messenger", "osd.0"))
	require.EqualValues(t, 3, number(t, got, "msgr_rpc_requests_total", "messenger", "osd.0"))
	require.EqualValues(t, 0, number(t, got, "msgr_rpc_out", "messenger", "osd.1"))
	require.EqualValues(t, 1, number(t, got, "msgr_stream_dialed_total", "messenger", "osd.1"))
	require.EqualValues(t, 1000, number(t, got, "msgr_stream_payload_sent_bytes_total", "messenger", "osd.1"))
	require.EqualValues(t, 1000, number(t, got, "msgr_stream_payload_received_bytes_total", "messenger", "osd.0"))
	require.EqualValues(t, 1, number(t, got, "msgr_stream_open", "messenger", "osd.0"))
	for _, name := range []string{"msgr_rpc_calls_total", "msgr_stream_open"} {
		require.Len(t, got[name].Metric, 2, name)
		require.NotContains(t, scrape(t, page(t, NewCollector(Config{Messengers: all}))), name)
	}
	n := 0
	for _, m := range export.Metrics() {
		if strings.HasPrefix(m.Name, "msgr.rpc.") || strings.HasPrefix(m.Name, "msgr.stream.") {
			n++
			require.Contains(t, got, m.Prometheus())
		}
	}
	require.Greater(t, n, 40)
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
