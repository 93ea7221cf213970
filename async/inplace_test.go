package async

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// Callbacks that are short run on the workers. The tests of this file are of what these
// may do there.

// inPlace is the Config of these tests. Where callbacks are measured, a busy machine may
// have them on the pool.
func inPlace(c *Config) { c.DispatchPlace = DispatchOnWorker }

// roundTrip sends a short message and waits until srv has dispatched it.
func (l *lab) roundTrip(srv *node, c msg.Connection) {
	l.t.Helper()
	n := srv.count.Load()
	require.NoError(l.t, c.Send(text("short")))
	l.until("a message", func() bool { return srv.count.Load() > n })
}

// TestInPlace: short callbacks come in place, and only if that is wanted and can be.
func TestInPlace(t *testing.T) {
	type foreign struct{ dispatch.Executor }
	for _, x := range []struct {
		what   string
		change func(l *lab) func(*Config)
		comes  bool
	}{
		{"default", func(*lab) func(*Config) { return func(*Config) {} }, true},
		{"on the worker", func(*lab) func(*Config) { return inPlace }, true},
		{"on the pool", func(*lab) func(*Config) {
			return func(c *Config) { c.DispatchPlace = DispatchOnPool }
		}, false},
		{"own executor", func(l *lab) func(*Config) { return func(c *Config) { c.Executor = foreign{l.pool} } }, false},
	} {
		t.Run(x.what, func(t *testing.T) {
			l := newLab(t)
			srv := l.server(entity.OSD(0), msg.StatefulServer(), x.change(l))
			srv.forget = true
			c := l.connect(l.client(entity.Client(1), msg.LosslessClient()), srv)
			for i := 0; i < 200 || x.comes && srv.Stats().Queue.InPlace == 0; i++ {
				require.Less(t, i, 1_000_000, "callbacks do not come in place")
				l.roundTrip(srv, c)
			}
			if !x.comes {
				require.Zero(t, srv.Stats().Queue.InPlace)
				require.False(t, srv.Stats().Queue.InPlaceNow)
			}
		})
	}
}

// waitingServer has one worker, on which a callback for "wait" waits for a "free", and returns
// connections of two clients.
func waitingServer(l *lab, p msg.Policy) (srv *node, a, b msg.Connection) {
	srv = l.node(entity.OSD(0), p, inPlace)
	srv.forget = true
	free := make(chan struct{}, 1)
	srv.onMessage = func(m *msg.Message) {
		switch string(m.Front) {
		case "wait":
			<-free
		case "free":
			free <- struct{}{}
		}
	}
	require.NoError(l.t, srv.Bind(local))
	require.NoError(l.t, srv.Start())
	a = l.connect(l.client(entity.Client(1), msg.LosslessClient()), srv)
	b = l.connect(l.client(entity.Client(2), msg.LosslessClient()), srv)
	return srv, a, b
}

// TestInPlaceWaitsForAnother: with one worker, a callback that waits for a message of another
// connection gets it.
func TestInPlaceWaitsForAnother(t *testing.T) {
	l := newLabOf(t, 1)
	srv, a, b := waitingServer(l, msg.StatefulServer())
	for range 200 {
		n := srv.count.Load()
		require.NoError(t, a.Send(text("wait")))
		require.NoError(t, b.Send(text("free")))
		l.until("both", func() bool { return srv.count.Load() == n+2 })
	}
	require.NotZero(t, srv.Stats().Queue.Stayed)
}

// TestInPlaceSharedThrottle: nor is it kept by a throttle that what was before it in its
// read has filled.
func TestInPlaceSharedThrottle(t *testing.T) {
	const room = 4
	l := newLabOf(t, 1)
	p := msg.StatefulServer()
	p.ThrottleMessages = dispatch.NewThrottle(room)
	srv, a, b := waitingServer(l, p)
	for range 50 {
		n := srv.count.Load()
		for _, what := range [room]string{"short", "short", "wait", "short"} {
			require.NoError(t, a.Send(text("%s", what)))
		}
		require.NoError(t, b.Send(text("free")))
		l.until("all", func() bool { return srv.count.Load() == n+room+1 })
	}
}

// TestInPlaceAnswersCarryAcks: an answer of a callback in place carries the acknowledgement,
// which is no frame of its own.
func TestInPlaceAnswersCarryAcks(t *testing.T) {
	l := newLab(t)
	var acks atomic.Int64
	srv := l.node(entity.OSD(0), msg.StatefulServer(), inPlace)
	srv.handsOn = true
	srv.onMessage = func(m *msg.Message) {
		m.ReleaseAfterSend()
		_ = m.Connection().Send(m)
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) {
		c.Observe = func(_ session.State, tag frame.Tag) {
			if tag == frame.TagAck {
				acks.Add(1)
			}
		}
	})
	cl.forget = true
	c := l.connect(cl, srv)
	trip := func() {
		n := cl.count.Load()
		require.NoError(t, c.Send(text("ping")))
		l.until("an answer", func() bool { return cl.count.Load() > n })
	}
	trip()
	before, trips := acks.Load(), int64(500)
	for range trips {
		trip()
	}
	require.Less(t, acks.Load()-before, trips/10, "acknowledgements that are frames of their own")
}

