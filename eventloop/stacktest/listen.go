package stacktest

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// mapped is an IPv4 address in IPv6 clothes.
func mapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// meet dials to and compares the addresses that both ends see, the accepted Socket
// included, with want, which is what to is called.
func (e *env) meet(l eventloop.Listener, accepted *guarded[eventloop.Socket], to, want netip.AddrPort) {
	e.t.Helper()
	accepted.set(nil)
	c := e.newPeer("client", e.Client.Pick())
	c.do(func() { c.dial(to, eventloop.DialConfig{Timeout: time.Minute}) })
	e.Until(fmt.Sprintf("a connection to %v", to), func() bool {
		return c.count("done") > 0 || c.count("connected") > 0 && accepted.get() != nil
	})
	e.check(c.count("connected") > 0, "dialling %v, listening on %v: %v", to, l.Addr(), c.closedWith())
	s := accepted.get()
	c.do(func() {
		if c.t.RemoteAddr() != want || c.t.LocalAddr() != s.RemoteAddr() || c.t.LocalAddr().Addr().Is4In6() {
			e.t.Errorf("dialled %v: client %v -> %v, server %v <- %v",
				to, c.t.LocalAddr(), c.t.RemoteAddr(), s.LocalAddr(), s.RemoteAddr())
		}
		c.close()
	})
	e.check(s.LocalAddr() == want, "dialled at %v, the server's end is %v", to, s.LocalAddr())
	e.check(s.RemoteAddr().Addr().Is4() == want.Addr().Is4(), "dialled at %v from %v", to, s.RemoteAddr())
	e.must(s.Close())
}

func (e *env) listenAt(
	addr netip.AddrPort, cfg eventloop.ListenConfig,
) (eventloop.Listener, *guarded[eventloop.Socket]) {
	e.t.Helper()
	var accepted guarded[eventloop.Socket]
	l, err := e.Server.Listen(addr, cfg, func(s eventloop.Socket) {
		accepted.set(s)
		e.Notify()
	})
	e.must(err)
	return l, &accepted
}

// testListenUnspecified: 0.0.0.0 takes what is dialled at any IPv4 address of the
// host, and nothing else.
func testListenUnspecified(e *env) {
	if len(e.Homes) == 0 {
		e.t.Skip("no addresses given")
	}
	any4 := netip.IPv4Unspecified()
	one, _ := e.listenAt(netip.AddrPortFrom(e.Homes[0], 0), eventloop.ListenConfig{})
	taken := netip.AddrPortFrom(any4, one.Addr().Port())
	_, err := e.Server.Listen(taken, eventloop.ListenConfig{}, func(eventloop.Socket) {})
	e.check(errors.Is(err, syscall.EADDRINUSE), "listening on %v and all others: %v", one.Addr(), err)
	l, accepted := e.listenAt(netip.AddrPortFrom(any4, 0), eventloop.ListenConfig{})
	e.must(one.Close())
	e.settle()

	err = e.failedDial(one.Addr(), eventloop.DialConfig{Timeout: time.Minute})
	e.check(errors.Is(err, syscall.ECONNREFUSED), "dialling %v, listening on %v: %v", one.Addr(), l.Addr(), err)
	for _, home := range e.Homes {
		at := netip.AddrPortFrom(home, l.Addr().Port())
		if home.Is4() {
			e.meet(l, accepted, at, at)
			e.meet(l, accepted, mapped(at), at)
			_, err := e.Server.Listen(at, eventloop.ListenConfig{}, func(eventloop.Socket) {})
			e.check(errors.Is(err, syscall.EADDRINUSE), "listening on %v and %v: %v", l.Addr(), at, err)
		} else {
			err := e.failedDial(at, eventloop.DialConfig{Timeout: time.Minute})
			e.check(errors.Is(err, syscall.ECONNREFUSED), "dialling %v, listening on %v: %v", at, l.Addr(), err)
		}
	}
	e.must(l.Close())
}

