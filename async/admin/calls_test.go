package admin

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export/exporttest"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/stretchr/testify/require"
)

// TestCallsAndStreams: what a Node and a Mux count is among the counters, under the name of their messenger.
func TestCallsAndStreams(t *testing.T) {
	client, server := exporttest.New(t, entity.Client(7)), exporttest.New(t, entity.OSD(0))
	exporttest.Work(t, client, server)
	s := serve(t, Config{
		Messengers: []*async.Messenger{client.Messenger, server.Messenger},
		Nodes:      []*rpc.Node{server.Node, client.Node, client.Node},
		Muxes:      []*stream.Mux{client.Mux, server.Mux},
	})
	d, schema := ask(t, s, "perf dump"), ask(t, s, "perf schema")
	for _, x := range []struct {
		logger, counter string
		want            int
	}{
		{"rpc-client.7", "calls", 3}, {"rpc-client.7", "replies", 3}, {"rpc-client.7", "out", 0},
		{"rpc-client.7#2", "calls", 3}, {"rpc-osd.0", "requests", 3}, {"rpc-osd.0", "calls", 0},
		{"stream-client.7", "dialed", 1}, {"stream-client.7", "streams", 1}, {"stream-client.7", "bytes_sent", 1000},
		{"stream-osd.0", "accepted", 1}, {"stream-osd.0", "bytes_received", 1000}, {"stream-osd.0", "unread", 0},
	} {
		require.EqualValues(t, x.want, at(d, x.logger, x.counter), "%s %s", x.logger, x.counter)
		require.Contains(t, schema[x.logger], x.counter)
	}
	require.NotContains(t, d, "rpc-osd.0#2")
	require.Equal(t, "counter", at(schema, "rpc-osd.0", "requests", "metric_type"))
	require.Equal(t, "gauge", at(schema, "rpc-osd.0", "running", "metric_type"))
	require.Equal(t, "gauge", at(schema, "stream-osd.0", "promised", "metric_type"))
	require.Equal(t, "bytes", at(schema, "stream-osd.0", "bytes_sent", "units"))
	require.Equal(t, "bytes", at(schema, "stream-osd.0", "unread", "units"))

	for _, c := range []Config{{Nodes: []*rpc.Node{client.Node}}, {Muxes: []*stream.Mux{client.Mux}}} {
		c.Path, c.Logger = filepath.Join(t.TempDir(), "b.asok"), slog.New(slog.DiscardHandler)
		c.Messengers = []*async.Messenger{server.Messenger}
		_, err := Listen(c)
		require.ErrorContains(t, err, "client.7, is not among Config.Messengers")
	}
}
