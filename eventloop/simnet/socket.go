package simnet

import (
	"fmt"
	"net/netip"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Dial implements eventloop.Worker.
func (w *worker) Dial(remote netip.AddrPort, cfg eventloop.DialConfig, h eventloop.Handler) eventloop.Transport {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	cfg.Local = netip.AddrPortFrom(cfg.Local.Addr().Unmap(), cfg.Local.Port())
	t := &transport{w: w, h: h, full: true, dialer: true}
	local, err := w.host.source(remote, cfg.Local)
	if err != nil {
		t.s = &stream{addrs: [2]netip.AddrPort{local, remote}}
		t.failLater(fmt.Errorf("simnet: connect %s: %w", remote, err))
		return t
	}
	t.e = w.host.net.connect(w.host, local, remote)
	t.s = t.e.s
	t.e.t = t
	t.state = connecting
	w.load.Add(1)
	t.timer.Init(t)
	if cfg.Timeout <= 0 {
		cfg.Timeout, t.kernel = connectTimeout, true
	}
	w.SetTimer(&t.timer, w.Now()+cfg.Timeout)
	return t
}

// source chooses the local address of a dial.
func (h *Host) source(remote, local netip.AddrPort) (netip.AddrPort, error) {
	if !remote.IsValid() || remote.Port() == 0 {
		return local, syscall.EINVAL
	}
	if local.IsValid() && !h.owns(local.Addr()) {
		return local, syscall.EADDRNOTAVAIL
	}
	a := local.Addr()
	if !a.IsValid() || a.IsUnspecified() {
		a = netip.Addr{}
		for _, mine := range h.cfg.Addrs {
			if mine.Is4() == remote.Addr().Is4() {
				a = mine
				break
			}
		}
	}
	if !a.IsValid() || h.net.byAddr[remote.Addr()] == nil {
		return local, syscall.ENETUNREACH
	}
	port := local.Port()
	if port == 0 {
		port = h.dialPort()
	}
	return netip.AddrPortFrom(a, port), nil
}

// Adopt implements eventloop.Worker.
func (w *worker) Adopt(s eventloop.Socket, h eventloop.Handler) eventloop.Transport {
	sock, ok := s.(*socket)
	if !ok || sock.host != w.host {
		panic(fmt.Sprintf("simnet: Adopt of a %T of another host", s))
	}
	t := &transport{w: w, h: h, s: sock.s, dialer: sock.side == 0}
	e := sock.take()
	if e == nil {
		t.failLater(eventloop.ErrTransportClosed)
		return t
	}
	t.e, t.state = e, open
	e.t = t
	w.load.Add(1)
	if e.out().room() <= 0 {
		t.full = true
		e.out().blocked()
	}
	t.mark() // what came meanwhile
	return t
}

// socket implements eventloop.Socket.
type socket struct {
	host *Host
	s    *stream
	side int
	e    *endpoint // nil when closed or adopted
	from *worker   // whose load it still is; nil after accept
}

func newSocket(e *endpoint, from *worker) *socket {
	s := &socket{host: e.host, s: e.s, side: e.side(), e: e, from: from}
	e.socket = s
	if from != nil {
		from.load.Add(1)
	}
	return s
}

func (s *socket) LocalAddr() netip.AddrPort  { return s.s.addrs[s.side] }
func (s *socket) RemoteAddr() netip.AddrPort { return s.s.addrs[1-s.side] }

func (s *socket) take() *endpoint {
	e := s.e
	s.e = nil
	if e == nil || s.host.state != running {
		return nil
	}
	e.socket = nil
	if s.from != nil {
		s.from.load.Add(-1)
	}
	return e
}

func (s *socket) Close() error {
	s.host.net.soon(func() {
		if e := s.take(); e != nil {
			e.close()
		}
	})
	return nil
}
