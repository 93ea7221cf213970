package sessiontest

import (
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// wantDropped checks that n messages of cl were reported dropped for that reason,
// in every way there is.
func (r *rig) wantDropped(cl *node, e *ends, n int, reason error) {
	r.t.Helper()
	for _, err := range e.want(n) {
		require.ErrorIs(r.t, err, reason)
	}
	cl.want("undeliverable", n)
	var texts []string
	for _, s := range cl.of("undeliverable") {
		require.ErrorIs(r.t, s.err, reason)
		texts = append(texts, s.text)
	}
	require.ElementsMatch(r.t, numbers(n), texts)
	r.until("counted", func() bool { return cl.Count().Undeliverable == uint64(n) })
}

func testMarkDownDrops(r *rig) {
	t := r.t
	cl := r.cl(1, msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	e := &ends{r: r}
	r.sendAll(c, 50, e)
	require.Same(t, c, cl.Lookup(c.PeerAddrs()))
	require.True(t, cl.MarkDown(c.PeerAddrs()))
	require.False(t, cl.MarkDown(c.PeerAddrs()))
	err = c.Send(text("late"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrMarkedDown)
	require.ErrorIs(t, c.SendContext(t.Context(), text("late")), msg.ErrMarkedDown)
	r.wantDropped(cl, e, 50, msg.ErrMarkedDown)
	c.MarkDown()
	require.Zero(t, cl.times("reset"))
	r.until("forgotten", func() bool { return cl.Count().Connections == 0 })
}

// testMarkDownQueued: messages and events that wait for a dispatcher are not heard
// of after MarkDown, that of a reset included.
func testMarkDownQueued(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatelessRegisteredServer())
	hold := srv.heldAt("hold")
	r.up(srv)
	a, b := r.cl(1, msg.LossyClient()), r.cl(2, msg.LossyClient())
	require.NoError(t, a.SendTo(text("hold"), entity.TypeOSD, srv.Addrs()))
	hold.wantArrived(1)
	c := r.connect(b, srv)
	s := srv.Lookup(b.Addrs())
	r.sendAll(c, 20, nil)
	r.until("queued", func() bool { return srv.Count().Queued == 21 }) // with the accept event
	c.MarkDown()
	r.until("reset queued", func() bool { return srv.Count().Queued == 22 })
	require.True(t, s.IsClosed())
	s.MarkDown()
	require.Zero(t, srv.Count().Queued)
	hold.open()
	require.NoError(t, a.SendTo(text("next"), entity.TypeOSD, srv.Addrs()))
	require.Equal(t, []string{"hold", "next"}, srv.wantMessages(2))
	require.Zero(t, srv.times("reset"))
	require.Equal(t, 1, srv.times("accept"))
	require.EqualValues(t, 20, srv.Count().Discarded)
}

// testMarkDownInside: a callback marks its connection down while more of the same read
// or of the queue waits: that is not heard of, and holds nothing.
func testMarkDownInside(r *rig) {
	t := r.t
	onPool := func(what string) bool { return what == "message" || what == "accept" }
	for _, where := range []string{"message", "fast", "accept", "fast accept", "prepare"} {
		srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
		var marked, after atomic.Int32
		var down sync.Map
		heard := func(what string, c msg.Connection) {
			if _, was := down.Load(c); was && onPool(what) == onPool(where) { // others may have begun before
				after.Add(1)
			}
			if what == where {
				c.MarkDown()
				down.Store(c, true)
				marked.Add(1)
			}
		}
		srv.fast = func(*msg.Message) bool { return where == "fast" }
		srv.prepare = func(m *msg.Message) { heard("prepare", m.Connection()) }
		srv.onMessage = func(m *msg.Message) {
			what := "message"
			if where == "fast" {
				what = "fast"
			}
			heard(what, m.Connection())
		}
		srv.onEvent = heard
		r.up(srv)
		cl := r.cl(1, msg.LosslessClient())
		c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		for round := range int32(5) {
			for range 30 {
				require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 40)}))
			}
			// What was under way when the client heard of it is lost.
			r.until(where+": marked down", func() bool {
				_ = c.Send(&msg.Message{Type: 1, Data: make([]byte, 40)})
				return marked.Load() > round
			})
		}
		c.MarkDown()
		srv.MarkDownAll()
		r.until("nothing held", func() bool { return srv.Count().DispatchBytes == 0 })
		require.Zero(t, after.Load(), where)
		require.Zero(t, srv.times("reset"), where)
	}
}

