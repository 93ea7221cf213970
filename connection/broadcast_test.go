package connection

import (
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// audience is a number of connections of one messenger, on workers in turn, none of which
// has connected.
type audience struct {
	t       *testing.T
	conns   []*Conn
	workers []*stepWorker
	r       *recorder
}

func newAudience(t *testing.T, n, workers int) *audience {
	t.Helper()
	first, w, r := newTestConn(t, msg.LosslessClient(), 10)
	a := &audience{t: t, conns: []*Conn{first}, workers: []*stepWorker{w}, r: r}
	for i := 1; i < workers; i++ {
		a.workers = append(a.workers, &stepWorker{id: i})
	}
	peer := session.Peer{Type: entity.TypeOSD, Addrs: first.PeerAddrs(), Policy: msg.LosslessClient()}
	for i := 1; i < n; i++ {
		a.conns = append(a.conns, Connect(uint64(i+1), first.sh, a.workers[i%workers], peer))
	}
	return a
}

// told counts how sendings ended.
type told struct {
	ends  map[msg.Connection]error
	whole int
	onEnd func(c msg.Connection)
}

func (e *told) MessageSent(c msg.Connection, _ *msg.Message, err error) {
	e.ends[c] = err
	if e.onEnd != nil {
		e.onEnd(c)
	}
}
func (e *told) BroadcastSent(*msg.Message) { e.whole++ }

// broadcast sends m over all connections; refused by none.
func (a *audience) broadcast() *told {
	a.t.Helper()
	e := &told{ends: map[msg.Connection]error{}}
	a.send(&msg.Message{Type: 1, Front: []byte("all"), Notify: e})
	return e
}

func (a *audience) send(m *msg.Message) {
	a.t.Helper()
	b := NewBroadcast(a.conns[0].sh)
	require.NoError(a.t, b.Take(m))
	for _, c := range a.conns {
		require.NoError(a.t, b.Send(c))
	}
	b.Post(a.workers[0], func(r any) { a.t.Errorf("%v", r) })
}

func (a *audience) held() (n int) {
	for _, c := range a.conns {
		n += c.s.Pending()
	}
	return n
}

// TestBroadcastPosts: a worker is posted once for all of its connections, and not for those
// that it is about to run anyway.
func TestBroadcastPosts(t *testing.T) {
	a := newAudience(t, 200, 2)
	e := a.broadcast()
	for _, w := range a.workers {
		require.Len(t, w.tasks, 1)
	}
	a.broadcast()
	for _, w := range a.workers {
		require.Len(t, w.tasks, 1, "it is on its way")
		// 100 connections, some at a time: others on the worker have their turns between.
		require.Equal(t, (100+roundLen-1)/roundLen, w.run())
	}
	require.Equal(t, 400, a.held())
	a.broadcast()
	require.NoError(t, a.conns[0].Send(&msg.Message{Type: 2}))
	require.Len(t, a.workers[0].tasks, 1, "the message goes along")
	a.workers[0].run()
	a.workers[1].run()
	require.Equal(t, 601, a.held())
	for _, c := range a.conns {
		c.MarkDown()
	}
	a.workers[0].run()
	a.workers[1].run()
	require.Len(t, e.ends, 200)
	require.Equal(t, 1, e.whole)
	for _, err := range e.ends {
		require.ErrorIs(t, err, msg.ErrMarkedDown)
	}
}

// TestBroadcastOfMany: the first of very many connections do not wait for the last.
func TestBroadcastOfMany(t *testing.T) {
	a := newAudience(t, roundsMax+1, 1)
	b := NewBroadcast(a.conns[0].sh)
	require.NoError(t, b.Take(&msg.Message{Type: 1}))
	for i, c := range a.conns {
		require.Equal(t, i == roundsMax, len(a.workers[0].tasks) > 0, i)
		require.NoError(t, b.Send(c))
	}
	b.Post(a.workers[0], nil)
	require.Len(t, a.workers[0].tasks, 2)
	a.workers[0].run()
	require.Equal(t, roundsMax+1, a.held())
}

// TestBroadcastMoved: a connection that another worker has meanwhile is run there.
func TestBroadcastMoved(t *testing.T) {
	a := newAudience(t, 3, 1)
	to := &stepWorker{id: 1}
	a.broadcast()
	a.conns[1].w = to // as MoveTo does
	a.workers[0].run()
	require.Equal(t, 2, a.held())
	require.Len(t, to.tasks, 1)
	to.run()
	require.Equal(t, 3, a.held())
}

// TestBroadcastStackClosed: when the workers are gone each connection ends, those of one
// round and those behind it.
func TestBroadcastStackClosed(t *testing.T) {
	for _, when := range []string{"before", "between"} {
		a := newAudience(t, roundLen+10, 1)
		w := a.workers[0]
		w.closed = when == "before"
		e := a.broadcast()
		if when == "between" {
			w.closed = true
			w.tasks[0].Run()
			require.Equal(t, roundLen, a.held())
			require.Equal(t, 10, a.r.count("ended"))
			continue
		}
		require.Equal(t, roundLen+10, a.r.count("ended"))
		require.Len(t, e.ends, roundLen+10)
		for _, err := range e.ends {
			require.ErrorIs(t, err, msg.ErrShutdown)
		}
		require.Equal(t, 1, e.whole)
	}
}

// TestBroadcastEndsElsewhere: who broadcasts is not called back, though all sendings have
// ended when he is done.
func TestBroadcastEndsElsewhere(t *testing.T) {
	a := newAudience(t, 2, 1)
	w := a.workers[0]
	for _, c := range a.conns {
		require.NoError(t, c.Send(&msg.Message{Type: 2}))
	}
	e := &told{ends: map[msg.Connection]error{}}
	b := NewBroadcast(a.conns[0].sh)
	require.NoError(t, b.Take(&msg.Message{Type: 1, Notify: e}))
	for _, c := range a.conns {
		require.NoError(t, b.Send(c))
		c.MarkDown()
	}
	w.run() // it was on its way for the messages before
	require.Len(t, e.ends, 2)
	b.Post(w, nil)
	require.Zero(t, e.whole)
	w.run()
	require.Equal(t, 1, e.whole)
}

// TestBroadcastGoexit: who ends the goroutine in the callback of one connection keeps none
// of the others from their turns, and the message from its end.
func TestBroadcastGoexit(t *testing.T) {
	const n = 3
	a := newAudience(t, n, 1)
	w := a.workers[0]
	e := a.broadcast()
	e.onEnd = func(msg.Connection) { runtime.Goexit() }
	for _, c := range a.conns {
		c.Fault(errBroken)
		c.MarkDown()
	}
	for range 100 { // as a worker does
		ended := make(chan struct{})
		task := w.tasks[0]
		go func() {
			defer close(ended)
			w.tasks = w.tasks[1:]
			task.Run()
			task = nil
		}()
		<-ended
		if task != nil {
			w.tasks = append([]eventloop.Task{eventloop.TaskFunc(task.(eventloop.Abandoner).Abandoned)}, w.tasks...)
		}
		if len(w.tasks) == 0 {
			break
		}
	}
	require.Len(t, e.ends, n)
	require.Equal(t, 1, e.whole)
	require.Equal(t, n, a.r.count("ended"))
	require.Equal(t, n, a.r.count("panic"))
}

// TestBroadcastThenLend: a broadcast is no burst of the connection. What its user sends
// later is written by the sender as before.
func TestBroadcastThenLend(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	p.wa.asleep = true
	p.wa.now += time.Millisecond
	b := NewBroadcast(p.a.sh)
	require.NoError(t, b.Take(&msg.Message{Type: 1}))
	require.NoError(t, b.Send(p.a))
	b.Post(p.wa, nil)
	p.settle()
	p.wa.now += time.Millisecond
	require.NoError(t, p.a.Send(&msg.Message{Type: 1}))
	require.Zero(t, p.wa.waiting())
	require.NotZero(t, p.wa.pipe.out.Len())
	p.settle()
	require.Len(t, p.rb.got, 2)
}

// TestBroadcastIsWritten: a connection writes it behind what was sent before, with a full
// socket later, and again after a fault.
func TestBroadcastIsWritten(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	send := func(m *msg.Message) {
		b := NewBroadcast(p.a.sh)
		require.NoError(t, b.Take(m))
		require.NoError(t, b.Send(p.a))
		b.Post(p.wa, nil)
	}
	require.NoError(t, p.a.Send(&msg.Message{Type: 1, Front: []byte("before")}))
	send(&msg.Message{Type: 1, Front: []byte("all")})
	require.Equal(t, 1, p.wa.waiting())
	p.settle()

	p.a.SendKeepalive()
	send(&msg.Message{Type: 1, Front: []byte("with a command")})
	p.settle()

	p.wa.pipe.takes = 10
	send(&msg.Message{Type: 1, Front: []byte("slowly")})
	p.wa.run()
	p.wa.pipe.h.HandleFlush()
	require.Equal(t, 10, p.wa.pipe.out.Len())
	send(&msg.Message{Type: 1, Front: []byte("behind it")})
	p.wa.run()
	require.Equal(t, 10, p.wa.pipe.out.Len(), "the socket is full")
	p.wa.pipe.takes = 0
	p.wa.pipe.h.HandleFlush()
	p.settle()
	var texts []string
	for i, m := range p.rb.got {
		texts = append(texts, string(m.Front))
		require.EqualValues(t, i+1, m.Seq())
	}
	require.Equal(t, []string{"before", "all", "with a command", "slowly", "behind it"}, texts)

	// A fault at the write: the connection has the message still.
	p.wa.pipe.fails = errBroken
	send(&msg.Message{Type: 1, Front: []byte("again")})
	p.wa.run()
	p.wa.pipe.h.HandleFlush()
	require.Equal(t, 1, p.a.s.Unacked()+p.a.s.Pending())
	require.NotEqual(t, session.StateReady, p.a.s.State())
}
