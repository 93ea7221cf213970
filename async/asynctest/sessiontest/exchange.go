package sessiontest

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// policies are the pairs of policies that belong together.
var policies = []struct {
	name           string
	server, client msg.Policy
}{
	{"stateless", msg.StatelessServer(), msg.LossyClient()},
	{"registered", msg.StatelessRegisteredServer(), msg.LossyClient()},
	{"stateful", msg.StatefulServer(), msg.LosslessClient()},
	{"peer", msg.LosslessPeer(), msg.LosslessPeer()},
	{"peer reuse", msg.LosslessPeerReuse(), msg.LosslessPeerReuse()},
}

// testEcho: every size comes back as it went, in order, under all policies, by
// fast dispatch and from the queue; every sending ends once, and well.
func testEcho(r *rig) {
	sizes := []int{0, 1, 64, 4095, 4096, 70_000, 300_000, 1_500_000}
	if testing.Short() { // poisoning takes its time under the race detector
		sizes = sizes[:6]
	}
	t := r.t
	for _, p := range policies {
		for _, fast := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fast %t", p.name, fast), func(t *testing.T) {
				r := &rig{t: t, server: r.server, client: r.client, changed: make(chan struct{}, 1)}
				srv := r.node(r.server, entity.OSD(0), p.server)
				srv.echo = true
				if fast {
					srv.fast = func(*msg.Message) bool { return true }
				}
				r.up(srv)
				cl := r.cl(7, p.client)
				c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
				require.NoError(t, err)
				e := &ends{r: r}
				const rounds = 3
				n := 0
				for range rounds {
					for _, size := range sizes {
						require.NoError(t, c.Send(&msg.Message{
							Type: 7, TID: uint64(n), Version: 3, Compat: 2, DataOff: 9, Notify: e,
							Front: fmt.Append(nil, n), Middle: pattern(n+1, size/7), Data: pattern(n, size),
						}))
						n++
					}
				}
				require.Len(t, cl.wantMessages(n), n)
				for i, s := range cl.of("message") {
					size := sizes[i%len(sizes)]
					require.EqualValues(t, i, s.tid)
					require.Equal(t, []uint16{7, 3, 2, 9}, []uint16{s.m.Type, s.m.Version, s.m.Compat, s.m.DataOff})
					require.Equal(t, fmt.Sprint(i), s.text)
					require.True(t, bytes.Equal(pattern(i+1, size/7), s.m.Middle), "middle of %d", i)
					require.True(t, bytes.Equal(pattern(i, size), s.m.Data), "data of %d", i)
					require.Equal(t, entity.OSD(0), s.m.Source())
					s.m.Release()
				}
				for _, err := range e.want(n) {
					require.NoError(t, err)
				}
				require.Equal(t, p.server.Lossy, c.Policy().Lossy)
				// From the queue, for which fast messages do not wait.
				cl.want("connect", 1)
				srv.want("accept", 1)
				r.until("counted", func() bool {
					k := cl.Count()
					return srv.Count().Delivered == uint64(n) && k.Delivered == uint64(n) && k.Received >= uint64(n)
				})
				k := cl.Count()
				require.EqualValues(t, n, k.Received)
				require.Zero(t, k.Undeliverable+k.Faults+k.Resets)
				if fast {
					r.until("counted", func() bool { return srv.Count().FastDispatched == uint64(n) })
				}
			})
		}
	}
}

