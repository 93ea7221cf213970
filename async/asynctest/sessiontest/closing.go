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
	srv := r.node(r.server, entity.OSD(0), msg.StatelessServer())
	hold := r.gate()
	srv.onMessage = func(m *msg.Message) {
		if string(m.Front) == "hold" {
			hold.pass()
		}
	}
	r.up(srv)
	a, b := r.cl(1, msg.LossyClient()), r.cl(2, msg.LossyClient())
	r.connect(b, srv)
	s := r.accepted(srv, b)
	require.NoError(t, a.SendTo(text("hold"), entity.TypeOSD, srv.Addrs()))
	hold.wantArrived(1)
	c := r.connect(b, srv)
	r.sendAll(c, 20, nil)
	r.until("queued", func() bool { return srv.Count().Queued == 20 })
	c.MarkDown()
	r.until("reset queued", func() bool { return srv.Count().Queued == 21 })
	require.True(t, s.IsClosed())
	s.MarkDown()
	require.Zero(t, srv.Count().Queued)
	hold.open()
	require.NoError(t, a.SendTo(text("next"), entity.TypeOSD, srv.Addrs()))
	require.Equal(t, []string{"hold", "next"}, srv.wantMessages(2))
	require.Zero(t, srv.times("reset"))
	require.EqualValues(t, 20, srv.Count().Discarded)
}

// testMarkDownInFast: a fast dispatcher marks its connection down while more
// messages of the same read wait: they are not heard of, and hold nothing.
func testMarkDownInFast(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	var after atomic.Int32
	var down sync.Map
	srv.fast = func(*msg.Message) bool { return true }
	srv.onMessage = func(m *msg.Message) {
		c := m.Connection()
		if _, was := down.Load(c); was {
			after.Add(1)
		}
		c.MarkDown()
		down.Store(c, true)
	}
	r.up(srv)
	cl := r.cl(1, msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	for round := range 5 {
		for range 30 {
			require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 40)}))
		}
		// What was under way when the client heard of it is lost.
		r.until("marked down", func() bool {
			_ = c.Send(&msg.Message{Type: 1, Data: make([]byte, 40)})
			return srv.count.Load() > int64(round)
		})
	}
	c.MarkDown()
	srv.MarkDownAll()
	r.until("nothing held", func() bool { return srv.Count().DispatchBytes == 0 })
	require.Zero(t, after.Load())
	require.Zero(t, srv.times("reset"))
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
	_, err = cl.ConnectTo(entity.TypeOSD, to)
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.NoError(t, cl.Shutdown(r.timeout()), "again")
}

// testShutdownUnderLoad: everything accepted has an end, and no callback runs after
// Shutdown has returned.
func testShutdownUnderLoad(r *rig) {
	t := r.t
	srv, cl := r.node(r.server, entity.OSD(0), msg.LosslessPeer()), r.node(r.client, entity.OSD(1), msg.LosslessPeer())
	var over, late atomic.Bool
	check := func() {
		if over.Load() {
			late.Store(true)
		}
	}
	srv.onMessage = func(*msg.Message) { check() }
	srv.onEvent = func(string, msg.Connection) { check() }
	r.up(srv)
	r.up(cl)
	e := &ends{r: r}
	c := r.connect(cl, srv)
	var wg sync.WaitGroup
	var accepted atomic.Int64
	for range 3 {
		wg.Go(func() {
			for {
				m := &msg.Message{Type: 1, Data: make([]byte, 300), Notify: e}
				if c.SendContext(t.Context(), m) != nil {
					return
				}
				accepted.Add(1)
			}
		})
	}
	r.until("under load", func() bool { return srv.count.Load() > 500 })
	require.NoError(t, srv.Shutdown(r.timeout()))
	over.Store(true)
	require.NoError(t, cl.Shutdown(r.timeout()))
	wg.Wait()
	require.Len(t, e.all(), int(accepted.Load()))
	k := cl.Count()
	require.EqualValues(t, accepted.Load(), k.Delivered+k.Undeliverable)
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
