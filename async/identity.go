package async

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// listening is where the messenger is when it listens at those addresses.
func (m *Messenger) listening(bound []netip.AddrPort, only6 bool) *connection.Place {
	p := &connection.Place{Bound: bound, Nonce: m.nonce, Only6: only6}
	at := m.cfg.Advertise
	if len(at) == 0 {
		for _, b := range bound {
			at = append(at, m.knownAs(p, b)...)
		}
	}
	for i, ap := range at {
		if ap.Port() == 0 {
			ap = netip.AddrPortFrom(ap.Addr(), bound[min(i, len(bound)-1)].Port())
		}
		a := entity.Addr{Type: entity.AddrMsgr2, Nonce: m.nonce, AddrPort: ap}.Normal()
		if !slices.Contains(p.Addrs, a) {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return p
}

// knownAs is what a bound address is called: itself, or if it stands for all of the
// host's, that of each family by which others most likely reach the host.
func (m *Messenger) knownAs(p *connection.Place, bound netip.AddrPort) (as []netip.AddrPort) {
	ip := bound.Addr()
	if !ip.IsUnspecified() {
		return []netip.AddrPort{bound}
	}
	host := m.hostAddrs()
	pick := func(fits func(netip.Addr) bool) {
		for _, v6 := range []bool{true, false} {
			i := slices.IndexFunc(host,
				func(a netip.Addr) bool { return a.Is6() == v6 && p.StandsFor(ip, a) && fits(a) })
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

func (m *Messenger) hostHas(ip netip.Addr) bool {
	return slices.ContainsFunc(m.hostAddrs(), func(a netip.Addr) bool { return a.WithZone("") == ip })
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
