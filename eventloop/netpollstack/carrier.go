//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"iter"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The rounds of a worker run in a coroutine (turn.go), and whoever resumes the coroutine
// carries the worker: the poller goroutine, or a goroutine of the stack's own while the
// worker runs jobs aside. What the coroutine asks to be done aside is done by its carrier,
// on the carrier's own stack, while the coroutine stands still wherever it is. So a carrier
// that is held up there can be replaced: another goroutine resumes the coroutine, which
// goes on as if the job had returned. The old carrier, when it comes back, finds that it
// carries nothing any more, and ends.

// linger is for how long a carrier of the stack's own waits for events before it leaves
// that to netpoll again.
const linger = 10 * time.Millisecond

// holdP is for how long a carrier that waits for events keeps its P, if that has been enough lately.
// While all other Ps are busy, Go takes the P of a thread that has blocked in a system call for 20 us,
// starts another thread for it, which finds nothing to do, and then looks all the more often: that
// cost a fifth of the rate, until by chance no wait took that long. So the first part of a wait is not
// announced to Go's scheduler. A signal ends it, as that of a collection that wants all to stop.
const holdP = 100 * time.Microsecond

// Accept implements netpoll.Listener: netpoll calls it, never twice at a time, when the
// worker's epoll set is readable.
func (w *worker) Accept() (net.Conn, error) {
	if !w.hosted.Load() {
		return nil, nil // netpoll had looked before
	}
	switch w.turnOnce() {
	case aside:
		// No user code that may block runs on netpoll's goroutine, which serves others.
		w.leaveNetpoll()
		go w.carry(true)
	case sleepy:
		w.look()
	}
	return nil, nil
}

// carry carries the worker, on a goroutine of the stack's own, until nothing has been
// left to do for linger, the worker ends, or another goroutine has taken its place. job
// says that the coroutine has asked for something to be run aside.
func (w *worker) carry(job bool) {
	if job && !w.runAside() {
		return
	}
	for {
		switch w.turnOnce() {
		case aside:
			if !w.runAside() {
				return
			}
		case ended:
			return
		case sleepy:
			if !w.look() && !w.rest() {
				return
			}
		}
	}
}

// turnOnce resumes the coroutine until it gives control back. It is called by the one
// who carries the worker.
func (w *worker) turnOnce() outcome {
	if w.turn == nil {
		w.turn, _ = iter.Pull(w.turns)
	}
	o, alive := w.turn()
	if !alive {
		close(w.ended)
		return ended
	}
	if o == aside {
		return o
	}
	if o == goexited {
		w.bury()
		// The other workers of the poller have their turn now. The fields of this worker
		// still hold the rest of the round, which need not make the epoll set readable.
		w.kick()
	}
	// A goroutine that this round has woken waits in the local queue of this P, and must
	// run before a thread blocks, since that keeps the P there.
	yieldLocal()
	return o
}

// look looks for more for a moment, if that is worth it, and says whether there is.
func (w *worker) look() bool {
	d := w.stack.cfg.BusyPoll
	if d <= 0 || w.events >= crowd || !w.busy.again() {
		return false
	}
	found := w.lookFor(d)
	w.busy.was(found)
	return found
}

// rest waits until the worker's epoll set is readable. If it is not for linger, netpoll
// is left to wait, and somebody else carries the worker: false.
func (w *worker) rest() bool {
	yieldLocal() // see turnOnce
	if w.stack.cfg.BusyPoll > 0 && w.brief.again() {
		found := w.wait(holdP, true)
		if w.brief.was(found); found {
			return true
		}
		yieldLocal()
	}
	if w.wait(linger, false) {
		return true
	}
	w.joinNetpoll()
	return false
}

// wait waits until the worker's epoll set is readable, and says whether there may be
// something. With holds it keeps its P. It is not epoll_wait, which would swallow
// edge-triggered events.
func (w *worker) wait(d time.Duration, holds bool) bool {
	fds := [1]unix.PollFd{{Fd: int32(w.poll.fd), Events: unix.POLLIN}}
	ts := unix.NsecToTimespec(int64(d))
	var n uintptr
	var e syscall.Errno
	if holds {
		n, _, e = syscall.RawSyscall6(unix.SYS_PPOLL,
			uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	} else {
		n, _, e = syscall.Syscall6(unix.SYS_PPOLL,
			uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	}
	return n == 1 || e == syscall.EINTR
}

// joinNetpoll has netpoll wait for the worker's epoll set: the next carrier is its
// goroutine. leaveNetpoll ends that. Between netpoll's set and the worker's there is one
// with nothing in it but the worker's, so that netpoll need not know.
// The worker's stays in that set all the time: to put it in again could fail.
func (w *worker) joinNetpoll() {
	w.own = false
	w.hosted.Store(true) // before: what is readable already is somebody else's at once
	w.mustShow(unix.EPOLLIN)
}

func (w *worker) leaveNetpoll() {
	w.mustShow(0)
	w.hosted.Store(false)
	w.own = true
}

// show has the set that netpoll knows watch the worker's for these events.
func (w *worker) show(op int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.host, op, w.poll.fd, &unix.EpollEvent{Events: events}))
}

func (w *worker) mustShow(events uint32) {
	if err := w.show(unix.EPOLL_CTL_MOD, events); err != nil {
		panic(fmt.Sprintf("netpollstack: watch set %d for %#x: %v", w.poll.fd, events, err))
	}
}
