package simnet

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
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

// dialPort finds a free port for a dial.
func (h *Host) dialPort() uint16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.freePort(&h.lastDial, firstDialPort, 65535)
}

// freePort is the first one after last, of those from lo to hi; under mu.
func (h *Host) freePort(last *uint16, lo, hi uint16) uint16 {
	for {
		if *last++; *last < lo || *last > hi {
			*last = lo
		}
		if !h.portUsed(*last) {
			return *last
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
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.state != running:
		return nil, eventloop.ErrStackClosed
	case !addr.Addr().IsValid():
		return nil, fmt.Errorf("simnet: listen: %w", syscall.EINVAL)
	case !h.owns(addr.Addr()):
		return nil, fmt.Errorf("simnet: listen %s: %w", addr, syscall.EADDRNOTAVAIL)
	}
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), h.freePort(&h.lastListen, firstListenPort, firstDialPort-1))
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
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.listeners {
		if l.addr.Port() == a.Port() && l.takes(a.Addr()) {
			return l
		}
	}
	return nil
}

func (h *Host) allListeners() []*listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.listeners)
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
	done    atomic.Bool
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
	if l.shut() {
		l.host.net.soon(l.dropBacklog)
	}
	return nil
}

// shut has nothing more come in, and says whether it is the first time.
func (l *listener) shut() bool {
	if l.done.Swap(true) {
		return false
	}
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	l.host.listeners = slices.DeleteFunc(l.host.listeners, func(other *listener) bool { return other == l })
	return true
}

// dropBacklog resets what waits to be accepted.
func (l *listener) dropBacklog() {
	for _, e := range l.backlog {
		if l.host.state != crashed {
			e.abort()
		}
	}
	l.backlog = nil
}

// service accepts all that wait.
func (l *listener) service() {
	l.queued = false
	for len(l.backlog) > 0 && !l.done.Load() {
		e := l.backlog[0]
		l.backlog = l.backlog[1:]
		if e.over() {
			continue // reset meanwhile
		}
		l.accept(newSocket(e, nil))
	}
}
