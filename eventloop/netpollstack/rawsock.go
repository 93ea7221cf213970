//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a worker does with sockets all the time and what never blocks is done without
// telling the Go scheduler, as small reads are: on a loaded machine a thread that told it
// comes back to find its place taken, and waits for milliseconds. In a storm of handshakes
// that is a wait for each connection that is accepted and closed.

// closeSocket closes a socket whose SO_LINGER is off or 0.
func closeSocket(fd int) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// acceptSocket accepts a connection of a listening socket that does not block.
func acceptSocket(listener int) (fd int, from netip.AddrPort, e syscall.Errno) {
	var sa unix.RawSockaddrInet6 // with room for an IPv4 address
	size := uint32(unsafe.Sizeof(sa))
	n, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != errNone {
		return -1, from, e
	}
	return int(n), fromRawSockaddr(&sa), errNone
}

// fromRawSockaddr is fromSockaddr for what the system wrote itself.
func fromRawSockaddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := func(p uint16) uint16 { // in the order of the network
		b := *(*[2]byte)(unsafe.Pointer(&p))
		return uint16(b[0])<<8 | uint16(b[1])
	}
	switch sa.Family {
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port(v4.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(fromIPv6(sa.Addr, sa.Scope_id), port(sa.Port))
	}
	return netip.AddrPort{}
}
