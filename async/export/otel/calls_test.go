package otelmsgr

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// party is a messenger with calls and streams.
type party struct {
	*async.Messenger
	node *rpc.Node
	mux  *stream.Mux
}

func newParty(t testing.TB, name entity.Name) (p party) {
	t.Helper()
	m, err := async.New(async.Config{Name: name})
	require.NoError(t, err)
	t.Cleanup(func() { shutdown(t, m) })
	m.SetDefaultPolicy(msg.LosslessPeer())
	p.Messenger = m
	p.node, err = rpc.New(m, rpc.Options{})
	require.NoError(t, err)
	p.mux, err = stream.New(m, stream.Options{})
	require.NoError(t, err)
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	return p
}

// work is three calls and a stream with 1000 bytes from client to server, which are started. The
// stream has come up, and is open.
func work(t testing.TB, client, server party) {
	t.Helper()
	yes := func(context.Context, *rpc.Request) ([]byte, error) { return nil, nil }
	require.NoError(t, server.node.HandleRaw(1, yes))
	l, err := server.mux.Listen("sink")
	require.NoError(t, err)
	require.NoError(t, server.Start())
	require.NoError(t, client.Start())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	require.NoError(t, err)
	for range 3 {
		_, err = client.node.Call(ctx, c, 1, []byte("?"))
		require.NoError(t, err)
	}
	out, err := client.mux.Dial(ctx, c, "sink")
	require.NoError(t, err)
	in, err := l.Accept()
	require.NoError(t, err)
	_, err = out.Write(make([]byte, 1000))
	require.NoError(t, err)
	_, err = io.ReadFull(in, make([]byte, 1000))
	require.NoError(t, err)
}

// TestCallsAndStreams: what a Node and a Mux count stands beside what their messenger does, and is
// not there for a messenger without them, nor where Config knows of none.
func TestCallsAndStreams(t *testing.T) {
	server, client := newParty(t, entity.OSD(0)), newParty(t, entity.OSD(1))
	plain := messenger(t, entity.Client(2), msg.LosslessClient(), func(*async.Messenger) {})
	cfg := Config{Messengers: []*async.Messenger{server.Messenger, client.Messenger, plain}, Options: export.Options{
		Nodes: []*rpc.Node{client.node, server.node}, Muxes: []*stream.Mux{server.mux, client.mux},
	}}
	r, without := watch(t, cfg), watch(t, Config{Messengers: cfg.Messengers})
	cfg.Nodes[0], cfg.Muxes[0] = nil, nil // what is registered has its own
	work(t, client, server)
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
