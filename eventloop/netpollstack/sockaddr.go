//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"golang.org/x/sys/unix"
)

// toSockaddr returns the system's form of addr and its address family. An IPv4
// address in IPv6 clothes counts as IPv4.
func toSockaddr(addr netip.AddrPort) (unix.Sockaddr, int, error) {
	ip := addr.Addr().Unmap()
	switch {
	case ip.Is4():
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, unix.AF_INET, nil
	case ip.Is6():
		sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}
		if zone := ip.Zone(); zone != "" {
			id, err := zoneID(zone)
			if err != nil {
				return nil, 0, err
			}
			sa.ZoneId = id
		}
		return sa, unix.AF_INET6, nil
	}
	return nil, 0, fmt.Errorf("address %v: %w", addr, syscall.EINVAL)
}

// zoneID returns the index of the interface that an IPv6 zone names.
func zoneID(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	itf, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("zone %q: %w", zone, syscall.ENODEV)
	}
	return uint32(itf.Index), nil
}

// fromSockaddr returns the address that the system reported. A zone appears as
// the number of its interface.
func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(fromIPv6(sa.Addr, sa.ZoneId), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// fromIPv6 is an address of an IPv6 socket, which may be of IPv4, and zone the number of
// its interface or 0.
func fromIPv6(addr [16]byte, zone uint32) netip.Addr {
	ip := netip.AddrFrom16(addr).Unmap()
	if zone != 0 && ip.Is6() {
		ip = ip.WithZone(strconv.FormatUint(uint64(zone), 10))
	}
	return ip
}

// localAddr asks for the address of this end; zero if the socket is gone.
func localAddr(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return fromSockaddr(sa)
}

// peerAddr asks for the address of the other end; zero if there is none.
func peerAddr(fd int) netip.AddrPort {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return fromSockaddr(sa)
}

// openSocket makes a TCP socket with its options set.
func openSocket(family int, opts eventloop.SocketOptions) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := setOptions(fd, opts); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setOptions is called before connect or listen, because the size of the
// receive buffer decides the window scale. Accepted sockets inherit everything
// from the listening one but SO_PRIORITY.
func setOptions(fd int, opts eventloop.SocketOptions) error {
	for _, o := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, orDefault(opts.UnsentMax, unsentMost)},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, opts.RecvBuffer},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, opts.SendBuffer},
		{unix.SOL_SOCKET, unix.SO_PRIORITY, opts.Priority},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(opts.UserTimeout.Milliseconds())},
	} {
		if o.value <= 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}