// TestInPlaceIsNotFastDispatch: the watchdog of fast dispatch does not count what
// callbacks of the queue take.
func TestInPlaceIsNotFastDispatch(t *testing.T) {
	l := newLab(t)
	s := newLateStack(l.stack)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) {
		c.Stack, c.FastDispatchLimit, c.DispatchLimit = s.whole(), time.Hour, -1
	}, inPlace)
	srv.forget = true
	srv.canFast = func(m *msg.Message) bool { return string(m.Front) == "fast" }
	srv.onMessage = func(m *msg.Message) {
		if string(m.Front) == "slow" {
			s.late.Add(int64(2 * time.Hour))
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	c := l.connect(l.client(entity.Client(1), msg.LosslessClient()), srv)
	for range 5 {
		n := srv.count.Load()
		for _, what := range []string{"fast", "slow", "fast"} {
			require.NoError(t, c.Send(text("%s", what)))
		}
		l.until("all", func() bool { return srv.count.Load() == n+3 })
	}
	require.Zero(t, srv.Stats().SlowFastDispatches)
}

// TestInPlaceMayDoAnything: what a callback of the pool may do, one in place may do.
func TestInPlaceMayDoAnything(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), inPlace)
	srv.forget = true
	told := make(chan error, 1)
	srv.onMessage = func(m *msg.Message) {
		switch string(m.Front) {
		case "exit":
			runtime.Goexit()
		case "lock":
			runtime.LockOSThread()
			runtime.LockOSThread()
		case "flush":
			told <- srv.Flush(context.Background())
		case "down":
			m.Connection().MarkDown()
			told <- nil
		case "shutdown":
			told <- srv.Shutdown(context.Background())
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	c := l.connect(l.client(entity.Client(1), msg.LosslessClient()), srv)
	for i := range 30 {
		require.NoError(t, c.Send(text("%s", []string{"exit", "lock"}[i%2])))
		l.roundTrip(srv, c)
	}
	require.EqualValues(t, 15, srv.Stats().Panics)
	for _, what := range []string{"flush", "down"} {
		require.NoError(t, c.Send(text("%s", what)))
		require.NoError(t, <-told, what)
	}
	c = l.connect(l.client(entity.Client(2), msg.LosslessClient()), srv)
	require.NoError(t, c.Send(text("shutdown")))
	require.ErrorIs(t, <-told, dispatch.ErrInDispatch)
}

// TestInPlaceOrder: of many connections whose callbacks hold up their workers now and then,
// each one's messages are dispatched in order, one at a time, while the connections break.
func TestInPlaceOrder(t *testing.T) {
	const clients, each = 6, 400
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), inPlace)
	srv.forget = true
	var last, inside [clients]atomic.Int64
	srv.onMessage = func(m *msg.Message) {
		var who, n int64
		_, err := fmt.Sscan(string(m.Front), &who, &n)
		if err != nil {
			t.Error(err)
			return
		}
		if inside[who].Add(1) != 1 {
			t.Errorf("two callbacks of client %d", who)
		}
		if n != last[who].Load()+1 {
			t.Errorf("client %d: %d after %d", who, n, last[who].Load())
		}
		last[who].Store(n)
		if n%61 == 0 {
			done := make(chan struct{})
			for i := range l.stack.NumWorkers() { // the worker goes on without the callback
				if err := l.stack.Worker(i).Post(eventloop.TaskFunc(func() { done <- struct{}{} })); err != nil {
					t.Error(err)
				}
			}
			for range l.stack.NumWorkers() {
				<-done
			}
		}
		if n%97 == 0 {
			srv.reg.Snapshot()[0].Fault(errors.New("planted"))
		}
		inside[who].Add(-1)
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	var conns []msg.Connection
	for i := range int64(clients) {
		conns = append(conns, l.connect(l.client(entity.Client(i), msg.LosslessClient()), srv))
	}
	for n := 1; n <= each; n++ {
		for who, c := range conns {
			require.NoError(t, c.Send(text("%d %d", who, n)))
		}
		if n%8 == 0 {
			l.until("some progress", func() bool { return srv.count.Load() > int64(clients*(n-8)) })
		}
	}
	l.until("all", func() bool { return srv.count.Load() == clients*each })
	t.Logf("%+v", srv.Stats().Queue)
}
