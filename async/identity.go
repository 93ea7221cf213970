package async

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// What addresses the messenger has (docs/PROTOCOL.md 1.1, 3.5): those that it says it has,
// and the others at which it is reached all the same.

// identity is replaced, never changed.
type identity struct {
	// addrs are what the messenger is known by. They stay as they are from Bind on.
	addrs entity.AddrVec
	nonce uint32
	// bound is where it listens; unspecified IP addresses stand for all of the host's.
	bound []netip.AddrPort
}

// unbound is who a messenger is that does not listen.
func (m *Messenger) unbound() *identity {
	ap := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if m.cfg.BindBeforeConnect.IsValid() {
		ap = netip.AddrPortFrom(m.cfg.BindBeforeConnect.Addr(), 0)
	}
	return &identity{addrs: entity.AddrVec{{Type: entity.AddrAny, Nonce: m.nonce, AddrPort: ap}}, nonce: m.nonce}
}

// listening is who the messenger is when it listens at those addresses.
func (m *Messenger) listening(bound []netip.AddrPort) *identity {
	id := &identity{bound: bound, nonce: m.nonce}
	at := m.cfg.Advertise
	if len(at) == 0 {
		for _, b := range bound {
			at = append(at, m.knownAs(b)...)
		}
	}
	for i, ap := range at {
		if ap.Port() == 0 {
			ap = netip.AddrPortFrom(ap.Addr(), bound[min(i, len(bound)-1)].Port())
		}
		a := entity.Addr{Type: entity.AddrMsgr2, Nonce: m.nonce, AddrPort: ap}.Normal()
		if !slices.Contains(id.addrs, a) {
			id.addrs = append(id.addrs, a)
		}
	}
	return id
}

// knownAs is what a bound address is called: itself, or if it stands for all of the
// host's, that of each family by which others most likely reach the host.
func (m *Messenger) knownAs(bound netip.AddrPort) (as []netip.AddrPort) {
	ip := bound.Addr()
	if !ip.IsUnspecified() {
		return []netip.AddrPort{bound}
	}
	host := m.hostAddrs()
	pick := func(fits func(netip.Addr) bool) {
		for _, v6 := range []bool{true, false} {
			i := slices.IndexFunc(host,
				func(a netip.Addr) bool { return a.Is6() == v6 && m.standsFor(ip, a) && fits(a) })
			if i >= 0 {
				as = append(as, netip.AddrPortFrom(host[i], bound.Port()))
			}
		}
	}
	if pick(netip.Addr.IsGlobalUnicast); len(as) == 0 {
		pick(netip.Addr.IsLoopback)
	}
	if len(as) == 0 { // the stack does not know: it is learned from the first connection
		as = []netip.AddrPort{bound}
	}
	return as
}

// standsFor says whether a listener on the unspecified address any takes connections
// to ip, if that is the host's.
func (m *Messenger) standsFor(any, ip netip.Addr) bool {
	return any.Is6() == ip.Is6() || any.Is6() && !m.only6.Load()
}

// hostAddrs are the addresses of the host, as far as the stack knows.
func (m *Messenger) hostAddrs() []netip.Addr {
	h, ok := m.cfg.Stack.(eventloop.Hosted)
	if !ok {
		return nil
	}
	addrs, err := h.HostAddrs()
	if err != nil {
		m.log.Warn("the addresses of this host are not to be had; set Config.Advertise", "err", err)
	}
	return addrs
}

// owns says whether the messenger is reached at a, over a connection whose local
// address is local (the zero value: none in particular). A nonce that is known has to
// be its own.
func (m *Messenger) owns(a entity.Addr, local netip.Addr) bool {
	id := m.identity.Load()
	if id.addrs.Contains(a) {
		return true
	}
	if a.Type != entity.AddrMsgr2 || !a.AnyNonce && a.Nonce != id.nonce {
		return false
	}
	at := a.Place()
	for _, b := range id.bound {
		switch {
		case b.Port() != at.Port():
		case b.Addr().Unmap().WithZone("") == at.Addr():
			return true
		case !b.Addr().IsUnspecified() || !m.standsFor(b.Addr(), at.Addr()):
		case at.Addr() == local.WithZone(""), at.Addr().IsLoopback(), m.hostHas(at.Addr()):
			return true
		}
	}
	return false
}

func (m *Messenger) hostHas(ip netip.Addr) bool {
	return slices.ContainsFunc(m.hostAddrs(), func(a netip.Addr) bool { return a.WithZone("") == ip })
}

// learnAddr fills in an own address that is still unspecified with what a peer
// sees. Ports, types and nonces stay.
func (m *Messenger) learnAddr(seen entity.Addr) {
	ip := seen.AddrPort.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		return
	}
	for {
		old := m.identity.Load()
		addrs := old.addrs.Clone()
		changed := false
		for i, a := range addrs {
			was := a.AddrPort.Addr()
			if was.IsUnspecified() && (was.Is4() == ip.Is4() || a.Type == entity.AddrAny) {
				addrs[i].AddrPort = netip.AddrPortFrom(ip, a.AddrPort.Port())
				changed = true
			}
		}
		next := *old
		next.addrs = addrs
		if !changed || m.identity.CompareAndSwap(old, &next) {
			return
		}
	}
}

// localized is addrs in the form that is compared: IPv4 unmapped, and IPv6 zones as
// the numbers that this host has for them.
func (m *Messenger) localized(addrs entity.AddrVec) (entity.AddrVec, error) {
	out := addrs.Clone()
	for i, a := range out {
		a = a.Normal()
		if zone := a.AddrPort.Addr().Zone(); zone != "" {
			h, ok := m.cfg.Stack.(eventloop.Hosted)
			if !ok {
				continue
			}
			id, ok := h.ZoneID(zone)
			if !ok {
				return nil, fmt.Errorf("msgr: %s: this host has no network interface %q", a, zone)
			}
			ip := a.AddrPort.Addr().WithZone(strconv.FormatUint(uint64(id), 10))
			a.AddrPort = netip.AddrPortFrom(ip, a.AddrPort.Port())
		}
		out[i] = a
	}
	return out, nil
}
