package async

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/stretchr/testify/require"
)

// TestSimple: Ceph's SimpleTest: a round trip, rebind, mark down, a server that is
// gone, loopback.
func TestSimple(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatelessServer())
	srv.onMessage = func(m *msg.Message) { require.NoError(t, m.Connection().Send(text("re: %s", m.Front))) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(7), msg.LossyClient())

	c := l.connect(cl, srv)
	require.NoError(t, c.Send(text("hello")))
	require.Equal(t, []string{"hello"}, srv.wantMessages(1))
	require.Equal(t, []string{"re: hello"}, cl.wantMessages(1))
	again, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.Same(t, c, again)
	require.Same(t, c, cl.Lookup(srv.Addrs()))

	old := srv.Addrs()
	avoid := []uint16{old[0].AddrPort.Port() + 1, old[0].AddrPort.Port() + 2}
	require.NoError(t, srv.Rebind(avoid...))
	now := srv.Addrs()
	require.NotContains(t, append(avoid, old[0].AddrPort.Port()), now[0].AddrPort.Port())
	require.Equal(t, old[0].Nonce+nonceStep, now[0].Nonce)
	cl.want("reset", 1)
	require.True(t, c.IsClosed())

	c2 := l.connect(cl, srv)
	require.NotSame(t, c, c2)
	require.NoError(t, c2.Send(text("again")))
	require.Equal(t, "again", srv.wantMessages(2)[1])
	cl.wantMessages(2)
	require.True(t, cl.MarkDown(now))
	require.False(t, cl.MarkDown(now))
	require.False(t, c2.IsConnected())
	require.True(t, c2.IsClosed())
	srv.want("reset", 1)

	require.NoError(t, srv.Shutdown(timeout(t)))
	c3, err := cl.ConnectTo(entity.TypeOSD, now)
	require.NoError(t, err)
	require.NoError(t, c3.Send(text("nobody")))
	l.until("refused", func() bool { return cl.times("refused") > 0 })
	require.ErrorIs(t, cl.events("refused")[0].err, syscall.ECONNREFUSED)
	require.False(t, c3.IsConnected())

	require.NoError(t, cl.Loopback().Send(text("self")))
	require.Equal(t, "self", cl.wantMessages(3)[2])
}

func TestSendToAndPeerInfo(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(3), msg.StatefulServer())
	cl := l.client(entity.Client(4711), msg.LosslessClient())
	require.NoError(t, cl.SendTo(text("one"), entity.TypeOSD, srv.Addrs()))
	require.Equal(t, []string{"one"}, srv.wantMessages(1))
	c := cl.Lookup(srv.Addrs())
	require.NotNil(t, c)
	l.until("connected", c.IsConnected)
	require.Equal(t, entity.OSD(3), c.PeerName())
	require.Equal(t, entity.TypeOSD, c.PeerType())
	require.True(t, c.PeerAddrs().Equal(srv.Addrs()))
	require.NotZero(t, c.Features())
	require.False(t, c.IsLoopback())
	require.False(t, c.Policy().Lossy)
	require.Contains(t, c.String(), "osd.3")

	in := srv.events("message")[0].m
	s := in.Connection()
	require.Equal(t, entity.Client(4711), s.PeerName())
	require.Equal(t, entity.Client(4711), in.Source())
	require.EqualValues(t, 1, in.Seq())
	require.True(t, s.PeerAddrs().Equal(cl.Addrs()), "%v %v", s.PeerAddrs(), cl.Addrs())
	require.Equal(t, msg.StatefulServer(), s.Policy())
	require.Same(t, s, srv.Lookup(cl.Addrs()))

	// The server sends back over the client's connection.
	require.NoError(t, srv.SendTo(text("back"), entity.TypeClient, cl.Addrs()))
	require.Equal(t, []string{"back"}, cl.wantMessages(1))

	require.Nil(t, s.Value())
	s.SetValue(42)
	require.Equal(t, 42, s.Value())
	require.NoError(t, c.Send(text("two")))
	srv.wantMessages(2)
	require.Equal(t, 42, srv.events("message")[1].conn.Value())

	require.Zero(t, s.LastKeepalive())
	require.Zero(t, c.LastKeepaliveAck())
	c.SendKeepalive()
	l.until("keepalive answered", func() bool { return !c.LastKeepaliveAck().IsZero() })
	require.False(t, s.LastKeepalive().IsZero())
}

