package sessiontest

import (
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// testStateful: a session lives on in the server when the client forgets it, and
// the server hears of that; and the other way round.
func testStateful(r *rig) {
	t := r.t
	srv, cl := r.srv(msg.StatefulServer()), r.cl(1, msg.LosslessClient())
	c := r.connect(cl, srv)
	require.NoError(t, c.Send(text("1")))
	srv.wantMessages(1)
	s := r.accepted(srv, cl)
	s.SetValue("session")
	cl.want("connect", 1) // a mark down would discard it
	c.MarkDown()
	r.until("the server noticed", func() bool { return !s.IsConnected() })
	require.False(t, s.IsClosed())
	require.Same(t, s, srv.Lookup(cl.Addrs()))

	c2 := r.connect(cl, srv)
	require.NotSame(t, c, c2)
	require.Same(t, s, srv.want("remote reset", 1).conn)
	require.Same(t, s, srv.want("accept", 2).conn)
	require.Equal(t, "session", s.Value())
	require.NoError(t, c2.Send(text("2")))
	srv.wantMessages(2)

	s.MarkDown()
	require.Same(t, c2, cl.want("remote reset", 1).conn)
	require.Same(t, c2, cl.want("connect", 3).conn)
	require.NoError(t, c2.Send(text("3")))
	srv.wantMessages(3)
	require.NotSame(t, s, srv.of("message")[2].conn)
	require.Zero(t, cl.times("reset")+srv.times("reset"))
}

// testStateless: sessions end with their connection.
func testStateless(r *rig) {
	t := r.t
	srv, cl := r.srv(msg.StatelessServer()), r.cl(1, msg.LossyClient())
	c := r.connect(cl, srv)
	require.NoError(t, c.Send(text("1")))
	srv.wantMessages(1)
	first := srv.of("message")[0].conn
	c.MarkDown()
	require.Same(t, first, srv.want("reset", 1).conn)
	require.True(t, first.IsClosed())

	c = r.connect(cl, srv)
	require.NoError(t, c.Send(text("2")))
	srv.wantMessages(2)
	second := srv.of("message")[1].conn
	require.NotSame(t, first, second)
	second.MarkDown()
	require.Same(t, c, cl.want("reset", 1).conn)
	require.ErrorIs(t, c.Send(text("x")), msg.ErrReset)
	require.NoError(t, cl.SendTo(text("3"), entity.TypeOSD, srv.Addrs()))
	srv.wantMessages(3)
	require.Zero(t, cl.times("remote reset")+srv.times("remote reset"))
}

// testRegistered: one connection per client address.
func testRegistered(r *rig) {
	t := r.t
	srv, cl := r.srv(msg.StatelessRegisteredServer()), r.cl(1, msg.LossyClient())
	a, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	r.until("connected", a.IsConnected)
	first := srv.want("accept", 1).conn
	b, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	r.until("connected", b.IsConnected)
	s := srv.want("reset", 1)
	require.Same(t, first, s.conn)
	require.ErrorIs(t, s.err, session.ErrReplaced)
	require.Same(t, a, cl.want("reset", 1).conn)
	r.until("one connection", func() bool { return srv.Count().Connections == 1 })
}

// testFastResets: while the pool is busy a worker tells of the loss of a session, behind the
// last message of it that is fast dispatched, and before the first of the next one.
func testFastResets(r *rig) {
	t := r.t
	for range shorter(20, 5) {
		srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
		hold := srv.heldAt("hold")
		srv.fast = func(m *msg.Message) bool { return string(m.Front) != "hold" }
		queued := srv.queuedAt("fast remote reset")
		r.up(srv)
		cl := r.cl(1, msg.LosslessClient())
		c := r.connect(cl, srv)
		r.sendAll(c, 10, nil)
		require.NoError(t, c.Send(text("hold")))
		hold.wantArrived(1)
		s := r.accepted(srv, cl)
		c.MarkDown()
		c2, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		r.sendAll(c2, 10, nil)
		r.until("all of both sessions", func() bool { return len(srv.of("fast")) == 20 })
		require.Zero(t, srv.times("remote reset"), "the pool is busy")
		require.EqualValues(t, 1, queued.Load(), "the fault alone waits for the pool")
		var order []string
		for _, x := range srv.every() {
			require.Same(t, s, x.conn)
			if x.what == "fast" {
				x.what = x.text
			}
			order = append(order, x.what)
		}
		want := append([]string{"fast accept", "accept"}, numbers(10)...)
		want = append(append(want, "fast fault", "fast remote reset", "fast accept"), numbers(10)...)
		require.ElementsMatch(t, want, order)
		if r.server.LateFaults {
			order = slices.DeleteFunc(order, func(what string) bool { return what == "fast fault" })
		}
		at := slices.Index(order, "fast remote reset")
		require.Equal(t, append([]string{"fast remote reset", "fast accept"}, numbers(10)...), order[at:])
		hold.open()
		require.Same(t, s, srv.want("remote reset", 1).conn)
		srv.want("accept", 2)
	}

	srv := r.node(r.server, entity.OSD(0), msg.StatelessRegisteredServer())
	hold := srv.heldAt("hold")
	queued := srv.queuedAt("fast reset")
	r.up(srv)
	cl := r.cl(1, msg.LossyClient())
	c := r.connect(cl, srv)
	require.NoError(t, c.Send(text("hold")))
	hold.wantArrived(1)
	first := r.accepted(srv, cl)
	c.MarkDown()
	require.Same(t, first, srv.want("fast reset", 1).conn)
	require.Zero(t, srv.times("reset"), "the pool is busy")
	require.Zero(t, queued.Load(), "the pool was to be told already")
	require.Nil(t, srv.Lookup(cl.Addrs()))
	hold.open()
	require.Same(t, first, srv.want("reset", 1).conn)
}

// queuedAt is how much waited for the pool when n was told of that, the last time; before
// Start.
func (n *node) queuedAt(event string) *atomic.Int64 {
	queued := new(atomic.Int64)
	n.onEvent = func(what string, _ msg.Connection) {
		if what == event {
			queued.Store(int64(n.Count().Queued))
		}
	}
	return queued
}

// testStandby: with nothing to say a peer does not reconnect; what it says then
// finds that the server forgot the session.
func testStandby(r *rig) {
	t := r.t
	srv, cl := r.srv(msg.StatefulServer()), r.cl(1, msg.LosslessPeerReuse())
	c := r.connect(cl, srv)
	require.NoError(t, c.Send(text("1")))
	srv.wantMessages(1)
	// Nothing may wait for an acknowledgement: that is something to say.
	r.until("acknowledged", func() bool { return cl.Count().Delivered == 1 })
	r.accepted(srv, cl).MarkDown()
	r.until("broken", func() bool { return !c.IsConnected() })
	r.until("closed", func() bool { return srv.Count().Connections == 0 })
	require.False(t, c.IsClosed())
	require.EqualValues(t, 1, cl.Count().Connected)
	r.until("told of the connection", func() bool { return cl.times("connect") == 1 })
	require.NoError(t, c.Send(text("lost")))
	require.Same(t, c, cl.want("remote reset", 1).conn)
	require.Same(t, c, cl.want("connect", 2).conn)
	require.NoError(t, c.Send(text("2")))
	r.until("2", func() bool { s := srv.texts(); return s[len(s)-1] == "2" })
}

// testAdopted: where the policies of the two ends do not match the server's counts: the
// session ends with its transport, or does not.
func testAdopted(r *rig) {
	t := r.t
	for _, p := range []struct{ server, client msg.Policy }{
		{msg.StatelessServer(), msg.LosslessClient()}, {msg.StatefulServer(), msg.LossyClient()},
	} {
		srv := r.srv(p.server)
		cl, x := r.proxied(srv, 1, p.client)
		r.connect(cl, srv).MarkDown()
		c := r.connect(cl, srv)
		require.Equal(t, p.server.Lossy, c.Policy().Lossy)
		require.Equal(t, 1, x.CutAll())
		if p.server.Lossy {
			require.Same(t, c, cl.want("reset", 1).conn)
			continue
		}
		require.NoError(t, c.Send(text("resumed")))
		srv.wantMessages(1)
		require.Zero(t, cl.times("reset"))
	}
}

// testForgotten: a server forgets its sessions while much of them is under way: what it
// did not take is reported, and they begin anew.
func testForgotten(r *rig) {
	t := r.t
	th := dispatch.NewThrottle(1)
	h := r.throttled(th, nil)
	s, e := r.accepted(h.srv, h.cl), &ends{r: r}
	m := text("hold")
	m.Notify = e
	require.NoError(t, h.a.Send(m))
	h.hold.wantArrived(1)
	require.NoError(t, e.want(1)[0], "the one in dispatch is acknowledged")
	r.sendAll(h.a, 49, e)
	r.until("reading stopped", func() bool { return th.Stats().Waiting == 1 })
	h.srv.MarkDownAll()
	require.True(t, s.IsClosed())
	h.hold.open()
	for _, n := range []*node{h.cl, h.mds} {
		n.want("remote reset", 1)
		n.want("connect", 2)
		require.Zero(t, n.times("reset"))
	}
	require.ErrorIs(t, h.cl.want("undeliverable", 49).err, msg.ErrRemoteReset)
	for _, err := range e.want(50)[1:] {
		require.ErrorIs(t, err, msg.ErrRemoteReset)
	}
	require.NoError(t, h.a.Send(text("fresh")))
	require.Equal(t, []string{"hold", "fresh"}, h.srv.wantMessages(2))
	require.EqualValues(t, 1, h.srv.of("message")[1].m.Seq())
	require.NotSame(t, s, h.srv.Lookup(h.cl.Addrs()))
	require.Zero(t, h.srv.times("reset"))
}

// testRestart: a server goes and comes back under the same address and nonce, with
// no memory. Who calls it hears of that, and what was under way is reported.
func testRestart(r *rig) {
	for _, p := range []struct{ server, client msg.Policy }{
		{msg.StatefulServer(), msg.LosslessClient()},
		{msg.LosslessPeerReuse(), msg.LosslessPeerReuse()},
		{msg.LosslessPeer(), msg.LosslessPeer()},
	} {
		t := r.t
		old := r.srv(p.server, fixedNonce)
		at := old.Addrs()
		cl := r.cl(1, p.client)
		c := r.connect(cl, old)
		require.NoError(t, c.Send(text("old")))
		old.wantMessages(1)
		r.until("acknowledged", func() bool { return cl.Count().Delivered == 1 })
		require.NoError(t, old.Shutdown(r.timeout()))
		r.until("broken", func() bool { return !c.IsConnected() })
		e := &ends{r: r}
		r.sendAll(c, 10, e) // to nobody

		srv := r.restarted(at, p.server)
		for _, err := range e.want(10) {
			require.ErrorIs(t, err, msg.ErrRemoteReset)
		}
		require.Same(t, c, cl.want("remote reset", 1).conn)
		cl.want("undeliverable", 10)
		r.until("connected", c.IsConnected)
		r.sendAll(c, 10, nil)
		require.Equal(t, numbers(10), srv.wantMessages(10))
		require.Zero(t, cl.times("reset")+srv.times("reset")+srv.times("remote reset"))
	}
}

func fixedNonce(o *Options) { o.Nonce = 4242 }

// restarted is a server at the address of one that was shut down.
func (r *rig) restarted(at entity.AddrVec, p msg.Policy) *node {
	r.t.Helper()
	srv := r.node(r.server, entity.OSD(0), p, fixedNonce)
	require.NoError(r.t, srv.Bind(at[0].AddrPort))
	require.NoError(r.t, srv.Start())
	require.True(r.t, at.Equal(srv.Addrs()))
	return srv
}

// testRestartCalls: the one that came back without memory calls a peer that stands
// by. With ResetCheck that one hears of it.
func testRestartCalls(r *rig) {
	for _, p := range []msg.Policy{msg.LosslessPeer(), msg.LosslessPeerReuse()} {
		t := r.t
		old := r.srv(p, fixedNonce)
		at := old.Addrs()
		peer := r.up(r.node(r.client, entity.OSD(1), p))
		c := r.connect(peer, old)
		require.NoError(t, old.Shutdown(r.timeout()))
		r.until("broken", func() bool { return !c.IsConnected() })
		srv := r.restarted(at, p)
		back := r.connect(srv, peer)
		require.NoError(t, back.Send(text("I am back")))
		require.Equal(t, []string{"I am back"}, peer.wantMessages(1))
		require.Same(t, c, peer.of("message")[0].conn)
		require.NoError(t, c.Send(text("welcome")))
		require.Equal(t, []string{"welcome"}, srv.wantMessages(1))
		resets := 0
		if p.ResetCheck {
			resets = 1
		}
		require.Equal(t, resets, peer.times("remote reset"))
		require.Zero(t, peer.times("reset")+srv.times("reset")+srv.times("remote reset"))
	}
}

// testNewNonce: a server that comes back with another nonce is somebody else: its
// old address is called in vain until it is marked down.
func testNewNonce(r *rig) {
	t := r.t
	old := r.srv(msg.StatefulServer())
	at := old.Addrs()
	cl := r.cl(1, msg.LosslessClient())
	c := r.connect(cl, old)
	require.NoError(t, old.Shutdown(r.timeout()))
	require.NoError(t, c.Send(text("to the old one")))
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(at[0].AddrPort))
	require.NoError(t, srv.Start())
	require.False(t, at.Equal(srv.Addrs()))
	faults := cl.Count().Faults
	r.until("attempts", func() bool { return cl.Count().Faults >= faults+3 })
	require.False(t, c.IsConnected())
	require.Zero(t, srv.times("accept"))
	// It was told that the session is no more, before it could see with whom it spoke.
	require.ErrorIs(t, cl.want("undeliverable", 1).err, msg.ErrRemoteReset)
	require.NoError(t, c.Send(text("still to the old one")))
	c.MarkDown()
	require.ErrorIs(t, cl.want("undeliverable", 2).err, msg.ErrMarkedDown)
	c2 := r.connect(cl, srv)
	require.NotSame(t, c, c2)
	require.NoError(t, c2.Send(text("to the new one")))
	require.Equal(t, []string{"to the new one"}, srv.wantMessages(1))

	// A client with another nonce is another one too: the server keeps both sessions.
	again := r.cl(1, msg.LosslessClient())
	require.NoError(t, r.connect(again, srv).Send(text("again")))
	srv.wantMessages(2)
	r.until("two connections", func() bool { return srv.Count().Connections == 2 })
	require.Zero(t, srv.times("remote reset"))
}

