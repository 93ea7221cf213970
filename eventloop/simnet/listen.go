package simnet

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Where ports are looked for.
const (
	firstDialPort   = 32768
	firstListenPort = 20000
)

// owns says whether a is an address of the host, or any.
func (h *Host) owns(a netip.Addr) bool {
	if a.IsUnspecified() {
		return true
	}
	for _, mine := range h.cfg.Addrs {
		if mine == a {
			return true
		}
	}
	return false
}

// port finds a free port, for a dial (0) or a listener (1).
func (h *Host) port(what int) uint16 {
	first, last := uint16(firstDialPort), uint16(65535)
	if what == 1 {
		first, last = firstListenPort, firstDialPort-1
	}
	for {
		p := &h.lastPort[what]
		if *p++; *p < first || *p > last {
			*p = first
		}
		if !h.portUsed(*p) {
			return *p
		}
	}
}

func (h *Host) portUsed(p uint16) bool {
	for _, l := range h.listeners {
		if l.addr.Port() == p {
			return true
		}
	}
	return false
}

// Listen implements eventloop.Stack.
func (h *Host) Listen(
	addr netip.AddrPort, cfg eventloop.ListenConfig, accept func(eventloop.Socket),
) (eventloop.Listener, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	switch {
	case h.state != running:
		return nil, eventloop.ErrStackClosed
	case !addr.Addr().IsValid():
		return nil, fmt.Errorf("simnet: listen: %w", syscall.EINVAL)
	case !h.owns(addr.Addr()):
		return nil, fmt.Errorf("simnet: listen %s: %w", addr, syscall.EADDRNOTAVAIL)
	}
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), h.port(1))
	}
	l := &listener{host: h, addr: addr, cfg: cfg, accept: accept}
	for _, other := range h.listeners {
		if other.addr.Port() == addr.Port() && (other.takes(addr.Addr()) || l.takes(other.addr.Addr())) {
			return nil, fmt.Errorf("simnet: listen %s: %w", addr, syscall.EADDRINUSE)
		}
	}
	if l.cfg.Backlog == 0 {
		l.cfg.Backlog = 512
	}
	l.w = h.Pick().(*worker)
	h.listeners = append(h.listeners, l)
	return l, nil
}

func (h *Host) listenerAt(a netip.AddrPort) *listener {
	for _, l := range h.listeners {
		if l.addr.Port() == a.Port() && l.takes(a.Addr()) {
			return l
		}
	}
	return nil
}

// HostAddrs implements eventloop.Hosted: the addresses in the order of HostConfig.Addrs.
func (h *Host) HostAddrs() ([]netip.Addr, error) { return slices.Clone(h.cfg.Addrs), nil }

// ZoneID implements eventloop.Hosted. Interfaces have no names here, and any number.
func (h *Host) ZoneID(zone string) (id uint32, ok bool) {
	n, err := strconv.ParseUint(zone, 10, 32)
	return uint32(n), err == nil && n > 0
}

// listener implements eventloop.Listener.
type listener struct {
	host    *Host
	addr    netip.AddrPort
	cfg     eventloop.ListenConfig
	accept  func(eventloop.Socket)
	w       *worker
	backlog []*endpoint
	queued  bool // in w.ready
	done    bool
}

// takes says whether connections to a are the listener's: to its own address, or to
// any of its kind, and [::] is of both kinds.
func (l *listener) takes(a netip.Addr) bool {
	mine := l.addr.Addr()
	switch {
	case mine == a:
		return true
	case !mine.IsUnspecified():
		return false
	}
	return mine.Is6() && !l.cfg.V6Only || mine.Is4() == a.Is4()
}

func (l *listener) Addr() netip.AddrPort { return l.addr }

func (l *listener) Close() error {
	if l.done {
		return nil
	}
	l.done = true
	for i, other := range l.host.listeners {
		if other == l {
			l.host.listeners = append(l.host.listeners[:i:i], l.host.listeners[i+1:]...)
		}
	}
	for _, e := range l.backlog {
		if l.host.state != crashed {
			e.abort()
		}
	}
	l.backlog = nil
	return nil
}

// service accepts all that wait.
func (l *listener) service() {
	l.queued = false
	for len(l.backlog) > 0 && !l.done {
		e := l.backlog[0]
		l.backlog = l.backlog[1:]
		if e.over() {
			continue // reset meanwhile
		}
		l.accept(newSocket(e, nil))
	}
}
