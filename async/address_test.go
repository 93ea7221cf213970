package async

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// at is the server's first address with another IP.
func at(ip string, n *node) entity.AddrVec {
	a := n.Addrs()[0]
	a.AddrPort = netip.AddrPortFrom(netip.MustParseAddr(ip), a.AddrPort.Port())
	return entity.AddrVec{a}
}

// bound is a started server at that address.
func (l *lab) bound(at string, change ...func(*Config)) *node {
	l.t.Helper()
	n := l.node(entity.OSD(0), msg.StatefulServer(), change...)
	require.NoError(l.t, n.Bind(netip.MustParseAddrPort(at)))
	require.NoError(l.t, n.Start())
	return n
}

// reaches says that a new client gets through to n at those addresses.
func (l *lab) reaches(n *node, addrs entity.AddrVec) msg.Connection {
	l.t.Helper()
	cl := l.client(entity.Client(n.count.Load()+100), msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, addrs)
	require.NoError(l.t, err, addrs)
	l.until("connected to "+addrs.String(), c.IsConnected)
	before := n.count.Load()
	require.NoError(l.t, c.Send(text("at %s", addrs)))
	l.until("arrived", func() bool { return n.count.Load() == before+1 })
	require.Same(l.t, c, cl.Lookup(addrs))
	require.Same(l.t, c, cl.Lookup(n.Addrs()), "found under all that the server is")
	return c
}

func hasIPv6(t *testing.T) bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Log("no IPv6 here: ", err)
		return false
	}
	ln.Close()
	return true
}

// TestBindLogsWithoutALock: a logger may call the messenger.
func TestBindLogsWithoutALock(t *testing.T) {
	l := newLab(t)
	log := &hookLog{}
	srv := l.node(entity.OSD(0), msg.StatelessServer(), func(c *Config) { c.Logger = slog.New(log) })
	called := 0
	log.do(func(line string) {
		if strings.HasPrefix(line, "bound to all") {
			called++
			_, err := srv.ConnectTo(entity.TypeOSD, rawAddrs())
			require.ErrorIs(t, err, msg.ErrNotStarted)
		}
	})
	require.NoError(t, srv.Bind(netip.MustParseAddrPort("0.0.0.0:0")))
	require.Equal(t, 1, called)
}

// TestBoundToAll: a server on 0.0.0.0 is reached at each address of the host, whoever
// came first, and has had its own address from the beginning.
func TestBoundToAll(t *testing.T) {
	l := newLab(t)
	var book logbook
	srv := l.bound("0.0.0.0:0", l.withLog(&book))
	known := srv.Addrs().Clone()
	require.Len(t, known, 1)
	require.False(t, known[0].AddrPort.Addr().IsUnspecified())
	require.Len(t, book.lines("bound to all addresses", "Config.Advertise", known.String()), 1)
	// Who is bound to one address, or has said how it is called, is not told.
	l.bound("127.0.0.1:0", l.withLog(&book))
	l.bound("0.0.0.0:0", l.withLog(&book), func(c *Config) {
		c.Advertise = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.77:0")}
	})
	require.Len(t, book.lines("bound to all addresses"), 1)
	for _, ip := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", known[0].AddrPort.Addr().String()} {
		l.reaches(srv, at(ip, srv))
		wild := at(ip, srv)
		wild[0] = wild[0].WithAnyNonce()
		l.reaches(srv, wild)
	}
	require.Equal(t, known, srv.Addrs(), "nobody decides what it is called")
	wrong := at("127.0.0.1", srv)
	wrong[0].Nonce++
	cl := l.client(entity.Client(1), msg.LosslessClient())
	_, err := cl.ConnectTo(entity.TypeOSD, wrong)
	require.NoError(t, err)
	l.until("it failed", func() bool { return cl.times("connect failed") > 0 })
	require.ErrorContains(t, cl.events("connect failed")[0].err, "wrong peer")

	// What is its own it knows, and does not dial.
	peer := l.node(entity.OSD(0), msg.LosslessPeer())
	require.NoError(t, peer.Bind(netip.MustParseAddrPort("0.0.0.0:0")))
	require.NoError(t, peer.Start())
	for _, ip := range []string{"127.0.0.1", "127.1.2.3", known[0].AddrPort.Addr().String()} {
		for _, a := range []entity.AddrVec{at(ip, peer), {at(ip, peer)[0].WithAnyNonce()}} {
			c, err := peer.ConnectTo(entity.TypeOSD, a)
			require.NoError(t, err)
			require.True(t, c.IsLoopback(), a)
		}
	}
	for _, a := range []entity.AddrVec{at("192.0.2.1", peer), {at("127.0.0.1", peer)[0].WithNonce(12345)}} {
		c, err := peer.ConnectTo(entity.TypeOSD, a)
		require.NoError(t, err)
		require.False(t, c.IsLoopback(), a)
		c.MarkDown()
	}
}

