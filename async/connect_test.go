package async

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
	"github.com/stretchr/testify/require"
)

// pickStack decides where connections are placed, and does something in that moment,
// in which whoever connects has looked for a connection and found none.
type pickStack struct {
	eventloop.Stack
	mu     sync.Mutex
	next   int    // the worker's number
	onPick func() // at the next one
}

func (s *pickStack) Pick() eventloop.Worker {
	s.mu.Lock()
	f, i := s.onPick, s.next
	s.onPick = nil
	s.mu.Unlock()
	if f != nil {
		f()
	}
	return s.Worker(i)
}

// whole is for Config.Stack.
func (s *pickStack) whole() eventloop.Stack { return forward.StackAs(s, s.Stack) }

func (s *pickStack) set(next int, onPick func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.onPick = next, onPick
}

// TestTwoConnectAtOnce: of two goroutines that connect to the same peer at the same
// moment the slower one gets the connection of the faster one, and nothing else is
// left of its own.
func TestTwoConnectAtOnce(t *testing.T) {
	l := newLab(t)
	s := &pickStack{Stack: l.stack}
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.Stack = s.whole() })
	var first msg.Connection
	s.set(0, func() {
		var err error
		first, err = cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
	})
	second, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NotNil(t, first)
	require.Same(t, first, second)
	require.Same(t, first, cl.Lookup(srv.Addrs()))
	require.NoError(t, second.Send(text("0")))
	require.Equal(t, numbers(1), srv.wantMessages(1))
	require.Equal(t, 1, cl.Stats().Connections)
	require.EqualValues(t, 1, cl.Stats().Connected)
	require.EqualValues(t, 1, srv.Stats().Accepted)

	// The same with anonymous connections: each is one of its own.
	var other msg.Connection
	s.set(0, func() {
		var err error
		other, err = cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
	})
	anon, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NotSame(t, other, anon)
	other.MarkDown()
	anon.MarkDown()

	// A shutdown in that moment lets nothing in.
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	s.set(0, func() { _ = cl.Shutdown(canceled) })
	_, err = cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.NoError(t, cl.Shutdown(timeout(t)))
	require.Zero(t, cl.Stats().Connections)
}

// closingStack has workers that take no task any more, from when it is told so on.
type closingStack struct {
	eventloop.Stack
	closed atomic.Bool
}

type closedWorker struct{ eventloop.Worker }

func (closedWorker) Post(eventloop.Task) error { return eventloop.ErrStackClosed }

func (s *closingStack) Pick() eventloop.Worker {
	w := s.Stack.Pick()
	if s.closed.Load() {
		return closedWorker{w}
	}
	return w
}

// TestAcceptedAtTheEnd: of a socket that is accepted while the stack is closed nothing is left.
func TestAcceptedAtTheEnd(t *testing.T) {
	l := newLab(t)
	s := &closingStack{Stack: l.stack}
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.Stack = forward.StackAs(s, s.Stack) })
	s.closed.Store(true)
	c, err := net.Dial("tcp", srv.Addrs()[0].AddrPort.String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	l.until("nothing is left", func() bool { return srv.Stats().Handshakes == 0 })
}
