package export

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// BenchmarkRead: what a reading costs of a messenger with one connection, which has 10 000 idle
// streams, and what calls and streams add to it.
func BenchmarkRead(b *testing.B) {
	const open = 10_000
	start := func(name entity.Name) (*async.Messenger, *rpc.Node, *stream.Mux) {
		m, err := async.New(async.Config{Name: name})
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, m.Shutdown(context.Background())) })
		m.SetDefaultPolicy(msg.LosslessPeer())
		node, err := rpc.New(m, rpc.Options{})
		require.NoError(b, err)
		mux, err := stream.New(m, stream.Options{StreamsMax: open, ConnBufferMax: 1 << 30})
		require.NoError(b, err)
		require.NoError(b, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		require.NoError(b, m.Start())
		return m, node, mux
	}
	server, _, accepting := start(entity.OSD(0))
	client, node, mux := start(entity.OSD(1))
	l, err := accepting.Listen("")
	require.NoError(b, err)
	conn, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	require.NoError(b, err)
	for range open {
		_, err := mux.Dial(b.Context(), conn, "")
		require.NoError(b, err)
		_, err = l.Accept()
		require.NoError(b, err)
	}
	require.Equal(b, open, mux.Stats().Streams)
	for _, c := range []struct {
		name string
		Options
	}{
		{"messenger", Options{}},
		{"calls", Options{Nodes: []*rpc.Node{node}}},
		{"streams", Options{Muxes: []*stream.Mux{mux}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Read(client, c.Options)
			}
		})
	}
}
