package conformance

import (
	"context"
	"net"
	"testing"

	"github.com/hashicorp/yamux"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// pair is two ends of one stream.
type pair struct{ a, b net.Conn }

// rivals are what is compared, each over TCP on the loopback interface.
var rivals = []struct {
	name string
	make func(tb testing.TB) pair
}{
	{"stream", streamPair},
	{"yamux", yamuxPair},
	{"tcp", tcpPair},
}

func streamPair(tb testing.TB) pair {
	tb.Helper()
	n := newNetwork(tb)
	a, b := newEnd(tb, n, 1, true), newEnd(tb, n, 2, true)
	l, err := b.x.Listen("bench")
	require.NoError(tb, err)
	conn, err := a.m.ConnectTo(entity.TypeOSD, b.m.Addrs())
	require.NoError(tb, err)
	d, err := a.x.Dial(context.Background(), conn, "bench")
	require.NoError(tb, err)
	e, err := l.Accept()
	require.NoError(tb, err)
	return pair{d, e}
}

// yamuxPair is yamux with its default configuration.
func yamuxPair(tb testing.TB) pair {
	tb.Helper()
	t := tcpPair(tb)
	client, err := yamux.Client(t.a, nil)
	require.NoError(tb, err)
	server, err := yamux.Server(t.b, nil)
	require.NoError(tb, err)
	d, err := client.Open()
	require.NoError(tb, err)
	e, err := server.Accept()
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return pair{d, e}
}

func tcpPair(tb testing.TB) pair {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer func() { _ = l.Close() }()
	d, err := net.Dial("tcp", l.Addr().String())
	require.NoError(tb, err)
	e, err := l.Accept()
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_ = d.Close()
		_ = e.Close()
	})
	return pair{d, e}
}