func TestConnectErrors(t *testing.T) {
	l := newLab(t)
	addrs := entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}}
	m := l.node(entity.OSD(0), msg.LosslessPeer())
	_, err := m.ConnectTo(entity.TypeOSD, addrs)
	require.ErrorIs(t, err, msg.ErrNotStarted)
	require.ErrorIs(t, m.SendTo(text("x"), entity.TypeOSD, addrs), msg.ErrNotStarted)
	require.ErrorContains(t, m.Rebind(), "not bound")
	require.NoError(t, m.Start())
	require.NoError(t, m.Start())

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
	require.Error(t, m.Bind())
	require.NoError(t, m.Bind(local))
	require.ErrorIs(t, m.Bind(local), ErrBound)
	require.NoError(t, m.Shutdown(timeout(t)))
	_, err = m.ConnectTo(entity.TypeOSD, addrs)
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.ErrorIs(t, m.Start(), msg.ErrShutdown)
	require.ErrorIs(t, m.Rebind(), msg.ErrShutdown)
	err = m.Loopback().Send(text("x"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrShutdown)

	late := l.node(entity.OSD(1), msg.LosslessPeer())
	require.NoError(t, late.Shutdown(timeout(t)))
	require.ErrorIs(t, late.Bind(local), msg.ErrShutdown)
	require.ErrorIs(t, late.Start(), msg.ErrShutdown)
}

func TestAnonymous(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatelessServer())
	srv.onMessage = func(m *msg.Message) { require.NoError(t, m.Connection().Send(text("re: %s", m.Front))) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LossyClient())
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
	from := map[msg.Connection]bool{}
	for _, h := range srv.events("message") {
		from[h.conn] = true
	}
	require.Len(t, from, 3)
	got := map[msg.Connection]string{}
	for _, h := range cl.events("message") {
		got[h.conn] = h.text
	}
	for i, c := range conns {
		require.Equal(t, fmt.Sprintf("re: %d", i), got[c])
		c.MarkDown()
	}
	srv.want("reset", 3)
	require.Zero(t, cl.times("reset"))
	require.Zero(t, srv.Stats().Connections)
}

// TestLearnOwnAddress: a client that does not listen is known by the address as which
// the first peer sees it.
func TestLearnOwnAddress(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.True(t, cl.Addrs()[0].AddrPort.Addr().IsUnspecified())
	l.connect(cl, srv)
	mine := cl.Addrs()[0]
	require.Equal(t, netip.AddrPortFrom(local.Addr(), 0), mine.AddrPort)
	require.Equal(t, entity.AddrAny, mine.Type)
	require.NotZero(t, mine.Nonce)
	require.True(t, l.peerOf(srv, entity.Client(1)).PeerAddrs().Equal(cl.Addrs()))
}

func TestIPv6AndSeveralAddresses(t *testing.T) {
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here: ", err)
	} else {
		ln.Close()
	}
	l := newLab(t)
	v6 := netip.MustParseAddrPort("[::1]:0")
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(v6, local))
	require.NoError(t, srv.Start())
	require.Len(t, srv.Addrs(), 2)
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv) // the first msgr2 address
	require.NoError(t, c.Send(text("v6")))
	require.Equal(t, []string{"v6"}, srv.wantMessages(1))
	require.True(t, cl.Addrs()[0].AddrPort.Addr().Is6())

	four := l.client(entity.Client(2), msg.LosslessClient())
	c4, err := four.ConnectTo(entity.TypeOSD, srv.Addrs()[1:])
	require.NoError(t, err)
	require.NoError(t, c4.Send(text("v4")))
	require.Equal(t, []string{"v6", "v4"}, srv.wantMessages(2))
	require.Equal(t, 2, srv.Stats().Connections)

	ports := []uint16{srv.Addrs()[0].AddrPort.Port(), srv.Addrs()[1].AddrPort.Port()}
	require.NoError(t, srv.Rebind())
	require.Len(t, srv.Addrs(), 2)
	for _, a := range srv.Addrs() {
		require.NotContains(t, ports, a.AddrPort.Port())
	}
}

