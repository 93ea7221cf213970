//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// socket implements eventloop.Socket; any goroutine.
type socket struct {
	fd     atomic.Int32 // -1 when closed or adopted
	from   *worker      // whose load it still is; nil after accept
	local  netip.AddrPort
	remote netip.AddrPort
	unsent uint32 // the transport's
}

func newSocket(fd int, local, remote netip.AddrPort, from *worker, unsent uint32) *socket {
	s := &socket{from: from, local: local, remote: remote, unsent: unsent}
	s.fd.Store(int32(fd))
	if from != nil {
		from.load.Add(1)
	}
	return s
}

func (s *socket) LocalAddr() netip.AddrPort  { return s.local }
func (s *socket) RemoteAddr() netip.AddrPort { return s.remote }

// take ends the socket's life and returns its descriptor, -1 if it is over.
func (s *socket) take() int {
	fd := s.fd.Swap(-1)
	if fd >= 0 && s.from != nil {
		s.from.load.Add(-1)
	}
	return int(fd)
}

// Abandoned implements eventloop.Abandoner: accept did not return, and may not have
// handed the socket on. Who did get it finds it closed.
func (s *socket) Abandoned() { _ = s.Close() }

func (s *socket) Close() error {
	fd := s.take()
	if fd < 0 {
		return nil
	}
	closeSocket(fd)
	return nil
}

// Adopt implements eventloop.Worker. A socket that was closed or adopted before
// gives a transport that fails with ErrTransportClosed.
func (w *worker) Adopt(s eventloop.Socket, h eventloop.Handler) eventloop.Transport {
	sock, ok := s.(*socket)
	if !ok {
		panic(fmt.Sprintf("netpollstack: Adopt of a %T from another stack", s))
	}
	fd := sock.take()
	if fd < 0 {
		t := &transport{w: w, h: h, local: sock.local, remote: sock.remote}
		t.failLater(eventloop.ErrTransportClosed)
		return t
	}
	return w.adopt(fd, sock.local, sock.remote, sock.unsent, h)
}
