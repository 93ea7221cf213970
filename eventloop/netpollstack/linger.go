//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"syscall"
	"time"
	"unsafe"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"golang.org/x/sys/unix"
)

const (
	// lingerTime is how long a closed socket waits at most for the peer's FIN.
	lingerTime = time.Second
	// maxLingers is how many sockets of a worker linger at a time; more are
	// closed at once, with the risk described at lingering.
	maxLingers = 1024
)

// lingering is a closed transport whose last bytes are still on their way. If
// the kernel closed it now, it would answer whatever the peer has sent or still
// sends with RST, and RST destroys bytes that are not acknowledged. So the
// socket sends FIN and discards what it receives until the peer's FIN, an error
// or lingerTime, whichever comes first. While it lingers it costs a descriptor.
type lingering struct {
	w     *worker
	fd    int
	slot  uint32
	timer eventloop.Timer
}

// linger takes over a descriptor if it must linger.
func (w *worker) linger(fd int) bool {
	if w.lingers >= maxLingers || w.stopping {
		return false
	}
	if unacked, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err != nil || unacked == 0 {
		return false
	}
	if unix.Shutdown(fd, unix.SHUT_WR) != nil {
		return false
	}
	l := &lingering{w: w, fd: fd}
	l.slot = w.poll.insert(l)
	// The transport's slot is free already, but its descriptor still in epoll.
	if w.poll.control(unix.EPOLL_CTL_MOD, fd, l.slot, watchRead) != nil {
		w.poll.release(l.slot)
		return false
	}
	w.lingers++
	l.timer.Init(l)
	w.timers.Set(&l.timer, w.now+lingerTime)
	return true
}

// handleEvents implements pollable.
func (l *lingering) handleEvents(uint32) {
	scratch := l.w.scratch
	n, _, e := syscall.RawSyscall(unix.SYS_READ,
		uintptr(l.fd), uintptr(unsafe.Pointer(&scratch[0])), uintptr(len(scratch)))
	if e == errNone && n == 0 || e != errNone && e != syscall.EAGAIN && e != syscall.EINTR {
		l.closeDescriptor()
	}
}

// HandleTimer implements eventloop.TimerHandler.
func (l *lingering) HandleTimer(time.Duration) { l.closeDescriptor() }

// closeDescriptor implements pollable.
func (l *lingering) closeDescriptor() {
	l.w.timers.Stop(&l.timer)
	l.w.poll.release(l.slot)
	l.w.lingers--
	closeSocket(l.fd)
}
