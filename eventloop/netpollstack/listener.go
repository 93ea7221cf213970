//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"golang.org/x/sys/unix"
)

const (
	defaultBacklog = 512
	// acceptsPerRound bounds how long a storm of connections keeps the other
	// sockets of the worker waiting. If more wait, the next round may take as long for
	// accepting as all else took meanwhile: those that wait longest are not known from
	// those that are worth it before they are accepted.
	acceptsPerRound = 64
	// The pause after accept failed for want of descriptors or memory doubles
	// from the first to the second.
	backoffMin = 5 * time.Millisecond
	backoffMax = time.Second
)

// listener implements eventloop.Listener.
type listener struct {
	w      *worker
	addr   netip.AddrPort
	fd     int
	closed atomic.Bool // Close was called

	// worker only
	slot    uint32
	done    bool // the descriptor is closed
	accept  func(eventloop.Socket)
	cfg     eventloop.ListenConfig
	backoff time.Duration // the pause under way, or the last one; 0 after success
	left    bool          // connections were left to the next round
	leftAt  time.Duration // when
	timer   eventloop.Timer
}

// listen is called by any goroutine.
func (w *worker) listen(
	addr netip.AddrPort, cfg eventloop.ListenConfig, accept func(eventloop.Socket),
) (*listener, error) {
	fd, err := bindListener(addr, cfg)
	if err != nil {
		return nil, err
	}
	l := &listener{w: w, addr: localAddr(fd), fd: fd, cfg: cfg, accept: accept}
	l.timer.Init(l)
	w.listening.Add(1)
	if err := w.Post(eventloop.TaskFunc(l.start)); err != nil {
		w.listening.Add(-1)
		unix.Close(fd)
		return nil, err
	}
	return l, nil
}

func bindListener(addr netip.AddrPort, cfg eventloop.ListenConfig) (int, error) {
	sa, family, err := toSockaddr(addr)
	if err != nil {
		return -1, err
	}
	fd, err := openSocket(family, cfg.Socket)
	if err != nil {
		return -1, err
	}
	// An address of the host is of one kind; [::] takes both, whatever the system's
	// default is.
	v6only := cfg.V6Only || !addr.Addr().IsUnspecified()
	if err := bindAndListen(fd, family, sa, v6only, cfg.Backlog); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func bindAndListen(fd, family int, sa unix.Sockaddr, v6only bool, backlog int) error {
	if backlog <= 0 {
		backlog = defaultBacklog
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if family == unix.AF_INET6 {
		only := 0
		if v6only {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// start puts the descriptor into the worker's set.
func (l *listener) start() {
	if l.w.stopping {
		l.finish()
		return
	}
	l.slot = l.w.poll.insert(l)
	if err := l.w.poll.control(unix.EPOLL_CTL_ADD, l.fd, l.slot, unix.EPOLLIN); err != nil {
		l.closeDescriptor()
		l.w.stack.cfg.Logger.Error("listener cannot be watched", "addr", l.addr, "err", err)
		if l.cfg.OnError != nil {
			l.cfg.OnError(err)
		}
	}
}

// handleEvents implements pollable.
func (l *listener) handleEvents(uint32) { l.acceptSome() }

func (l *listener) acceptSome() {
	until := l.w.clock.Now()
	if l.left {
		until += until - l.leftAt
	}
	l.left = false
	for n := 0; ; n++ {
		if l.closed.Load() {
			return
		}
		if now := l.w.clock.Now(); n >= acceptsPerRound && now >= until {
			l.left, l.leftAt = true, now
			return
		}
		fd, from, err := acceptSocket(l.fd)
		switch err {
		case errNone:
			l.backoff = 0
			s := l.newSocket(fd, from)
			l.w.calling = s
			l.accept(s)
		case syscall.EAGAIN:
			l.backoff = 0
			return
		case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.ETIMEDOUT,
			syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
			syscall.ENONET, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP:
			// The connection failed before it was accepted; accept(2).
		default:
			l.pause(os.NewSyscallError("accept4", err))
			return
		}
	}
}

func (l *listener) newSocket(fd int, remote netip.AddrPort) *socket {
	if p := l.cfg.Socket.Priority; p > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, p)
	}
	local := l.addr
	if local.Addr().IsUnspecified() {
		local = localAddr(fd)
	}
	return newSocket(fd, local, remote, nil, unsentOf(l.cfg.Socket))
}

// pause stops watching the socket for a while: it stays readable, so that level
// triggering would keep the worker spinning.
func (l *listener) pause(err error) {
	l.backoff = min(max(2*l.backoff, backoffMin), backoffMax)
	l.watch(0)
	l.w.timers.Set(&l.timer, l.w.now+l.backoff)
	l.w.calling = nil
	l.w.stack.cfg.Logger.Warn("accept failed", "addr", l.addr, "err", err, "retry", l.backoff)
	if l.cfg.OnError != nil {
		l.cfg.OnError(err)
	}
}

// HandleTimer implements eventloop.TimerHandler: the pause is over.
func (l *listener) HandleTimer(time.Duration) {
	l.watch(unix.EPOLLIN)
	l.acceptSome()
}

func (l *listener) watch(events uint32) {
	if err := l.w.poll.control(unix.EPOLL_CTL_MOD, l.fd, l.slot, events); err != nil {
		panic("netpollstack: watch listener " + l.addr.String() + ": " + err.Error())
	}
}

func (l *listener) Addr() netip.AddrPort { return l.addr }

func (l *listener) Close() error {
	if !l.closed.Swap(true) {
		// If the stack was closed, so was the socket.
		_ = l.w.Post(eventloop.TaskFunc(func() {
			if !l.done {
				l.closeDescriptor()
			}
		}))
	}
	return nil
}

// closeDescriptor implements pollable.
func (l *listener) closeDescriptor() {
	l.w.timers.Stop(&l.timer)
	l.w.poll.release(l.slot)
	l.finish()
}

// finish closes the socket.
func (l *listener) finish() {
	l.done = true
	l.w.listening.Add(-1)
	unix.Close(l.fd)
}