// testListenUnspecified6: [::] takes IPv4 connections as well, unless it is told not to.
func testListenUnspecified6(e *env) {
	if e.Addr6 == nil || len(e.Homes) == 0 {
		e.t.Skip("no IPv6 address given, or no addresses of both kinds")
	}
	any6 := netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	l, accepted := e.listenAt(any6, eventloop.ListenConfig{})
	for _, home := range e.Homes {
		at := netip.AddrPortFrom(home, l.Addr().Port())
		e.meet(l, accepted, at, at)
		if home.Is4() {
			e.meet(l, accepted, mapped(at), at)
		}
		_, err := e.Server.Listen(at, eventloop.ListenConfig{}, func(eventloop.Socket) {})
		e.check(errors.Is(err, syscall.EADDRINUSE), "listening on %v and %v: %v", l.Addr(), at, err)
	}
	e.must(l.Close())
	e.settle()

	l, accepted = e.listenAt(any6, eventloop.ListenConfig{V6Only: true})
	for _, home := range e.Homes {
		at := netip.AddrPortFrom(home, l.Addr().Port())
		if home.Is6() {
			e.meet(l, accepted, at, at)
		} else {
			err := e.failedDial(at, eventloop.DialConfig{Timeout: time.Minute})
			e.check(errors.Is(err, syscall.ECONNREFUSED), "dialling %v, listening on %v: %v", at, l.Addr(), err)
		}
	}
	// IPv4 may have a listener of its own then.
	l4, accepted4 := e.listenAt(netip.AddrPortFrom(netip.IPv4Unspecified(), l.Addr().Port()), eventloop.ListenConfig{})
	for _, home := range e.Homes {
		at := netip.AddrPortFrom(home, l.Addr().Port())
		if home.Is4() {
			e.meet(l4, accepted4, at, at)
		} else {
			e.meet(l, accepted, at, at)
		}
	}
	e.must(l.Close())
	e.must(l4.Close())
}

func testListenMapped(e *env) {
	if len(e.Homes) == 0 {
		e.t.Skip("no addresses given")
	}
	home := netip.AddrPortFrom(e.Homes[0], 0)
	l, accepted := e.listenAt(mapped(home), eventloop.ListenConfig{})
	e.check(l.Addr().Addr() == home.Addr(), "listening on %v, asked for %v", l.Addr(), home)
	e.meet(l, accepted, l.Addr(), l.Addr())
	e.must(l.Close())
}

func testDialMapped(e *env) {
	if !e.Addr().Addr().Is4() {
		e.t.Skip("not listening on an IPv4 address")
	}
	l, accepted := e.listenAt(e.Addr(), eventloop.ListenConfig{})
	e.meet(l, accepted, mapped(l.Addr()), l.Addr())
	c := e.newPeer("client", e.Client.Pick())
	if e.Local.Is4() {
		from := mapped(netip.AddrPortFrom(e.Local, 0))
		c.do(func() { c.dial(l.Addr(), eventloop.DialConfig{Local: from}) })
		e.Until("connected", c.has("connected"))
		c.do(func() {
			if c.t.LocalAddr().Addr() != e.Local {
				e.t.Errorf("dialled from %v, local address %v", from, c.t.LocalAddr())
			}
		})
		e.Until("accepted", func() bool {
			return accepted.get() != nil && accepted.get().RemoteAddr().Addr() == e.Local
		})
	}
	e.must(l.Close())
}

// testHostAddrs: they are the host's, each once; one can listen on them.
func testHostAddrs(e *env) {
	hosted, ok := e.Server.(eventloop.Hosted)
	if !ok {
		e.t.Skip("the stack does not know its host")
	}
	addrs, err := hosted.HostAddrs()
	e.must(err)
	e.check(len(addrs) > 0, "no address")
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		e.check(!seen[a] && a.IsValid() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast(), "%v in %v", a, addrs)
		seen[a] = true
		if a.Is6() && a.IsLinkLocalUnicast() {
			id, ok := hosted.ZoneID(a.Zone())
			e.check(ok && strconv.FormatUint(uint64(id), 10) == a.Zone(), "zone %q is %d, %v", a.Zone(), id, ok)
		} else {
			e.check(a.Zone() == "", "%v has a zone", a)
		}
		l, err := e.Server.Listen(netip.AddrPortFrom(a, 0), eventloop.ListenConfig{}, func(eventloop.Socket) {})
		if err != nil {
			e.t.Errorf("listen on %v: %v", a, err)
			continue
		}
		e.check(l.Addr().Addr() == a, "listening on %v, asked for %v", l.Addr(), a)
		e.must(l.Close())
	}
	for _, home := range e.Homes {
		// 127.0.0.0/8 is the host's without an interface that has all of it.
		e.check(seen[home] || home.IsLoopback(), "%v is not in %v", home, addrs)
	}
}

func testZoneID(e *env) {
	hosted, ok := e.Server.(eventloop.Hosted)
	if !ok {
		e.t.Skip("the stack does not know its host")
	}
	id, ok := hosted.ZoneID("7")
	e.check(ok && id == 7, "zone 7 is %d, %v", id, ok)
	for _, zone := range []string{"", "0", "-1", "4294967296", "no such interface"} {
		id, ok := hosted.ZoneID(zone)
		e.check(!ok, "zone %q is %d", zone, id)
	}
}
