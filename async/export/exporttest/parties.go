// Package exporttest is what the tests of exporters, async/admin and async/live share: two
// messengers with calls and streams.
//
// Implementation: not for users of the library; may change in any release.
package exporttest

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/stretchr/testify/require"
)

// Patience is how long a test waits for something that has to come.
const Patience = 30 * time.Second

// Party is a messenger with calls and streams.
type Party struct {
	*async.Messenger
	Node *rpc.Node
	Mux  *stream.Mux
}

// New returns a party that is bound and not started. It is shut down with the test.
func New(t testing.TB, name entity.Name) (p Party) {
	t.Helper()
	m, err := async.New(async.Config{Name: name})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		require.NoError(t, m.Shutdown(ctx))
	})
	m.SetDefaultPolicy(msg.LosslessPeer())
	p.Messenger = m
	p.Node, err = rpc.New(m, rpc.Options{})
	require.NoError(t, err)
	p.Mux, err = stream.New(m, stream.Options{})
	require.NoError(t, err)
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	return p
}

// Work is three calls and a stream with 1000 bytes from client to server, which are started. The
// stream has come up, and is open.
func Work(t testing.TB, client, server Party) {
	t.Helper()
	yes := func(context.Context, *rpc.Request) ([]byte, error) { return nil, nil }
	require.NoError(t, server.Node.HandleRaw(1, yes))
	l, err := server.Mux.Listen("sink")
	require.NoError(t, err)
	require.NoError(t, server.Start())
	require.NoError(t, client.Start())
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	require.NoError(t, err)
	for range 3 {
		_, err = client.Node.Call(ctx, c, 1, []byte("?"))
		require.NoError(t, err)
	}
	out, err := client.Mux.Dial(ctx, c, "sink")
	require.NoError(t, err)
	in, err := l.Accept()
	require.NoError(t, err)
	_, err = out.Write(make([]byte, 1000))
	require.NoError(t, err)
	_, err = io.ReadFull(in, make([]byte, 1000))
	require.NoError(t, err)
}
