package threadpipe

import (
	"context"
	"errors"
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

// threadSocket is a blocking socket. Its descriptor is closed when nobody is
// inside a system call with it any more.
type threadSocket struct {
	fd     int
	remote netip.AddrPort
	state  atomic.Uint32 // how many are inside, and closedBit
	iov    []unix.Iovec  // the writer's
}

const closedBit = 1 << 31

func newThreadSocket(like netip.AddrPort) (*threadSocket, error) {
	family := unix.AF_INET
	if !like.Addr().Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return &threadSocket{fd: fd, remote: like}, nil
}

// enter says whether the descriptor may be used, until leave.
func (s *threadSocket) enter() bool {
	for {
		n := s.state.Load()
		if n&closedBit != 0 {
			return false
		}
		if s.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *threadSocket) leave() {
	if s.state.Add(^uint32(0)) == closedBit {
		_ = unix.Close(s.fd)
	}
}

func (s *threadSocket) close() {
	for {
		n := s.state.Load()
		if n&closedBit != 0 {
			return
		}
		if s.state.CompareAndSwap(n, n|closedBit+1) {
			break
		}
	}
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // who is inside comes out
	s.leave()
}

func (s *threadSocket) remoteAddr() netip.AddrPort { return s.remote }

func (s *threadSocket) connect(to netip.AddrPort, timeout time.Duration) error {
	if !s.enter() {
		return net.ErrClosed
	}
	defer s.leave()
	limit := unix.NsecToTimeval(int64(timeout)) // of connect too
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	err := unix.Connect(s.fd, sockaddr(to))
	if err == unix.EINTR { // it goes on
		err = s.awaitConnect(timeout)
	}
	if err != nil {
		return os.NewSyscallError("connect", err)
	}
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{}); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
}

func (s *threadSocket) awaitConnect(timeout time.Duration) error {
	for until := time.Now().Add(timeout); ; {
		left := time.Until(until)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, int(max(left.Milliseconds(), 0)))
		switch {
		case n > 0:
			code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err == nil && code != 0 {
				err = unix.Errno(code)
			}
			return err
		case err != nil && err != unix.EINTR:
			return err
		case left <= 0:
			return unix.ETIMEDOUT
		}
	}
}

func (s *threadSocket) read(b []byte) (int, error) {
	if !s.enter() {
		return 0, net.ErrClosed
	}
	defer s.leave()
	for {
		n, err := unix.Read(s.fd, b)
		if err == unix.EINTR {
			continue
		}
		return max(n, 0), os.NewSyscallError("read", err)
	}
}

func (s *threadSocket) writev(bufs [][]byte) error {
	if !s.enter() {
		return net.ErrClosed
	}
	defer s.leave()
	s.iov = s.iov[:0]
	for _, b := range bufs {
		if len(b) > 0 {
			v := unix.Iovec{Base: &b[0]}
			v.SetLen(len(b))
			s.iov = append(s.iov, v)
		}
	}
	defer func() { clear(s.iov) }()
	for rest := s.iov; len(rest) > 0; {
		n, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(s.fd), uintptr(unsafe.Pointer(&rest[0])), uintptr(min(len(rest), 1024)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("writev", errno)
		}
		rest = skip(rest, n)
	}
	return nil
}

// skip takes the first n bytes off.
func skip(iov []unix.Iovec, n uintptr) []unix.Iovec {
	for len(iov) > 0 && n >= uintptr(iov[0].Len) {
		n -= uintptr(iov[0].Len)
		iov = iov[1:]
	}
	if n > 0 {
		iov[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(iov[0].Base), n))
		iov[0].SetLen(int(uintptr(iov[0].Len) - n))
	}
	return iov
}

type threadListener struct{ s *threadSocket }

func (l *threadListener) addr() netip.AddrPort { return l.s.remote }
func (l *threadListener) close()               { l.s.close() }

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
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err != nil {
			return nil, errors.Join(os.NewSyscallError("setsockopt", err), unix.Close(fd))
		}
		return &threadSocket{fd: fd, remote: fromSockaddr(sa)}, nil
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
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.token)), futexWait, 0, uintptr(unsafe.Pointer(limit)), 0, 0)
	atomic.StoreUint32(&w.token, 0)
}

func (w *futexWaker) close() {}
