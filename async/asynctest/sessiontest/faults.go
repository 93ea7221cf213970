package sessiontest

import (
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// transports are what p was told of the transports of c, in order: "connect" and "accept" are "up",
// the rest is as it is.
func (p *probe) transports(c msg.Connection) (order []string) {
	for _, s := range p.every() {
		switch {
		case s.conn != c:
		case s.what == "connect", s.what == "accept":
			order = append(order, "up")
		case s.what == "fault", s.what == "reset", s.what == "remote reset":
			order = append(order, s.what)
		}
	}
	return order
}

// upAndDown is "up", and n times "fault" and "up".
func upAndDown(n int) []string {
	order := []string{"up"}
	for range n {
		order = append(order, "fault", "up")
	}
	return order
}

// testFaults: each lost transport of a session that goes on is told once, in order with the
// others, with its cause.
func testFaults(r *rig) {
	t := r.t
	srv := r.srv(msg.StatefulServer())
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	c := r.connect(cl, srv)
	s := r.accepted(srv, cl)
	const n = 5
	for i := range n {
		require.NoError(t, c.Send(text("%d", i)))
		require.NoError(t, c.Flush(r.timeout()))
		require.Equal(t, 1, x.CutAll())
		r.until("it is back", func() bool {
			return cl.times("connect") == i+2 && srv.times("accept") == i+2
		})
	}
	for _, end := range []struct {
		n *node
		c msg.Connection
	}{{cl, c}, {srv, s}} {
		require.Equal(t, upAndDown(n), end.n.transports(end.c))
		require.Len(t, end.n.of("fast fault"), n)
		for i, f := range end.n.of("fault") {
			require.Error(t, f.err)
			require.Equal(t, end.n.of("fast fault")[i].err, f.err)
		}
	}
	// The cause is the one of LastError.
	x.Refuse()
	require.Equal(t, 1, x.CutAll())
	require.Equal(t, srv.want("fault", n+1).err, s.LastError())
	x.Accept()
	cl.want("connect", n+2)
	srv.want("accept", n+2)
	c.MarkDown()
	srv.want("fault", n+2)
	require.Equal(t, n+1, cl.times("fault"), "a mark down is no fault")

	// A lossy session ends instead.
	less := r.srv(msg.StatelessServer())
	lossy, y := r.proxied(less, 2, msg.LossyClient())
	c = r.connect(lossy, less)
	r.accepted(less, lossy)
	require.Equal(t, 1, y.CutAll())
	require.Same(t, c, lossy.want("reset", 1).conn)
	less.want("reset", 1)
	require.Equal(t, []string{"up", "reset"}, lossy.transports(c))
	require.Zero(t, less.times("fault")+lossy.times("fast fault")+less.times("fast fault"))
}

// testManyFaults: when the pool is busy while a connection breaks again and again, so many
// faults are told as may wait, and at the end the last one, if the connection is down.
func testManyFaults(r *rig) {
	const waiting, more = 16, 5
	t := r.t
	for _, up := range []bool{true, false} {
		srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
		hold := srv.heldAt("hold")
		r.up(srv)
		cl, x := r.proxied(srv, 1, msg.LosslessClient())
		c := r.connect(cl, srv)
		s := r.accepted(srv, cl)
		require.NoError(t, c.Send(text("hold")))
		hold.wantArrived(1)
		for i := range waiting + more {
			require.NoError(t, c.Send(text("x")))
			require.NoError(t, c.Flush(r.timeout()))
			require.Equal(t, 1, x.CutAll())
			r.until("it is back", func() bool { return srv.times("fast accept") == i+2 })
			r.until("at both ends", c.IsConnected)
		}
		if !up {
			x.Refuse()
			require.Equal(t, 1, x.CutAll())
			r.until("it is down", func() bool { return !s.IsConnected() })
		}
		require.Equal(t, []string{"up"}, srv.transports(s), "the pool is busy")
		fast := srv.times("fast fault")
		hold.open()
		want := upAndDown(waiting)
		for range more {
			want = append(want, "up")
		}
		if !up {
			want = append(want, "fault")
			require.Equal(t, waiting+more+1, fast)
		} else {
			require.Equal(t, waiting+more, fast)
		}
		r.until("the pool has told all", func() bool { return len(srv.transports(s)) >= len(want) })
		require.Equal(t, want, srv.transports(s))
		x.Accept()
		require.NoError(t, c.Send(text("again")))
		r.until("again", func() bool { a := srv.texts(); return a[len(a)-1] == "again" })

		// There is room again.
		require.NoError(t, c.Flush(r.timeout()))
		require.Equal(t, 1, x.CutAll())
		r.until("told of that", func() bool { return srv.times("fast fault") == srv.times("fault")+more })
	}
}