// TestDualStack: [::] takes IPv4 too, as with net.Listen, unless there is a listener for
// that.
func TestDualStack(t *testing.T) {
	if !hasIPv6(t) {
		t.Skip("without IPv6 there is nothing to test")
	}
	l := newLab(t)
	srv := l.bound("[::]:0")
	for _, ip := range []string{"::1", "127.0.0.1", "::ffff:127.0.0.1"} {
		l.reaches(srv, at(ip, srv))
	}
	for _, a := range srv.Addrs() {
		require.False(t, a.AddrPort.Addr().IsUnspecified())
		l.reaches(srv, entity.AddrVec{a})
	}
	l.reaches(srv, srv.Addrs())

	both := l.node(entity.OSD(0), msg.StatefulServer())
	require.NoError(t, both.Bind(netip.MustParseAddrPort("[::]:0"), netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, both.Start())
	six, four := both.Addrs()[0], both.Addrs()[len(both.Addrs())-1]
	require.True(t, six.AddrPort.Addr().Is6())
	require.True(t, four.AddrPort.Addr().Is4())
	l.reaches(both, entity.AddrVec{six})
	l.reaches(both, entity.AddrVec{four})
	_, err := net.DialTimeout("tcp", netip.AddrPortFrom(local.Addr(), six.AddrPort.Port()).String(), time.Second)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// TestMappedAndZones: an address is the same however it is written.
func TestMappedAndZones(t *testing.T) {
	l := newLab(t)
	srv := l.bound("127.0.0.1:0")
	l.reaches(srv, at("::ffff:127.0.0.1", srv))
	mapped := l.bound("[::ffff:127.0.0.1]:0")
	require.True(t, mapped.Addrs()[0].AddrPort.Addr().Is4())
	l.reaches(mapped, at("127.0.0.1", mapped))
	l.reaches(mapped, at("::ffff:127.0.0.1", mapped))

	cl := l.client(entity.Client(1), msg.LosslessClient())
	_, err := cl.ConnectTo(entity.TypeOSD,
		entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: netip.MustParseAddrPort("[fe80::1%nosuch0]:1")}})
	require.ErrorContains(t, err, `no network interface "nosuch0"`)

	ip, name := linkLocal()
	if !ip.IsValid() {
		t.Log("no link-local address here: zones are tested in package session and in the stacks")
		return
	}
	zoned := l.bound(netip.AddrPortFrom(ip.WithZone(name), 0).String())
	l.reaches(zoned, at(ip.WithZone(name).String(), zoned))
	l.reaches(zoned, zoned.Addrs())
}

// linkLocal is an address of the host with a zone, and its interface.
func linkLocal() (netip.Addr, string) {
	all, _ := net.Interfaces()
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
				return p.Addr(), i.Name
			}
		}
	}
	return netip.Addr{}, ""
}

// TestAdvertise: a messenger is known by what it is told to be known by, and reached at
// what it is bound to as well.
func TestAdvertise(t *testing.T) {
	l := newLab(t)
	srv := l.bound("127.0.0.1:0", func(c *Config) {
		c.Advertise = []netip.AddrPort{
			netip.MustParseAddrPort("127.0.0.77:0"), netip.MustParseAddrPort("192.0.2.7:7001"),
		}
	})
	port := srv.listeners[0].Addr().Port()
	require.Equal(t, entity.AddrVec{
		{Type: entity.AddrMsgr2, Nonce: srv.nonce,
			AddrPort: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.77"), port)},
		{Type: entity.AddrMsgr2, Nonce: srv.nonce, AddrPort: netip.MustParseAddrPort("192.0.2.7:7001")},
	}, srv.Addrs())
	l.reaches(srv, at("127.0.0.1", srv))
	c, err := srv.ConnectTo(entity.TypeOSD, srv.Addrs()[1:])
	require.NoError(t, err)
	require.True(t, c.IsLoopback())
}

// TestBindInUse says so at once, tries again, and its error is the system's.
func TestBindInUse(t *testing.T) {
	l := newLab(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	taken := netip.MustParseAddrPort(ln.Addr().String())
	var book logbook
	n := l.node(entity.OSD(0), msg.StatefulServer(), l.withLog(&book),
		func(c *Config) { c.BindRetries, c.BindRetryDelay = 2, time.Hour })
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { failed <- n.BindContext(ctx, taken) }()
	l.until("it says so while it waits",
		func() bool { return len(book.lines("level=WARN", "address in use", taken.String())) == 1 })
	cancel()
	err = <-failed
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorIs(t, err, ctx.Err())
}
