package sessiontest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// shorter is n, or a part of it with -short.
func shorter(n, short int) int {
	if testing.Short() {
		return short
	}
	return n
}

// testLosslessCuts: the connections of a session are cut, in either direction, at
// bytes of the banner, of each handshake frame, and of the messages: everything is
// handed over once and in order, and comes back so.
func testLosslessCuts(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	srv.echo = true
	r.up(srv)
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	x.Plan(func(n int) (up, down int64) {
		at := 11 * int64(n) // a handshake has about 400 bytes
		if n%3 == 2 {
			at = 300 + 97*int64(n) // in the session
		}
		if n%2 == 0 {
			return at, -1
		}
		return -1, at
	})
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	e := &ends{r: r}
	cuts, sent := shorter(80, 30), 0
	for x.Cuts() < cuts {
		for range 5 {
			m := text("%d", sent)
			m.Notify, m.Data = e, pattern(sent, sent%700)
			require.NoError(t, c.Send(m))
			sent++
		}
		r.until("echoes", func() bool { return cl.count.Load() >= int64(sent-20) || x.Cuts() >= cuts })
	}
	x.Plan(nil)
	require.Equal(t, numbers(sent), cl.wantMessages(sent))
	require.Equal(t, numbers(sent), srv.texts())
	for i, s := range cl.of("message") {
		require.Same(t, c, s.conn)
		require.True(t, bytes.Equal(pattern(i, i%700), s.m.Data), "data of %d", i)
	}
	for _, err := range e.want(sent) {
		require.NoError(t, err)
	}
	require.Zero(t, cl.times("reset")+srv.times("reset")+cl.times("remote reset")+srv.times("remote reset"))
	require.Zero(t, cl.Count().Undeliverable+srv.Count().Undeliverable)
	require.Same(t, c, cl.Lookup(srv.Addrs()))
	r.until("one connection", func() bool { return srv.Count().Connections == 1 })
	// One event for each time that the session became ready, and the first before all else: among
	// what the worker calls, and among what is queued. A worker may say that a connection is lost
	// before the queue has said that there was one.
	r.until("connects", func() bool { return uint64(cl.times("connect")) == cl.Count().Connected })
	r.until("accepts", func() bool { return uint64(srv.times("accept")) == srv.Count().Accepted })
	require.Equal(t, cl.times("connect"), cl.times("fast connect"))
	require.Equal(t, srv.times("accept"), srv.times("fast accept"))
	for n, what := range map[*node]string{cl: "connect", srv: "accept"} {
		for _, kind := range []string{"", "fast "} {
			first := slices.DeleteFunc(n.every(), func(s seen) bool {
				return s.what == "connect failed" || strings.HasPrefix(s.what, "fast ") != (kind != "")
			})
			require.Equal(t, kind+what, first[0].what)
		}
	}
	t.Logf("%d messages, %d cuts, %d sent again", sent, x.Cuts(), cl.Count().Replayed)
}

// testPeerCuts: both peers send all the time and may call each other, each through
// a proxy of its own that cuts at random bytes.
func testPeerCuts(r *rig) {
	t := r.t
	seed := rand.Uint64()
	t.Log("seed", seed)
	for _, p := range []msg.Policy{msg.LosslessPeer(), msg.LosslessPeerReuse()} {
		r := &rig{t: t, server: r.server, client: r.client, changed: make(chan struct{}, 1)}
		a, b, xa, xb := r.peers(p)
		for i, x := range []*faultkit.Proxy{xa, xb} {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			x.Plan(func(int) (up, down int64) {
				if rng.IntN(2) == 0 {
					return rng.Int64N(6000), -1
				}
				return -1, rng.Int64N(6000)
			})
		}
		ab, err := a.ConnectTo(entity.TypeOSD, b.Addrs())
		require.NoError(t, err)
		ba, err := b.ConnectTo(entity.TypeOSD, a.Addrs())
		require.NoError(t, err)
		n := shorter(400, 150)
		for i := range n {
			for _, c := range []msg.Connection{ab, ba} {
				m := text("%d", i)
				m.Data = pattern(i, i%500)
				require.NoError(t, c.Send(m))
			}
			if i%20 == 0 {
				r.until("progress", func() bool { return a.count.Load() > int64(i-40) && b.count.Load() > int64(i-40) })
			}
		}
		xa.Plan(nil)
		xb.Plan(nil)
		require.Equal(t, numbers(n), a.wantMessages(n))
		require.Equal(t, numbers(n), b.wantMessages(n))
		for _, x := range []*node{a, b} {
			require.Zero(t, x.times("reset")+x.times("remote reset")+x.times("undeliverable"))
		}
		t.Logf("%d cuts", xa.Cuts()+xb.Cuts())
		require.Positive(t, xa.Cuts()+xb.Cuts())
	}
}

