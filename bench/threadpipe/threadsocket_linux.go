package threadpipe

import (
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadSocket is a blocking socket. Its descriptor is closed when nobody is
// inside a system call with it any more.
type threadSocket struct {
	fd     int
	remote netip.AddrPort
	state  atomic.Uint32 // how many are inside, and closedBit
	brief  bool          // the reader's: reads give up after stallLimit

	// The writer's.
	iov  []unix.Iovec // what is being written
	rest []unix.Iovec // the part of it that is not written yet
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

func (s *threadSocket) localAddr() netip.AddrPort {
	if !s.enter() {
		return netip.AddrPort{}
	}
	defer s.leave()
	sa, _ := unix.Getsockname(s.fd)
	return fromSockaddr(sa) // the zero value for none
}

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
	switch err {
	case unix.EINTR: // it goes on
		err = s.awaitConnect(timeout)
	case unix.EINPROGRESS: // after the timeout: SO_SNDTIMEO
		err = unix.ETIMEDOUT
	}
	if err != nil {
		return os.NewSyscallError("connect", err)
	}
	return s.tune()
}

// tune sets the options of a connected socket.
func (s *threadSocket) tune() error {
	limit := unix.NsecToTimeval(int64(stallLimit))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
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

func (s *threadSocket) read(b []byte, brief bool) (int, error) {
	if !s.enter() {
		return 0, net.ErrClosed
	}
	defer s.leave()
	if brief != s.brief {
		var limit unix.Timeval
		if brief {
			limit = unix.NsecToTimeval(int64(stallLimit))
		}
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return 0, os.NewSyscallError("setsockopt", err)
		}
		s.brief = brief
	}
	for {
		n, err := unix.Read(s.fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && brief:
			return 0, errStalled
		default:
			return max(n, 0), os.NewSyscallError("read", err)
		}
	}
}

func (s *threadSocket) writev(bufs [][]byte) (int, error) {
	s.iov = s.iov[:0]
	for _, b := range bufs {
		if len(b) > 0 {
			v := unix.Iovec{Base: &b[0]}
			v.SetLen(len(b))
			s.iov = append(s.iov, v)
		}
	}
	s.rest = s.iov
	return s.writeRest()
}

func (s *threadSocket) writeRest() (total int, err error) {
	if !s.enter() {
		return 0, net.ErrClosed
	}
	defer s.leave()
	for len(s.rest) > 0 {
		n, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(s.fd), uintptr(unsafe.Pointer(&s.rest[0])),
			uintptr(min(len(s.rest), 1024)))
		switch errno {
		case 0:
			s.rest = skip(s.rest, n)
			if total += int(n); len(s.rest) > 0 {
				return total, errStalled // the time was over in the middle, most likely
			}
		case unix.EINTR:
		case unix.EAGAIN:
			return total, errStalled
		default:
			s.rest = nil
			clear(s.iov)
			return total, os.NewSyscallError("writev", errno)
		}
	}
	clear(s.iov)
	return total, nil
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
