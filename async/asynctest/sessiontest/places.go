package sessiontest

import (
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// mapped is addrs with IPv4 addresses as IPv6 writes them.
func mapped(addrs entity.AddrVec) entity.AddrVec {
	out := addrs.Clone()
	for i, a := range out {
		out[i].AddrPort = netip.AddrPortFrom(netip.AddrFrom16(a.AddrPort.Addr().As16()), a.AddrPort.Port())
	}
	return out
}

// testPlace: a peer is found by each of its addresses and by host and port, in
// whatever form the IP address is written, and the connection is the same.
func testPlace(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(local, local))
	require.NoError(t, srv.Start())
	at := srv.Addrs()
	require.Len(t, at, 2)
	places := entity.AddrVec{at[0].WithAnyNonce(), at[1].WithAnyNonce()}

	cl := r.cl(1, msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, places[1:])
	require.NoError(t, err)
	require.NoError(t, c.Send(text("by its place")))
	require.Equal(t, []string{"by its place"}, srv.wantMessages(1))
	r.until("who it is", func() bool { return c.PeerAddrs().Equal(at) })
	for _, a := range []entity.AddrVec{at, at[:1], at[1:], places[:1], places[1:], mapped(at), mapped(places[1:])} {
		require.Same(t, c, cl.Lookup(a), "%v", a)
		same, err := cl.ConnectTo(entity.TypeOSD, a)
		require.NoError(t, err)
		require.Same(t, c, same, "%v", a)
	}
	require.Nil(t, cl.Lookup(entity.AddrVec{at[0].WithNonce(at[0].Nonce + 1)}))
	for _, a := range []entity.AddrVec{at[1:], places[:1], mapped(at[:1]), mapped(places)} { // of its own
		self, err := srv.ConnectTo(entity.TypeOSD, a)
		require.NoError(t, err)
		require.True(t, self.IsLoopback(), "%v", a)
	}
	require.True(t, cl.MarkDown(places[:1]))
	require.True(t, c.IsClosed())
	require.Nil(t, cl.Lookup(at))

	// And called in that form, from the beginning.
	c, err = cl.ConnectTo(entity.TypeOSD, mapped(places[:1]))
	require.NoError(t, err)
	r.until("connected", c.IsConnected)
}

// testFollow: who was called by host and port is whoever listens there, also after
// restarts, each of which is a remote reset; and is found under all addresses it has had.
func testFollow(r *rig) {
	t := r.t
	for i, p := range []msg.Policy{msg.LosslessClient(), msg.LosslessPeer()} {
		srv := r.srv(msg.StatefulServer())
		place := entity.AddrVec{srv.Addrs()[0].WithAnyNonce()}
		cl := r.cl(int64(i+1), p)
		c, err := cl.ConnectTo(entity.TypeOSD, place)
		require.NoError(t, err)
		require.NoError(t, c.Send(text("1")))
		srv.wantMessages(1)
		r.until("who it is", func() bool { return c.PeerAddrs().Equal(srv.Addrs()) })
		for restart := range 3 {
			require.NoError(t, srv.Shutdown(r.timeout()))
			was := srv.Addrs()
			r.until("broken", func() bool { return !c.IsConnected() })
			srv = r.node(r.server, entity.OSD(0), msg.StatefulServer())
			require.NoError(t, srv.Bind(was[0].AddrPort))
			require.NoError(t, srv.Start())
			is := srv.Addrs()
			require.False(t, is.Equal(was))
			c.SendKeepalive() // brings a peer back
			require.Same(t, c, cl.want("remote reset", restart+1).conn)
			r.until("who it is now", func() bool { return c.PeerAddrs().Equal(is) })
			require.NoError(t, c.Send(text("2")))
			require.Equal(t, []string{"2"}, srv.wantMessages(1))
			for _, at := range []entity.AddrVec{is, place, was} {
				require.Same(t, c, cl.Lookup(at))
			}
			require.EqualValues(t, 1, cl.Count().Connections)
		}
		require.Zero(t, cl.times("reset"))
	}
}

// testFollowCaller: who has called and is then asked for by host and port, is whoever
// listens there, too.
func testFollowCaller(r *rig) {
	t := r.t
	srv := r.up(r.node(r.server, entity.OSD(0), msg.LosslessPeer()))
	old := r.up(r.node(r.client, entity.OSD(1), msg.LosslessPeer()))
	was := old.Addrs()
	require.NoError(t, r.connect(old, srv).Send(text("1")))
	srv.wantMessages(1)
	c := srv.Lookup(was)
	require.NotNil(t, c)
	place := entity.AddrVec{was[0].WithAnyNonce()}
	for range 2 {
		same, err := srv.ConnectTo(entity.TypeOSD, place)
		require.NoError(t, err)
		require.Same(t, c, same)
	}
	require.NoError(t, old.Shutdown(r.timeout()))
	r.until("broken", func() bool { return !c.IsConnected() })
	now := r.node(r.client, entity.OSD(1), msg.LosslessPeer())
	require.NoError(t, now.Bind(was[0].AddrPort))
	require.NoError(t, now.Start())
	c.SendKeepalive() // brings it back
	require.Same(t, c, srv.want("remote reset", 1).conn)
	require.NoError(t, c.Send(text("2")))
	require.Equal(t, []string{"2"}, now.wantMessages(1))
	require.Same(t, c, srv.Lookup(now.Addrs()))
	require.Same(t, c, srv.Lookup(place))
	require.EqualValues(t, 1, srv.Count().Connections)
	srv.MarkDown(place)
	require.Nil(t, srv.Lookup(place))
	require.Nil(t, srv.Lookup(now.Addrs()))
}
