package threadpipe

import (
	"net"
	"net/netip"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// identity is what addresses the messenger has: those that it says it has, and where it
// is reached all the same. It is replaced, never changed.
type identity struct {
	addrs entity.AddrVec
	nonce uint32
	// bound is where it listens; unspecified IP addresses stand for all of the host's.
	bound []netip.AddrPort
}

// unbound is who a messenger is that does not listen.
func unbound(nonce uint32) *identity {
	any := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	return &identity{addrs: entity.AddrVec{{Type: entity.AddrAny, Nonce: nonce, AddrPort: any}}, nonce: nonce}
}

// listening is who it is when it listens at those addresses.
func listening(bound []netip.AddrPort, nonce uint32) *identity {
	id := &identity{nonce: nonce, bound: bound}
	for _, b := range bound {
		id.addrs = append(id.addrs, entity.Addr{Type: entity.AddrMsgr2, Nonce: nonce, AddrPort: b}.Normal())
	}
	return id
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
		ip := b.Addr().Unmap()
		switch {
		case b.Port() != at.Port():
		case ip.WithZone("") == at.Addr():
			return true
		case !ip.IsUnspecified() || ip.Is4() && !at.Addr().Is4():
		case at.Addr() == local.WithZone(""), at.Addr().IsLoopback(), hostHas(at.Addr()):
			return true
		}
	}
	return false
}

// hostHas says whether ip is an address of this host.
func hostHas(ip netip.Addr) bool {
	all, _ := net.InterfaceAddrs() // none if they are not to be had
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}

// learnAddr fills in an own address that is still unspecified with what a peer sees.
func (m *Messenger) learnAddr(seen entity.Addr) {
	ip := seen.AddrPort.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		return
	}
	for {
		old := m.identity.Load()
		next, changed := *old, false
		next.addrs = old.addrs.Clone()
		for i, x := range next.addrs {
			if a := x.AddrPort; a.Addr().IsUnspecified() && (a.Addr().Is4() == ip.Is4() || x.Type == entity.AddrAny) {
				next.addrs[i].AddrPort, changed = netip.AddrPortFrom(ip, a.Port()), true
			}
		}
		if !changed || m.identity.CompareAndSwap(old, &next) {
			return
		}
	}
}

// normal is addrs in the form that is compared: IPv4 unmapped.
func normal(addrs entity.AddrVec) entity.AddrVec {
	out := addrs.Clone()
	for i, a := range out {
		out[i] = a.Normal()
	}
	return out
}
