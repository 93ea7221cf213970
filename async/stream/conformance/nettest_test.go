package conformance

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

func TestMain(m *testing.M) {
	flag.Parse()
	msg.PoisonBuffers = *rounds == 0 && flag.Lookup("test.bench").Value.String() == ""
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}

// network is what messengers of one test run on.
type network struct {
	stack eventloop.Stack
	pool  *dispatch.AntsPool
}

func newNetwork(tb testing.TB) network {
	tb.Helper()
	s, err := netpollstack.Open(netpollstack.Config{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	p, err := dispatch.NewAntsPool(dispatch.AntsConfig{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, p.Release(context.Background())) })
	return network{s, p}
}

// end is one messenger with its streams.
type end struct {
	m *async.Messenger
	x *stream.Mux
}

func newEnd(tb testing.TB, n network, number int64, bind bool) end {
	tb.Helper()
	m, err := async.New(async.Config{Name: entity.OSD(number), Stack: n.stack, Executor: n.pool,
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(tb, err)
	m.SetDefaultPolicy(msg.LosslessPeer())
	x, err := stream.New(m, stream.Options{})
	require.NoError(tb, err)
	if bind {
		require.NoError(tb, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	}
	require.NoError(tb, m.Start())
	tb.Cleanup(func() {
		_ = x.Close()
		require.NoError(tb, m.Shutdown(context.Background()))
	})
	return end{m, x}
}

// TestConn is the suite of net.Conn, over TCP on the loopback interface.
func TestConn(t *testing.T) {
	n := newNetwork(t)
	a, b := newEnd(t, n, 1, true), newEnd(t, n, 2, true)
	l, err := b.x.Listen("nettest")
	require.NoError(t, err)
	conn, err := a.m.ConnectTo(entity.TypeOSD, b.m.Addrs())
	require.NoError(t, err)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		d, err := a.x.Dial(context.Background(), conn, "nettest")
		if err != nil {
			return nil, nil, nil, err
		}
		e, err := l.Accept()
		if err != nil {
			return nil, nil, nil, err
		}
		return d, e, func() { _, _ = d.Close(), e.Close() }, nil
	})
}

// TestLoopbackConn is the same over a messenger's connection to itself.
func TestLoopbackConn(t *testing.T) {
	a := newEnd(t, newNetwork(t), 1, false)
	l, err := a.x.Listen("nettest")
	require.NoError(t, err)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		d, err := a.x.Dial(context.Background(), a.m.Loopback(), "nettest")
		if err != nil {
			return nil, nil, nil, err
		}
		e, err := l.Accept()
		if err != nil {
			return nil, nil, nil, err
		}
		return d, e, func() { _, _ = d.Close(), e.Close() }, nil
	})
}
