//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// farAway are addresses of no host (RFC 5737, RFC 3849): what the routing table would
// do with them it does with most others.
var farAway = []netip.AddrPort{
	netip.MustParseAddrPort("203.0.113.1:9"),
	netip.MustParseAddrPort("[2001:db8::1]:9"),
}

// HostAddrs implements eventloop.Hosted. It asks the system each time: interfaces come
// and go.
func (s *stack) HostAddrs() ([]netip.Addr, error) {
	var far []netip.Addr
	for _, to := range farAway {
		if a := sourceFor(to); a.IsGlobalUnicast() {
			far = append(far, a)
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("netpollstack: interfaces: %w", err)
	}
	var all []interfaceAddr
	for i := range interfaces {
		itf := &interfaces[i]
		if itf.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := itf.Addrs()
		if err != nil {
			continue // it has gone meanwhile
		}
		for _, a := range addrs {
			if a := addrOf(itf, a); a.ip.IsValid() {
				all = append(all, a)
			}
		}
	}
	return preferred(far, all), nil
}

// interfaceAddr is an address of an interface, as fromSockaddr would write it.
type interfaceAddr struct {
	ip       netip.Addr
	loopback bool // the interface is one
}

// preferred puts far and all others in the order of eventloop.Hosted, each once.
func preferred(far []netip.Addr, others []interfaceAddr) (all []netip.Addr) {
	var global, link, loop []netip.Addr
	for _, a := range others {
		switch {
		case a.ip.IsMulticast() || a.ip.IsUnspecified():
		case a.loopback || a.ip.IsLoopback():
			loop = append(loop, a.ip)
		case a.ip.IsLinkLocalUnicast():
			link = append(link, a.ip)
		default:
			global = append(global, a.ip)
		}
	}
	for _, ip := range slices.Concat(far, global, link, loop) {
		if !slices.Contains(all, ip) {
			all = append(all, ip)
		}
	}
	return all
}

// sourceFor is the address that a connection to that one would leave from, invalid if
// there is no way to it. To connect a UDP socket looks up the route and sends nothing.
func sourceFor(to netip.AddrPort) netip.Addr {
	sa, family, err := toSockaddr(to)
	if err != nil {
		return netip.Addr{}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd)
	if unix.Connect(fd, sa) != nil {
		return netip.Addr{}
	}
	return localAddr(fd).Addr()
}

// addrOf is what package net says about an address.
func addrOf(itf *net.Interface, a net.Addr) interfaceAddr {
	n, ok := a.(*net.IPNet)
	if !ok {
		return interfaceAddr{}
	}
	ip, _ := netip.AddrFromSlice(n.IP)
	if ip = ip.Unmap(); ip.Is6() && ip.IsLinkLocalUnicast() {
		ip = ip.WithZone(strconv.Itoa(itf.Index))
	}
	return interfaceAddr{ip, itf.Flags&net.FlagLoopback != 0}
}

// ZoneID implements eventloop.Hosted.
func (s *stack) ZoneID(zone string) (id uint32, ok bool) {
	id, err := zoneID(zone)
	return id, err == nil && id != 0
}
