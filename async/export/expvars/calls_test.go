package expvars

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
// not there for a messenger without them, nor for a variable that knows of none.
func TestCallsAndStreams(t *testing.T) {
	server, client := newParty(t, entity.OSD(0)), newParty(t, entity.OSD(1))
	plain := messenger(t, entity.Client(2), new(sponge))
	cfg := Config{Messengers: []*async.Messenger{server.Messenger, client.Messenger, plain}, Options: export.Options{
		Nodes: []*rpc.Node{client.node, server.node}, Muxes: []*stream.Mux{server.mux, client.mux},
	}}
	v := New(cfg)
	cfg.Nodes[0], cfg.Muxes[0] = nil, nil // the variable has its own
	work(t, client, server)
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