func testFeatures(r *rig) {
	t := r.t
	p := msg.StatelessServer()
	p.FeaturesRequired = 1 << 13
	srv := r.srv(p)
	q := msg.LossyClient()
	q.FeaturesSupported = msg.FeaturesAll &^ (1 << 13)
	lacks := r.cl(1, q)
	c, err := lacks.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(text("no")))
	r.until("attempts", func() bool { return lacks.Count().Faults >= 3 })
	require.False(t, c.IsConnected())
	c.MarkDown()
	has := r.cl(2, msg.LossyClient())
	c = r.connect(has, srv)
	require.NoError(t, c.Send(text("yes")))
	require.Equal(t, []string{"yes"}, srv.wantMessages(1))
	require.NotZero(t, c.Features()&(1<<13))

	// The client's demands count too.
	q = msg.LossyClient()
	q.FeaturesRequired = 1 << 62
	wants := r.cl(3, q)
	c, err = wants.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	r.until("attempts", func() bool { return wants.Count().Faults >= 2 })
	require.False(t, c.IsConnected())
}

// testRefused: a host that refuses is told of for each attempt, and called again
// until the connection is marked down.
func testRefused(r *rig) {
	t := r.t
	srv := r.srv(msg.StatefulServer())
	at := srv.Addrs()
	require.NoError(t, srv.Shutdown(r.timeout()))
	cl := r.cl(1, msg.LosslessClient())
	e := &ends{r: r}
	c, err := cl.ConnectTo(entity.TypeOSD, at)
	require.NoError(t, err)
	r.sendAll(c, 3, e)
	r.until("refused", func() bool { return cl.times("refused") >= 5 })
	require.ErrorIs(t, cl.of("refused")[0].err, syscall.ECONNREFUSED)
	require.False(t, c.IsConnected())
	require.False(t, c.IsClosed())
	c.MarkDown()
	for _, err := range e.want(3) {
		require.ErrorIs(t, err, msg.ErrMarkedDown)
	}
	require.NoError(t, cl.Shutdown(r.timeout()))
	require.LessOrEqual(t, uint64(cl.times("refused")), cl.Count().Refused)
	require.Equal(t, cl.Count().Faults, cl.Count().Refused, "one for each attempt")
	require.Zero(t, cl.times("reset"))
}

// testSomebodyElse: a peer of another type than was asked for ends the connection.
func testSomebodyElse(r *rig) {
	t := r.t
	srv, cl := r.node(r.server, entity.OSD(0), msg.StatefulServer()), r.cl(1, msg.LosslessClient())
	require.NoError(t, srv.Bind(local))
	c, err := cl.ConnectTo(entity.TypeMon, srv.Addrs())
	require.NoError(t, err)
	e := &ends{r: r}
	r.sendAll(c, 50, e)
	require.NoError(t, srv.Start()) // not before, and so it cannot answer sooner
	r.until("closed", c.IsClosed)
	r.wantDropped(cl, e, 50, msg.ErrReset)
	require.ErrorIs(t, cl.want("reset", 1).err, msg.ErrReset)
	err = c.Send(text("late"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrReset)
	require.EqualValues(t, 1, cl.Count().Resets)
	require.Zero(t, srv.times("accept"))
}
