//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func init() {
	for role := range zeroRoles {
		children["zero "+role] = func() { childZero(role) }
	}
}

// zeroRoles are the sockets that may have descriptor 0, each with what makes one of that role; the test's end of
// a connection with it is what they return.
var zeroRoles = map[string]func(z *zero) (peer *net.TCPConn){
	"listener": func(z *zero) *net.TCPConn {
		z.free()
		addr := z.listen()
		z.is("listener", addr)
		return z.dial(addr)
	},
	"accepted": func(z *zero) *net.TCPConn {
		addr := z.listen()
		d := net.Dialer{Control: func(string, string, syscall.RawConn) error {
			z.free() // of the two ends, this one has its descriptor already
			return nil
		}}
		c, err := d.Dial("tcp", addr.String())
		z.must(err)
		return c.(*net.TCPConn)
	},
	"dialled": func(z *zero) *net.TCPConn {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		z.must(err)
		addr := l.Addr().(*net.TCPAddr).AddrPort()
		z.free()
		z.must(z.s.Worker(0).Post(eventloop.TaskFunc(func() {
			z.s.Worker(0).Dial(addr, eventloop.DialConfig{}, z.h)
		})))
		c, err := l.Accept()
		z.must(err)
		<-z.h.connected
		return c.(*net.TCPConn)
	},
}

// zero is what a child does.
type zero struct {
	s eventloop.Stack
	h *idle
}

func (z *zero) must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// free closes descriptor 0: the next one that is made is that.
func (z *zero) free() { z.must(unix.Close(0)) }

// is ends the child unless descriptor 0 is a socket with that address of its own.
func (z *zero) is(what string, local netip.AddrPort) {
	a, err := unix.Getsockname(0)
	z.must(err)
	if a, ok := a.(*unix.SockaddrInet4); !ok || netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) != local {
		z.must(fmt.Errorf("descriptor 0 is not the %s with %v, but has %v", what, local, a))
	}
}

// listen has the worker accept what comes, with h.
func (z *zero) listen() netip.AddrPort {
	l, err := z.s.Listen(loopback, eventloop.ListenConfig{}, func(s eventloop.Socket) {
		z.must(z.s.Worker(0).Post(eventloop.TaskFunc(func() {
			z.h.t = z.s.Worker(0).Adopt(s, z.h)
			close(z.h.connected)
		})))
	})
	z.must(err)
	return l.Addr()
}

func (z *zero) dial(to netip.AddrPort) *net.TCPConn {
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
	z.must(err)
	return c
}

func childZero(role string) {
	z := &zero{h: newIdle()}
	time.AfterFunc(time.Minute, func() { z.must(fmt.Errorf("it has not ended after a minute")) })
	warm, err := net.Listen("tcp", "127.0.0.1:0") // what package net needs itself is there before
	z.must(err)
	z.must(warm.Close())
	z.s, err = Open(Config{Workers: 1})
	z.must(err)
	peer := zeroRoles[role](z)
	<-z.h.connected
	if role != "listener" {
		z.is(role, peer.RemoteAddr().(*net.TCPAddr).AddrPort())
	}
	_, err = peer.Write([]byte("read by a handler that drops it"))
	z.must(err)
	z.must(peer.CloseWrite())
	<-z.h.eof
	closed := make(chan struct{})
	z.must(z.s.Worker(0).Post(eventloop.TaskFunc(func() {
		z.h.t.Close()
		close(closed)
	})))
	<-closed
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil {
		z.must(fmt.Errorf("the connection goes on: %d, %v", n, err))
	}
	z.must(z.s.Close())
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err == nil {
		z.must(fmt.Errorf("descriptor 0 is still open"))
	}
	fmt.Println("well")
}

// TestDescriptorZero: who has closed standard input gets descriptor 0 for a socket, which works as any other.
func TestDescriptorZero(t *testing.T) {
	for role := range zeroRoles {
		t.Run(role, func(t *testing.T) {
			out, err := child(t, "zero "+role).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, "well\n", string(out))
		})
	}
}