func testPeerInfo(r *rig) {
	t := r.t
	srv, cl := r.srv(msg.StatefulServer()), r.cl(4711, msg.LosslessClient())
	require.True(t, cl.Addrs()[0].AddrPort.Addr().IsUnspecified())
	require.NoError(t, cl.SendTo(text("one"), entity.TypeOSD, srv.Addrs()))
	require.Equal(t, []string{"one"}, srv.wantMessages(1))
	c := cl.Lookup(srv.Addrs())
	require.NotNil(t, c)
	r.until("connected", c.IsConnected)
	require.Equal(t, entity.OSD(0), c.PeerName())
	require.Equal(t, entity.TypeOSD, c.PeerType())
	require.True(t, c.PeerAddrs().Equal(srv.Addrs()))
	require.NotZero(t, c.Features())
	require.False(t, c.IsLoopback())
	require.False(t, c.IsClosed())
	require.NotZero(t, c.ID())
	require.Contains(t, c.String(), "osd.0")

	in := srv.of("message")[0]
	s := in.conn
	require.Equal(t, entity.Client(4711), s.PeerName())
	require.Equal(t, entity.Client(4711), in.m.Source())
	require.EqualValues(t, 1, in.m.Seq())
	require.True(t, s.PeerAddrs().Equal(cl.Addrs()), "%v %v", s.PeerAddrs(), cl.Addrs())
	require.Same(t, s, srv.Lookup(cl.Addrs()))
	require.Equal(t, msg.StatefulServer(), s.Policy())
	// The client has learned its address from the server.
	mine := cl.Addrs()[0]
	require.Equal(t, netip.AddrPortFrom(local.Addr(), 0), mine.AddrPort)
	require.Equal(t, entity.AddrAny, mine.Type)
	require.NotZero(t, mine.Nonce)

	// The server sends back over the client's connection.
	require.NoError(t, srv.SendTo(text("back"), entity.TypeClient, cl.Addrs()))
	require.Equal(t, []string{"back"}, cl.wantMessages(1))
	require.Nil(t, s.Value())
	s.SetValue(42)
	require.NoError(t, c.Send(text("two")))
	srv.wantMessages(2)
	require.Equal(t, 42, srv.of("message")[1].conn.Value())
}

// testTransportAddrs: both ends see the two ends of the socket that there is, and none where
// there is none.
func testTransportAddrs(r *rig) {
	t := r.t
	srv := r.srv(msg.StatefulServer())
	cl := r.node(r.client, entity.Client(1), msg.LosslessClient())
	early := make(chan netip.AddrPort, 10)
	cl.onEvent = func(what string, c msg.Connection) {
		if what == "fast connect" {
			l, _ := c.TransportAddrs()
			early <- l
		}
	}
	require.NoError(t, cl.Start())
	var before netip.AddrPort
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	for range 3 {
		mine := <-early
		require.NotZero(t, mine.Port(), "told of the connection, its user sees it")
		require.NotEqual(t, before, mine)
		before = mine
		l, remote := c.TransportAddrs()
		require.Equal(t, mine, l)
		require.Equal(t, srv.Addrs()[0].AddrPort, remote)
		s := r.accepted(srv, cl)
		r.until("connected", s.IsConnected)
		l, remote = s.TransportAddrs()
		require.Equal(t, srv.Addrs()[0].AddrPort, l)
		require.Equal(t, mine, remote)
		require.Zero(t, s.PeerAddrs()[0].AddrPort.Port())

		s.MarkDown() // the client comes back
		l, remote = s.TransportAddrs()
		require.Zero(t, l)
		require.Zero(t, remote)
	}
	<-early
	require.NoError(t, srv.Shutdown(r.timeout()))
	r.until("broken", func() bool { return !c.IsConnected() })
	l, remote := c.TransportAddrs()
	require.Zero(t, l)
	require.Zero(t, remote)
	l, remote = cl.Loopback().TransportAddrs()
	require.Zero(t, l)
	require.Zero(t, remote)
}

