//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestFromRawSockaddr: what the system writes is read as package unix reads it.
func TestFromRawSockaddr(t *testing.T) {
	port := [2]byte{0x1a, 0x90} // 6800, in the order of the network
	v4 := unix.RawSockaddrInet4{
		Family: unix.AF_INET, Port: *(*uint16)(unsafe.Pointer(&port)), Addr: [4]byte{10, 0, 0, 7},
	}
	var room unix.RawSockaddrInet6
	*(*unix.RawSockaddrInet4)(unsafe.Pointer(&room)) = v4
	require.Equal(t, netip.MustParseAddrPort("10.0.0.7:6800"), fromRawSockaddr(&room))
	for ip, zone := range map[string]uint32{"2001:db8::7": 0, "fe80::1": 3, "::ffff:10.0.0.7": 0} {
		a := netip.MustParseAddr(ip).As16()
		raw := unix.RawSockaddrInet6{
			Family: unix.AF_INET6, Port: *(*uint16)(unsafe.Pointer(&port)), Addr: a, Scope_id: zone,
		}
		want := fromSockaddr(&unix.SockaddrInet6{Port: 6800, Addr: a, ZoneId: zone})
		require.True(t, want.IsValid())
		require.Equal(t, want, fromRawSockaddr(&raw), ip)
	}
	require.False(t, fromRawSockaddr(&unix.RawSockaddrInet6{Family: unix.AF_UNIX}).IsValid())
}

// TestAcceptSocket: whose connection it is, and nothing more when there is none.
func TestAcceptSocket(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer closeSocket(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 1))
	_, _, e := acceptSocket(fd)
	require.Equal(t, unix.EAGAIN, e)
	c, err := net.Dial("tcp", localAddr(fd).String())
	require.NoError(t, err)
	defer c.Close()
	got, from, e := acceptSocket(fd)
	require.Equal(t, errNone, e)
	require.Equal(t, c.LocalAddr().(*net.TCPAddr).AddrPort(), from)
	flags, err := unix.FcntlInt(uintptr(got), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.O_NONBLOCK)
	flags, err = unix.FcntlInt(uintptr(got), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)
	closeSocket(got)
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
}