// peers are a server and a client that are equals: both are bound, and each dials
// the other through a proxy.
func (r *rig) peers(p msg.Policy) (a, b *node, xa, xb *faultkit.Proxy) {
	r.t.Helper()
	xa, xb = faultkit.StartProxy(r.t, local, local), faultkit.StartProxy(r.t, local, local)
	a = r.up(r.node(r.server, entity.OSD(0), p, func(o *Options) { o.Via = xb.Via }))
	b = r.up(r.node(r.client, entity.OSD(1), p, func(o *Options) { o.Via = xa.Via }))
	xa.SetTarget(a.Addrs()[0].AddrPort) // leads to a
	xb.SetTarget(b.Addrs()[0].AddrPort)
	return a, b, xa, xb
}

// testLossyCuts: a lossy session that is cut ends, and is reported once at each
// side that knew of it; what had arrived of it is a prefix of what was sent.
func testLossyCuts(r *rig) {
	t := r.t
	srv := r.srv(msg.StatelessServer())
	cl, x := r.proxied(srv, 1, msg.LossyClient())
	x.Plan(func(n int) (up, down int64) {
		if n%2 == 0 {
			return 13 * int64(n), -1
		}
		return 500 + 29*int64(n), -1
	})
	sessions, resets, accepted := shorter(60, 24), 0, 0
	e := &ends{r: r}
	for i := 0; x.Cuts() < sessions; i++ {
		c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		for j := range 50 {
			m := text("%d.%d", i, j)
			m.Notify = e
			if err := c.Send(m); err != nil {
				require.ErrorIs(t, err, msg.ErrReset)
				break
			}
			accepted++
		}
		// Cut in the handshake it tries again; in the session it is over.
		r.until("reset", func() bool { return cl.times("reset") > resets })
		resets++
		require.True(t, c.IsClosed())
		require.ErrorIs(t, c.Send(text("late")), msg.ErrReset)
	}
	x.Plan(nil)
	require.Len(t, e.want(accepted), accepted)
	next := map[string]int{}
	for _, s := range srv.texts() {
		var i, j int
		_, err := fmt.Sscanf(s, "%d.%d", &i, &j)
		require.NoError(t, err)
		k := fmt.Sprint(i)
		require.Equal(t, next[k], j, "of session %d", i)
		next[k]++
	}
	require.NoError(t, r.connect(cl, srv).Send(text("last")))
	r.until("last", func() bool { return slices.Contains(srv.texts(), "last") })
	require.Equal(t, resets, cl.times("reset"))
	require.EqualValues(t, resets, cl.Count().Resets)
	r.until("all but the last", func() bool { return srv.times("reset") == srv.times("accept")-1 })
	require.EqualValues(t, srv.times("reset"), srv.Count().Resets)
	r.until("counted", func() bool { k := cl.Count(); return k.Delivered+k.Undeliverable == uint64(accepted+1) })
}

// testLargeCuts: cuts inside payloads that are read into their place, at both ends.
func testLargeCuts(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	srv.echo = true
	r.up(srv)
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	x.Plan(func(n int) (up, down int64) {
		if n%2 == 0 {
			return 250_000 + 30_011*int64(n), -1
		}
		return -1, 250_000 + 30_011*int64(n)
	})
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	n := shorter(40, 12)
	for i := range n {
		require.NoError(t, c.Send(&msg.Message{Type: 1, TID: uint64(i), Data: pattern(i, 200_000)}))
		if i%4 == 3 {
			r.until("echoes", func() bool { return cl.count.Load() > int64(i-4) })
		}
	}
	cl.wantMessages(n)
	for i, s := range cl.of("message") {
		require.EqualValues(t, i, s.tid)
		require.True(t, bytes.Equal(pattern(i, 200_000), s.m.Data), "data of %d", i)
	}
	require.Positive(t, x.Cuts())
	require.Zero(t, cl.times("reset")+srv.times("reset"))
}

// testByteByByte: the handshake and messages arrive in single bytes.
func testByteByByte(r *rig) {
	srv := r.srv(msg.StatefulServer())
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	x.Chunk(1)
	r.sendAll(r.connect(cl, srv), 20, nil)
	require.Equal(r.t, numbers(20), srv.wantMessages(20))
}
