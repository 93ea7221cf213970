package sessiontest

import (
	"errors"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

func testKeepalive(r *rig) {
	t := r.t
	srv := r.srv(msg.StatelessServer())
	cl := r.cl(1, msg.LossyClient())
	c := r.connect(cl, srv)
	s := r.accepted(srv, cl)
	require.Zero(t, s.LastKeepalive())
	require.Zero(t, c.LastKeepaliveAck())
	c.SendKeepalive()
	r.until("answered", func() bool { return !c.LastKeepaliveAck().IsZero() })
	require.False(t, s.LastKeepalive().IsZero())

	busy := r.cl(2, msg.LossyClient(), func(o *Options) { o.KeepaliveInterval = 5 * time.Millisecond })
	c = r.connect(busy, srv)
	acks := map[time.Time]bool{}
	r.until("keepalives", func() bool { acks[c.LastKeepaliveAck()] = true; return len(acks) > 4 })
	require.True(t, c.IsConnected())
	require.Zero(t, busy.times("reset"))
	require.False(t, r.accepted(srv, busy).LastKeepalive().IsZero())
}

func impatient(o *Options) {
	o.KeepaliveInterval, o.KeepaliveTimeout = 20*time.Millisecond, 100*time.Millisecond
}

// testKeepaliveTimeout: a peer that cannot be heard of any more is given up.
func testKeepaliveTimeout(r *rig) {
	t := r.t
	srv := r.srv(msg.StatelessServer())
	cl, x := r.proxied(srv, 1, msg.LossyClient(), impatient)
	c := r.connect(cl, srv)
	x.Freeze()
	require.ErrorIs(t, cl.want("reset", 1).err, session.ErrKeepaliveTimeout)
	require.True(t, c.IsClosed())
	x.Thaw()
}

// testBlockedWriter: the same while the peer's socket takes no more bytes: the queue is
// full, other peers go on, and what was not written is reported.
func testBlockedWriter(r *rig) {
	t := r.t
	srv, other := r.srv(msg.StatelessServer()), r.srv(msg.StatelessServer())
	cl, x := r.proxied(srv, 1, msg.LossyClient(), impatient, func(o *Options) {
		o.SendQueueMessages, o.KeepaliveTimeout = 20, time.Second
	})
	c, good := r.connect(cl, srv), r.connect(cl, other)
	e := &ends{r: r}
	x.Freeze()
	sent := 0
	var err error
	for ; err == nil; sent++ {
		err = c.Send(&msg.Message{Type: 1, Data: make([]byte, 1<<20), Notify: e})
	}
	require.True(t, errors.Is(err, msg.ErrQueueFull) || errors.Is(err, msg.ErrReset), "%v", err)
	r.sendAll(good, 20, nil)
	require.Equal(t, numbers(20), other.wantMessages(20))
	require.ErrorIs(t, cl.want("reset", 1).err, session.ErrKeepaliveTimeout)
	require.True(t, c.IsClosed())
	require.ErrorIs(t, e.want(sent - 1)[sent-2], msg.ErrReset)
	require.True(t, good.IsConnected())
	x.Thaw()
}

// testBlockedReader: the same while a large payload is being received, at the
// receiver.
func testBlockedReader(r *rig) {
	t := r.t
	srv := r.srv(msg.StatelessServer(), impatient)
	cl, x := r.proxied(srv, 1, msg.LossyClient())
	c := r.connect(cl, srv)
	s := r.accepted(srv, cl)
	x.Plan(nil)
	x.FreezeAfter(3 << 20)
	require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 8<<20)}))
	h := srv.want("reset", 1)
	require.Same(t, s, h.conn)
	require.ErrorIs(t, h.err, session.ErrKeepaliveTimeout)
	require.Zero(t, srv.count.Load())
	x.Thaw()
	r.until("nothing held", func() bool { return srv.Count().DispatchBytes == 0 })
}

// testIdleTimeout: a peer with nothing to say is asked for a sign of life; one that gives
// none is given up.
func testIdleTimeout(r *rig) {
	t := r.t
	srv := r.srv(msg.StatelessServer())
	// Half of it has to be enough for an answer, on a busy machine too.
	cl, x := r.proxied(srv, 1, msg.LossyClient(), func(o *Options) { o.IdleTimeout = 2 * time.Second })
	c := r.connect(cl, srv)
	require.NoError(t, c.Send(text("x")))
	srv.wantMessages(1)
	var first time.Time
	r.until("an answer to the first question", func() bool { first = c.LastKeepaliveAck(); return !first.IsZero() })
	r.until("an answer to another one", func() bool { return c.LastKeepaliveAck() != first })
	require.Zero(t, cl.times("reset"))
	x.Freeze()
	require.ErrorIs(t, cl.want("reset", 1).err, session.ErrIdleTimeout)
	x.Thaw()
	require.True(t, c.IsClosed())
	srv.want("reset", 1)
}
