package otelmsgr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/export/exporttest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// TestCallsAndStreams: what a Node and a Mux count stands beside what their messenger does, and is
// not there for a messenger without them, nor where Config knows of none.
func TestCallsAndStreams(t *testing.T) {
	server, client := exporttest.New(t, entity.OSD(0)), exporttest.New(t, entity.OSD(1))
	plain := messenger(t, entity.Client(2), msg.LosslessClient(), func(*async.Messenger) {})
	cfg := Config{Messengers: []*async.Messenger{server.Messenger, client.Messenger, plain}, Options: export.Options{
		Nodes: []*rpc.Node{client.Node, server.Node}, Muxes: []*stream.Mux{server.Mux, client.Mux},
	}}
	r, without := watch(t, cfg), watch(t, Config{Messengers: cfg.Messengers})
	cfg.Nodes[0], cfg.Muxes[0] = nil, nil // what is registered has its own
	exporttest.Work(t, client, server)
	got, none := collect(t, r), collect(t, without)
	require.Equal(t, int64(3), got["msgr.rpc.calls{messenger=osd.1}"])
	require.Equal(t, int64(0), got["msgr.rpc.calls{messenger=osd.0}"])
	require.Equal(t, int64(3), got["msgr.rpc.requests{messenger=osd.0}"])
	require.Equal(t, int64(1), got["msgr.stream.dialed{messenger=osd.1}"])
	require.Equal(t, int64(1000), got["msgr.stream.payload_received{messenger=osd.0}"])
	n := 0
	for _, m := range export.Metrics() {
		if strings.HasPrefix(m.Name, "msgr.rpc.") || strings.HasPrefix(m.Name, "msgr.stream.") {
			n++
			require.Equal(t, m.Unit, got[m.Name], m.Name)
		}
	}
	require.Greater(t, n, 40)
	for _, name := range []string{"msgr.rpc.calls", "msgr.stream.open"} {
		require.NotContains(t, got, name+"{messenger=client.2}")
		require.NotContains(t, none, name)
	}
	require.Contains(t, none, "msgr.messages.received")
}