// testFastDispatch: fast messages pass a queue that is held up; all are preprocessed.
func testFastDispatch(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	hold := r.gate()
	prepared := make(chan string, 3)
	srv.prepare = func(m *msg.Message) { prepared <- string(m.Front) }
	srv.fast = func(m *msg.Message) bool { return m.Type == 2000 }
	srv.onMessage = func(m *msg.Message) {
		if m.Type == 2000 {
			_ = m.Connection().Send(text("re: %s", m.Front))
			return
		}
		hold.pass()
	}
	r.up(srv)
	cl := r.cl(1, msg.LosslessClient())
	c := r.connect(cl, srv)
	require.NoError(t, c.Send(text("slow 1")))
	hold.wantArrived(1)
	require.NoError(t, c.Send(text("slow 2")))
	m := text("fast")
	m.Type = 2000
	require.NoError(t, c.Send(m))
	require.Equal(t, []string{"re: fast"}, cl.wantMessages(1))
	hold.open()
	require.Equal(t, []string{"fast", "slow 1", "slow 2"}, srv.wantMessages(3))
	for _, front := range []string{"slow 1", "slow 2", "fast"} {
		require.Equal(t, front, <-prepared)
	}
	r.until("counted", func() bool { return srv.Count().FastDispatched == 1 })
}

// testLent: what is sent while nothing else happens is written by its sender, also where
// a proxy is dialled. The suite tests the path that users take.
func testLent(r *rig) {
	const tries = 10_000
	srv := r.srv(msg.StatefulServer())
	cl, _ := r.proxied(srv, 1, msg.LosslessClient())
	c := r.connect(cl, srv)
	// Of the client alone: what the server writes, ACKs too, goes through no proxy.
	for n := 1; n == 1 || r.client.Lends && cl.Count().Lent == 0; n++ {
		require.Less(r.t, n, tries, "no sender was ever lent a worker")
		require.NoError(r.t, c.Send(text("alone")))
		srv.wantMessages(n)
	}
	require.Equal(r.t, r.client.Lends, cl.Count().Lent > 0)
}

func testLoopback(r *rig) {
	t := r.t
	n := r.up(r.node(r.server, entity.OSD(5), msg.LosslessPeer()))
	c, err := n.ConnectTo(entity.TypeOSD, n.Addrs())
	require.NoError(t, err)
	require.Same(t, n.Loopback(), c)
	require.True(t, c.IsLoopback())
	require.True(t, c.IsConnected())
	require.Equal(t, entity.OSD(5), c.PeerName())
	require.True(t, c.PeerAddrs().Equal(n.Addrs()))
	e := &ends{r: r}
	const many = 500
	r.sendAll(c, many, e)
	require.Equal(t, numbers(many), n.wantMessages(many))
	for _, err := range e.want(many) {
		require.NoError(t, err)
	}
	r.until("counted", func() bool { return n.Count().Delivered == many })
	c.MarkDown() // drops what is on its way and leaves it open
	require.False(t, c.IsClosed())
	require.NoError(t, c.Send(text("more")))
	n.wantMessages(many + 1)
	c.SetValue("v")
	require.Equal(t, "v", c.Value())
	require.NoError(t, n.Shutdown(r.timeout()))
	require.True(t, c.IsClosed())
	require.False(t, c.IsConnected())
	err = c.Send(text("late"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrShutdown)
}

func testAnonymous(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatelessServer())
	srv.onMessage = func(m *msg.Message) { _ = m.Connection().Send(text("re: %s", m.Front)) }
	r.up(srv)
	cl := r.cl(1, msg.LossyClient())
	var conns []msg.Connection
	for i := range 3 {
		c, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		require.Nil(t, cl.Lookup(srv.Addrs()), "an anonymous connection is not found")
		require.NoError(t, c.Send(text("%d", i)))
		conns = append(conns, c)
	}
	require.ElementsMatch(t, numbers(3), srv.wantMessages(3))
	cl.wantMessages(3)
	from, got := map[msg.Connection]bool{}, map[msg.Connection]string{}
	for _, s := range srv.of("message") {
		from[s.conn] = true
	}
	require.Len(t, from, 3)
	for _, s := range cl.of("message") {
		got[s.conn] = s.text
	}
	for i, c := range conns {
		require.Equal(t, fmt.Sprintf("re: %d", i), got[c])
		c.MarkDown()
	}
	srv.want("reset", 3)
	require.Zero(t, cl.times("reset"))
	r.until("forgotten", func() bool { return srv.Count().Connections == 0 && cl.Count().Connections == 0 })
}

