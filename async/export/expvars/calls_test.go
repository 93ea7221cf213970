package expvars

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/export/exporttest"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// TestCallsAndStreams: what a Node and a Mux count stands beside what their messenger does, and is
// not there for a messenger without them, nor for a variable that knows of none.
func TestCallsAndStreams(t *testing.T) {
	server, client := exporttest.New(t, entity.OSD(0)), exporttest.New(t, entity.OSD(1))
	plain := messenger(t, entity.Client(2), new(sponge))
	cfg := Config{Messengers: []*async.Messenger{server.Messenger, client.Messenger, plain}, Options: export.Options{
		Nodes: []*rpc.Node{client.Node, server.Node}, Muxes: []*stream.Mux{server.Mux, client.Mux},
	}}
	v := New(cfg)
	cfg.Nodes[0], cfg.Muxes[0] = nil, nil // the variable has its own
	exporttest.Work(t, client, server)
	got := ask(t, v)
	require.EqualValues(t, 3, got["osd.1"]["msgr_rpc_calls_total"])
	require.EqualValues(t, 0, got["osd.0"]["msgr_rpc_calls_total"])
	require.EqualValues(t, 3, got["osd.0"]["msgr_rpc_requests_total"])
	require.EqualValues(t, 1, got["osd.1"]["msgr_stream_dialed_total"])
	require.EqualValues(t, 1000, got["osd.0"]["msgr_stream_payload_received_bytes_total"])
	n := 0
	for _, m := range export.Metrics() {
		if strings.HasPrefix(m.Name, "msgr.rpc.") || strings.HasPrefix(m.Name, "msgr.stream.") {
			n++
			require.Contains(t, got["osd.1"], m.Prometheus())
		}
	}
	require.Greater(t, n, 40)
	none := ask(t, New(Config{Messengers: cfg.Messengers}))
	for _, name := range []string{"msgr_rpc_calls_total", "msgr_stream_open"} {
		require.NotContains(t, got["client.2"], name)
		require.NotContains(t, none["osd.0"], name)
	}
}