func TestBindPortRange(t *testing.T) {
	l := newLab(t)
	// A range of three ports of which the first is taken.
	var ln net.Listener
	var first uint16
	for {
		var err error
		ln, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		first = netip.MustParseAddrPort(ln.Addr().String()).Port()
		if first < 65000 && free(first+1) && free(first+2) {
			break
		}
		ln.Close()
	}
	defer ln.Close()
	inRange := func(c *Config) { c.BindPortMin, c.BindPortMax = first, first+2 }
	a := l.server(entity.OSD(0), msg.LosslessPeer(), inRange)
	require.Equal(t, first+1, a.Addrs()[0].AddrPort.Port())
	require.NoError(t, a.Rebind())
	require.Equal(t, first+2, a.Addrs()[0].AddrPort.Port())
	b := l.node(entity.OSD(1), msg.LosslessPeer(), inRange)
	l.until("the old port is free", func() bool { return b.Bind(local) == nil })
	require.Equal(t, first+1, b.Addrs()[0].AddrPort.Port())
	require.ErrorIs(t, a.Rebind(), syscall.EADDRINUSE, "all ports are taken or avoided")
	require.NoError(t, b.Shutdown(timeout(t)))
	require.NoError(t, a.Rebind(), "free again")
	require.Equal(t, first+1, a.Addrs()[0].AddrPort.Port())
}

func free(port uint16) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// TestEarlySockets: what connects between Bind and Start is served after Start.
func TestEarlySockets(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.HandshakesMax = 2 })
	require.NoError(t, srv.Bind(local))
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.NoError(t, cl.SendTo(text("early"), entity.TypeOSD, srv.Addrs()))
	early := func() int {
		srv.Messenger.mu.Lock()
		defer srv.Messenger.mu.Unlock()
		return len(srv.early)
	}
	l.until("early socket", func() bool { return early() == 1 })
	for range 3 {
		raw, err := net.Dial("tcp", srv.Addrs()[0].AddrPort.String())
		require.NoError(t, err)
		defer raw.Close()
	}
	l.until("turned away", func() bool { return srv.Stats().TurnedAway == 2 })
	require.Equal(t, 2, early())
	require.Zero(t, srv.count.Load())
	require.NoError(t, srv.Start())
	require.Equal(t, []string{"early"}, srv.wantMessages(1))
}

// TestMessageSizes: Ceph's MessageTest, and the limits.
func TestMessageSizes(t *testing.T) {
	l := newLab(t)
	limits := func(c *Config) { c.Limits = frame.Limits{Front: 2 << 20, Middle: 1 << 20, Data: 5 << 20} }
	srv := l.node(entity.OSD(0), msg.StatefulServer(), limits)
	srv.onMessage = func(m *msg.Message) {
		m.ReleaseAfterSend()
		if err := m.Connection().Send(m); err != nil {
			t.Errorf("echo: %v", err)
		}
	}
	srv.handsOn = true
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessPeer(), limits)
	c := l.connect(cl, srv)
	type size struct{ front, middle, data int }
	sizes := []size{
		{0, 0, 0}, {30 * 1024 * 26, 0, 0}, {1, 0, 798720}, {0, 0, 1}, {0, 1, 0}, {5, 6, 7},
		{2 << 20, 1 << 20, 5 << 20},
	}
	for n := 1; n <= 4<<20; n *= 4 {
		sizes = append(sizes, size{0, 0, n}, size{min(n, 1<<20) + 1, 3, n - 1})
	}
	e := &ends{l: l}
	for i, s := range sizes {
		m := &msg.Message{Type: 7, TID: uint64(i), Version: 3, Compat: 2, DataOff: 9, Notify: e,
			Front: pattern(i, s.front), Middle: pattern(i+1, s.middle), Data: pattern(i+2, s.data)}
		require.NoError(t, c.Send(m))
	}
	cl.wantMessages(len(sizes))
	for i, h := range cl.events("message") {
		m, s := h.m, sizes[i]
		require.EqualValues(t, i, m.TID)
		require.Equal(t, []uint16{7, 3, 2, 9}, []uint16{m.Type, m.Version, m.Compat, m.DataOff})
		require.True(t, bytes.Equal(m.Front, pattern(i, s.front)), "front of %d", i)
		require.True(t, bytes.Equal(m.Middle, pattern(i+1, s.middle)), "middle of %d", i)
		require.True(t, bytes.Equal(m.Data, pattern(i+2, s.data)), "data of %d", i)
		m.Release()
	}
	for _, err := range e.want(len(sizes)) {
		require.NoError(t, err)
	}
	for _, big := range []*msg.Message{
		{Front: make([]byte, 2<<20+1)}, {Middle: make([]byte, 1<<20+1)}, {Data: make([]byte, 5<<20+1)},
	} {
		require.ErrorIs(t, c.Send(big), msg.ErrTooLarge)
		require.ErrorIs(t, c.SendContext(t.Context(), big), msg.ErrTooLarge)
	}
	require.True(t, c.IsConnected())
}

func pattern(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	period := min(n, 65521)
	for i := range period {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	for i := period; i < n; i += copy(b[i:], b[:i]) {
	}
	return b
}
