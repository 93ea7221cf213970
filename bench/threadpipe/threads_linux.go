package threadpipe

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadNetwork is the flavour of OS threads: blocking sockets that Go's poller
// does not know, and futexes. Whoever uses it is locked to its thread.
type threadNetwork struct{}

func newThreadNetwork() (network, error) { return threadNetwork{}, nil }

func (threadNetwork) newWaker() waker { return new(futexWaker) }

const threadBacklog = 4096

func (threadNetwork) listen(at netip.AddrPort) (listener, error) {
	s, err := newThreadSocket(at)
	if err != nil {
		return nil, err
	}
	if err := s.listen(at); err != nil {
		s.close()
		return nil, err
	}
	return &threadListener{s}, nil
}

func (s *threadSocket) listen(at netip.AddrPort) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(s.fd, sockaddr(at)); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(s.fd, threadBacklog); err != nil {
		return os.NewSyscallError("listen", err)
	}
	sa, err := unix.Getsockname(s.fd)
	s.remote = fromSockaddr(sa) // a listener's own address
	return os.NewSyscallError("getsockname", err)
}

func (threadNetwork) dial(ctx context.Context, to netip.AddrPort, timeout time.Duration) (socket, error) {
	s, err := newThreadSocket(to)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	if err := s.connect(to, timeout); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

type threadListener struct{ s *threadSocket }

func (l *threadListener) addr() netip.AddrPort { return l.s.remote }
func (l *threadListener) close()               { l.s.close() }
func (l *threadListener) closed() bool         { return l.s.state.Load()&closedBit != 0 }

func (l *threadListener) accept() (socket, error) {
	if !l.s.enter() {
		return nil, net.ErrClosed
	}
	defer l.s.leave()
	for {
		fd, sa, err := unix.Accept4(l.s.fd, unix.SOCK_CLOEXEC)
		if err == unix.EINTR || err == unix.ECONNABORTED {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("accept", err)
		}
		s := &threadSocket{fd: fd, remote: fromSockaddr(sa)}
		if err := s.tune(); err != nil {
			s.close()
			return nil, err
		}
		return s, nil
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// futexWaker wakes a thread, as a condition variable of C does: one system call
// here, one there, and the Go scheduler has no part in it.
type futexWaker struct{ token uint32 } // 1: wake was called and no wait has seen it

const (
	futexWait = 0 | 128 // private to the process
	futexWake = 1 | 128
)

func (w *futexWaker) wake() {
	if atomic.SwapUint32(&w.token, 1) == 0 {
		_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.token)), futexWake, 1, 0, 0, 0)
	}
}

func (w *futexWaker) wait(d time.Duration) {
	if atomic.SwapUint32(&w.token, 0) == 1 {
		return
	}
	var limit *unix.Timespec
	if d >= 0 {
		ts := unix.NsecToTimespec(int64(d))
		limit = &ts
	}
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.token)), futexWait, 0,
		uintptr(unsafe.Pointer(limit)), 0, 0)
	atomic.StoreUint32(&w.token, 0)
}

func (w *futexWaker) close() {}
