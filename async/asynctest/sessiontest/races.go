package sessiontest

import (
	"sync"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// testConnectionRace: both sides connect at once: one session results, nothing is
// lost, both keep their Connection.
func testConnectionRace(r *rig) {
	for _, p := range []msg.Policy{msg.LosslessPeer(), msg.LosslessPeerReuse(), msg.LossyPeer()} {
		for range shorter(40, 6) {
			r.t.Run("", func(t *testing.T) {
				connectionRace(&rig{t: t, server: r.server, client: r.client, changed: make(chan struct{}, 1)}, p)
			})
		}
	}
}

func connectionRace(r *rig, p msg.Policy) {
	t := r.t
	a := r.up(r.node(r.server, entity.OSD(0), p))
	b := r.up(r.node(r.client, entity.OSD(1), p))
	var ab, ba msg.Connection
	start := make(chan struct{})
	var wg sync.WaitGroup
	connect := func(from, to *node, c *msg.Connection) {
		wg.Go(func() {
			<-start
			var err error
			if *c, err = from.ConnectTo(entity.TypeOSD, to.Addrs()); err != nil {
				t.Error(err)
				return
			}
			for i := range 5 {
				if err := (*c).Send(text("%d", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	connect(a, b, &ab)
	connect(b, a, &ba)
	close(start)
	wg.Wait()
	require.Equal(t, numbers(5), a.wantMessages(5))
	require.Equal(t, numbers(5), b.wantMessages(5))
	r.until("both connected", func() bool { return ab.IsConnected() && ba.IsConnected() })
	r.until("one connection each", func() bool { return a.Count().Connections == 1 && b.Count().Connections == 1 })
	require.Same(t, ab, a.Lookup(b.Addrs()))
	require.Same(t, ba, b.Lookup(a.Addrs()))
	for _, n := range []*node{a, b} {
		require.Zero(t, n.times("reset")+n.times("remote reset")+n.times("undeliverable"))
		for _, s := range n.every() {
			require.True(t, s.conn == ab || s.conn == ba, "%s of a connection nobody asked for", s.what)
		}
	}
}

// testReconnectRace: both lose the connection and both have something to say at
// once; the session goes on, and both keep their Connection.
func testReconnectRace(r *rig) {
	t := r.t
	a, b, xa, xb := r.peers(msg.LosslessPeerReuse())
	ab := r.connect(a, b)
	ba := r.accepted(b, a)
	rounds := shorter(60, 25)
	for i := range rounds {
		cut := xa.CutAll() + xb.CutAll()
		require.NoError(t, ab.Send(text("%d", i)))
		require.NoError(t, ba.Send(text("%d", i)))
		if i%3 == 0 {
			r.until("settled", func() bool { return a.count.Load() == int64(i+1) && b.count.Load() == int64(i+1) })
			require.LessOrEqual(t, cut, 2)
		}
	}
	require.Equal(t, numbers(rounds), a.wantMessages(rounds))
	require.Equal(t, numbers(rounds), b.wantMessages(rounds))
	require.Greater(t, xa.Cuts()+xb.Cuts(), rounds/3)
	for _, n := range []*node{a, b} {
		require.Zero(t, n.times("reset")+n.times("remote reset"))
		r.until("one connection", func() bool { return n.Count().Connections == 1 })
	}
	require.Same(t, ab, a.Lookup(b.Addrs()))
	require.Same(t, ba, b.Lookup(a.Addrs()))
}

// testManyConnect: many goroutines ask for the same connection and get the same.
func testManyConnect(r *rig) {
	srv, cl := r.srv(msg.StatefulServer()), r.cl(1, msg.LosslessClient())
	conns := make([]msg.Connection, 16)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
			if err != nil || c.Send(text("x")) != nil {
				r.t.Error("connect ", err)
			}
			conns[i] = c
		})
	}
	wg.Wait()
	for _, c := range conns {
		require.Same(r.t, conns[0], c)
	}
	srv.wantMessages(len(conns))
	require.EqualValues(r.t, 1, srv.Count().Accepted)
}