// testRebind: a messenger takes other ports and another nonce, and serves there.
func testRebind(r *rig) {
	t := r.t
	srv, cl := r.node(r.server, entity.OSD(0), msg.StatelessServer()), r.cl(1, msg.LossyClient())
	require.Error(t, srv.Rebind(), "not bound")
	r.up(srv)
	c := r.connect(cl, srv)
	require.NoError(t, c.Send(text("0")))
	srv.wantMessages(1)
	old := srv.Addrs()[0]
	avoid := []uint16{old.AddrPort.Port() + 1, old.AddrPort.Port() + 2}
	require.NoError(t, srv.Rebind(avoid...))
	now := srv.Addrs()[0]
	require.NotContains(t, append(avoid, old.AddrPort.Port()), now.AddrPort.Port())
	require.NotEqual(t, old.Nonce, now.Nonce)
	require.Same(t, c, cl.want("reset", 1).conn)
	require.True(t, c.IsClosed())
	require.NoError(t, r.connect(cl, srv).Send(text("1")))
	require.Equal(t, numbers(2), srv.wantMessages(2))
	// Nobody is at the old port.
	gone, err := cl.ConnectTo(entity.TypeOSD, entity.AddrVec{old})
	require.NoError(t, err)
	require.NoError(t, gone.Send(text("nobody")))
	r.until("refused", func() bool { return cl.times("refused") > 0 })
	gone.MarkDown()
}

func testConnectErrors(r *rig) {
	t := r.t
	addrs := entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}}
	m := r.node(r.client, entity.OSD(0), msg.LosslessPeer())
	_, err := m.ConnectTo(entity.TypeOSD, addrs)
	require.ErrorIs(t, err, msg.ErrNotStarted)
	require.ErrorIs(t, m.SendTo(text("x"), entity.TypeOSD, addrs), msg.ErrNotStarted)
	require.ErrorContains(t, m.Rebind(), "not bound")
	require.NoError(t, m.Start())
	require.NoError(t, m.Start(), "again")
	m.SetPolicy(entity.TypeClient, msg.StatefulServer())
	_, err = m.ConnectTo(entity.TypeClient, addrs)
	require.ErrorIs(t, err, msg.ErrNoSession)
	_, err = m.ConnectAnon(entity.TypeClient, addrs)
	require.ErrorIs(t, err, msg.ErrNoSession)
	require.ErrorIs(t, m.SendTo(text("x"), entity.TypeClient, addrs), msg.ErrNoSession)
	for _, bad := range []entity.AddrVec{
		nil,
		{{Type: entity.AddrMsgr2, AddrPort: netip.MustParseAddrPort("127.0.0.1:0")}},
		{{Type: entity.AddrMsgr2, AddrPort: netip.MustParseAddrPort("0.0.0.0:1")}},
		{{Type: entity.AddrLegacy, AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}},
	} {
		_, err = m.ConnectTo(entity.TypeOSD, bad)
		require.ErrorContains(t, err, "no msgr2 address", "%v", bad)
	}
	require.False(t, m.MarkDown(addrs))
	require.Error(t, m.Bind(), "nowhere")
	require.NoError(t, m.Bind(local))
	require.ErrorContains(t, m.Bind(local), "already bound")
	require.NoError(t, m.Shutdown(r.timeout()))
	_, err = m.ConnectTo(entity.TypeOSD, addrs)
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.ErrorIs(t, m.SendTo(text("x"), entity.TypeOSD, addrs), msg.ErrShutdown)
	require.ErrorIs(t, m.Start(), msg.ErrShutdown)
	require.ErrorIs(t, m.Rebind(), msg.ErrShutdown)

	late := r.node(r.client, entity.OSD(1), msg.LosslessPeer())
	require.NoError(t, late.Shutdown(r.timeout()))
	require.ErrorIs(t, late.Bind(local), msg.ErrShutdown)
	require.ErrorIs(t, late.Start(), msg.ErrShutdown)
}
