package threadpipe

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	msg.PoisonBuffers = true // a use after release shows
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		// netpoll's pollers live as long as the process.
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}

var local = netip.MustParseAddrPort("127.0.0.1:0")

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// flavours runs f with goroutines and with threads.
func flavours(t *testing.T, f func(t *testing.T, threads bool)) {
	t.Run("goroutines", func(t *testing.T) { f(t, false) })
	t.Run("threads", func(t *testing.T) {
		if _, err := newThreadNetwork(); err != nil {
			t.Skip(err)
		}
		f(t, true)
	})
}

func newPipes(t testing.TB, name entity.Name, p msg.Policy, cfg Config) *Messenger {
	cfg.Name, cfg.InitialBackoff = name, time.Millisecond
	m, err := New(cfg)
	require.NoError(t, err)
	m.SetDefaultPolicy(p)
	t.Cleanup(func() {
		require.NoError(t, m.Shutdown(within(t)))
		require.Zero(t, m.throttle.Stats().Held, "bytes in dispatch")
		require.Empty(t, m.reg.Snapshot())
	})
	return m
}

func connect(t testing.TB, from, to *Messenger) msg.Connection {
	c, err := from.ConnectTo(entity.TypeOSD, to.Addrs())
	require.NoError(t, err)
	return c
}

// echo sends every message back, by fast dispatch or from the queue.
type echo struct{ fast bool }

func (e echo) CanFastDispatch(*msg.Message) bool { return e.fast }
func (e echo) FastDispatch(m *msg.Message)       { e.Dispatch(m) }
func (e echo) Dispatch(m *msg.Message) bool {
	m.ReleaseAfterSend()
	_ = m.Connection().Send(m)
	return true
}

// inbox keeps what arrives.
type inbox struct {
	msgs   chan *msg.Message
	resets chan error
	told   chan string
}

func newInbox() inbox {
	return inbox{make(chan *msg.Message, 1<<16), make(chan error, 100), make(chan string, 1000)}
}

func (b inbox) Dispatch(m *msg.Message) bool               { b.msgs <- m; return true }
func (b inbox) HandleReset(_ msg.Connection, e error) bool { b.resets <- e; return true }
func (b inbox) HandleConnect(msg.Connection)               { b.told <- "connect" }
func (b inbox) HandleAccept(msg.Connection)                { b.told <- "accept" }
func (b inbox) HandleRemoteReset(msg.Connection)           { b.told <- "remote reset" }

func (b inbox) want(t testing.TB) *msg.Message {
	t.Helper()
	select {
	case m := <-b.msgs:
		return m
	case <-within(t).Done():
		require.FailNow(t, "no message")
		return nil
	}
}

func start(t *testing.T, srv, cl *Messenger, d msg.Dispatcher) (inbox, msg.Connection) {
	in := newInbox()
	srv.AddDispatcherTail(d)
	cl.AddDispatcherTail(in)
	require.NoError(t, srv.Start())
	require.NoError(t, cl.Start())
	return in, connect(t, cl, srv)
}
