package live

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export/exporttest"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/stretchr/testify/require"
)

// TestCallsAndStreams: what Nodes and Muxes count is in the state, if they are named, and nothing otherwise.
func TestCallsAndStreams(t *testing.T) {
	client, server := exporttest.New(t, entity.Client(7)), exporttest.New(t, entity.OSD(0))
	cfg := Config{
		Messengers: func() []*async.Messenger { return []*async.Messenger{client.Messenger, server.Messenger} },
		Nodes:      func() []*rpc.Node { return []*rpc.Node{client.Node, server.Node} },
		Muxes:      func() []*stream.Mux { return []*stream.Mux{client.Mux, server.Mux} },
	}
	l := newLooker(&cfg)
	l.begin()
	x := l.look()
	require.Equal(t, &calls{}, x.Calls)
	require.Equal(t, &streams{}, x.Streams)

	exporttest.Work(t, client, server)
	x = l.look()
	count := func(per float64) int { return int(per*x.Every + 0.5) }
	require.Equal(t, 3, count(x.Calls.Begun))
	require.Equal(t, 3, count(x.Calls.Handled))
	require.Zero(t, x.Calls.Failed)
	require.Equal(t, 2, x.Streams.Open, "both ends")
	require.Equal(t, 2, count(x.Streams.Opened))
	require.Equal(t, 1000, count(x.Streams.Sent))
	require.Equal(t, 1000, count(x.Streams.Received))
	require.Zero(t, x.Streams.Failed)
	x = l.look()
	require.Zero(t, x.Calls.Begun+x.Calls.Handled+x.Streams.Opened+x.Streams.Sent+x.Streams.Received)

	cfg.Nodes, cfg.Muxes = nil, nil
	x = l.look()
	require.Nil(t, x.Calls)
	require.Nil(t, x.Streams)
}