// testDisposable: the next fault ends the session.
func testDisposable(r *rig) {
	t := r.t
	srv := r.srv(msg.StatefulServer())
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	c := r.connect(cl, srv)
	c.MarkDisposable()
	r.until("lossy", func() bool { return c.Policy().Lossy })
	require.True(t, c.IsConnected())
	require.Equal(t, 1, x.CutAll())
	require.ErrorIs(t, cl.want("reset", 1).err, msg.ErrReset)
	require.True(t, c.IsClosed())
}

// testShutdownReports: what cannot be delivered any more is reported by the time
// Shutdown returns.
func testShutdownReports(r *rig) {
	t := r.t
	cl := r.cl(1, msg.LosslessClient())
	to := silent(t)
	c, err := cl.ConnectTo(entity.TypeOSD, to)
	require.NoError(t, err)
	e := &ends{r: r}
	r.sendAll(c, 50, e)
	require.NoError(t, cl.Shutdown(r.timeout()))
	require.Len(t, e.all(), 50)
	r.wantDropped(cl, e, 50, msg.ErrShutdown)
	err = c.Send(text("late"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.ErrorIs(t, c.SendContext(t.Context(), text("late")), msg.ErrShutdown)
	_, err = cl.ConnectTo(entity.TypeOSD, to)
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.NoError(t, cl.Shutdown(r.timeout()), "again")
}

// testShutdownUnderLoad: everything accepted and everything received is accounted for,
// and no callback runs after Shutdown has returned.
func testShutdownUnderLoad(r *rig) {
	t := r.t
	a, b := r.node(r.server, entity.OSD(0), msg.LosslessPeer()), r.node(r.client, entity.OSD(1), msg.LosslessPeer())
	nodes := []*node{a, b}
	var over [2]atomic.Bool
	var late atomic.Bool
	for i, n := range nodes {
		check := func() {
			if over[i].Load() {
				late.Store(true)
			}
		}
		n.onMessage = func(*msg.Message) { check() }
		n.onEvent = func(string, msg.Connection) { check() }
		r.up(n)
	}
	e := &ends{r: r}
	var senders, closers sync.WaitGroup
	var accepted atomic.Int64
	for g := range 4 {
		c := r.connect(nodes[g%2], nodes[1-g%2])
		senders.Go(func() {
			for {
				m := &msg.Message{Type: 1, Data: make([]byte, 300), Notify: e}
				if c.SendContext(t.Context(), m) != nil {
					return
				}
				accepted.Add(1)
			}
		})
	}
	r.until("under load", func() bool { return a.count.Load() > 500 && b.count.Load() > 500 })
	for i, n := range nodes {
		closers.Go(func() {
			if err := n.Shutdown(r.timeout()); err != nil {
				t.Error(err)
			}
			over[i].Store(true)
		})
	}
	closers.Wait()
	senders.Wait()
	require.Len(t, e.all(), int(accepted.Load()))
	k, l := a.Count(), b.Count()
	require.EqualValues(t, accepted.Load(), k.Delivered+k.Undeliverable+l.Delivered+l.Undeliverable)
	require.EqualValues(t, k.Received, uint64(a.count.Load())+k.Discarded)
	require.EqualValues(t, l.Received, uint64(b.count.Load())+l.Discarded)
	require.False(t, late.Load(), "a callback after Shutdown")
}

// testPanic: a panic of a dispatcher is caught, the throttles get back what the
// message held, and the session goes on over another connection.
func testPanic(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	var once atomic.Bool
	srv.onMessage = func(m *msg.Message) {
		if string(m.Front) == "5" && !once.Swap(true) {
			panic("boom")
		}
	}
	r.up(srv)
	cl := r.cl(1, msg.LosslessClient())
	c := r.connect(cl, srv)
	e := &ends{r: r}
	r.sendAll(c, 50, e)
	for _, err := range e.want(50) {
		require.NoError(t, err, "accepted, whatever becomes of it")
	}
	r.until("again", func() bool { return srv.Count().Panics == 1 && srv.Count().Accepted >= 2 && c.IsConnected() })
	require.NoError(t, c.Send(text("after")))
	srv.wantMessages(50) // all but one, and the last
	r.until("throttles", func() bool { return srv.Count().DispatchBytes == 0 })
}
