//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"golang.org/x/sys/unix"
)

// transport implements eventloop.Transport; worker only. It is 144 bytes and a
// connection holds nothing else in this package, but its slot in the pollSet.
type transport struct {
	w       *worker
	h       eventloop.Handler // nil when dead
	dial    *dialing          // while connecting
	local   netip.AddrPort
	remote  netip.AddrPort
	fd      int32
	slot    uint32
	armed   uint32 // what epoll watches
	state   state
	paused  bool   // by PauseRead
	eof     bool   // HandleEOF was called
	full    bool   // the socket has no room, or is not connected yet
	wanting bool   // HandleFlush is to be called
	queued  bool   // in the worker's dirty list
	bulk    uint8  // large payloads are coming, see spill
	unsent  uint32 // the socket's bound of what is not sent yet, if it is measured; see unsent.go
	looked  uint32 // when it was measured last: milliseconds of the worker's time
}

// state is where a transport is in its life.
type state uint8

const (
	connecting state = iota // has a descriptor, waits for EPOLLOUT
	failing                 // has no descriptor, waits for its HandleClosed
	open                    // has a connected descriptor
	broken                  // Write failed: out of epoll, waits for Close
	dead                    // has no descriptor and calls back no more
)

const (
	watchRead  = unix.EPOLLIN | unix.EPOLLRDHUP
	watchWrite = unix.EPOLLOUT
	// watchEdge goes with everything but reading. EPOLLHUP and EPOLLERR cannot
	// be masked and stay set, for instance after FIN in both directions; while
	// nobody reads they must be reported once and not in every round.
	watchEdge = unix.EPOLLET
)

// adopt makes a connected descriptor a transport.
func (w *worker) adopt(fd int, local, remote netip.AddrPort, unsent uint32, h eventloop.Handler) *transport {
	t := &transport{w: w, h: h, local: local, remote: remote, state: open, unsent: unsent}
	if err := t.watch(fd, watchRead); err != nil {
		unix.Close(fd)
		t.failLater(err)
	}
	return t
}

// watch puts a new descriptor into epoll.
func (t *transport) watch(fd int, events uint32) error {
	t.fd, t.armed = int32(fd), events
	t.slot = t.w.poll.insert(t)
	if err := t.w.poll.control(unix.EPOLL_CTL_ADD, fd, t.slot, events); err != nil {
		t.w.poll.release(t.slot)
		return err
	}
	t.w.load.Add(1)
	return nil
}

// failLater makes t, which has no descriptor, report err in the next round.
func (t *transport) failLater(err error) {
	t.state, t.fd = failing, -1
	t.w.failed.add(failure{t, err})
}

// update tells epoll what to watch now.
func (t *transport) update() {
	want := uint32(watchRead)
	if t.paused || t.eof {
		want = watchEdge
	}
	if t.full {
		want |= watchWrite
	}
	// An edge that passed while EPOLLOUT was armed already must not be lost.
	if want == t.armed && want != watchEdge|watchWrite {
		return
	}
	t.armed = want
	if err := t.w.poll.control(unix.EPOLL_CTL_MOD, int(t.fd), t.slot, want); err != nil {
		panic(fmt.Sprintf("netpollstack: watch descriptor %d for %#x: %v", t.fd, want, err))
	}
}

// handleEvents implements pollable.
func (t *transport) handleEvents(events uint32) {
	t.w.calling = t.h
	if t.state == connecting {
		t.finishConnect()
		return
	}
	if t.paused || t.eof {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			if err := socketError(int(t.fd), "read"); err != nil {
				t.fail(err)
				return
			}
		}
	} else if events&^watchWrite != 0 {
		if t.read(events); t.state != open {
			return
		}
	}
	if events&watchWrite != 0 {
		if t.full && t.measure() {
			t.full = false
			t.queue()
		} else if t.full {
			t.update() // there is less room than there seemed to be
		} else if !t.queued {
			t.update() // a HandleFlush that did not return has left it armed
		}
	}
	// PauseRead leaves epoll alone until something arrives: most pauses are over
	// before that.
	if t.paused && t.armed&watchRead != 0 {
		t.update()
	}
}

// socketError fetches and clears the pending error of a socket, as one of the call that
// would have told it.
func socketError(fd int, call string) error {
	e, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if e != 0 {
		return os.NewSyscallError(call, syscall.Errno(e))
	}
	return nil
}

// fail closes t and reports err, unless t does not want to know any more.
func (t *transport) fail(err error) {
	if t.state == broken || t.state == dead {
		return
	}
	h := t.h
	if fd := t.kill(); fd >= 0 {
		closeSocket(fd)
	}
	t.w.calling = h
	h.HandleClosed(err)
}

// kill takes t out of the worker and returns its descriptor, -1 if it had none.
func (t *transport) kill() int {
	if t.dial != nil {
		t.w.timers.Stop(&t.dial.timer)
		t.dial = nil
	}
	fd := int(t.fd)
	if fd >= 0 {
		t.w.poll.release(t.slot)
		t.w.load.Add(-1)
	}
	t.state, t.fd, t.h = dead, -1, nil
	return fd
}

// closeDescriptor implements pollable.
func (t *transport) closeDescriptor() { closeSocket(t.kill()) }

// queue asks for HandleFlush: at the end of the round, or before (flushAfter).
func (t *transport) queue() {
	t.wanting = true
	if !t.queued {
		t.queued = true
		t.w.dirty.add(t)
	}
}

// flush is called for the transports of the dirty list.
func (t *transport) flush() {
	t.queued = false
	if t.state != open || t.full || !t.wanting {
		return
	}
	t.wanting = false
	t.w.calling = t.h
	t.h.HandleFlush()
	if t.state == open && !t.full && t.armed&watchWrite != 0 {
		t.update()
	}
}

func (t *transport) LocalAddr() netip.AddrPort  { return t.local }
func (t *transport) RemoteAddr() netip.AddrPort { return t.remote }

func (t *transport) WantFlush() {
	if t.full {
		t.wanting = true // EPOLLOUT does the rest
	} else if t.state == open {
		t.queue()
	}
}

func (t *transport) PauseRead() { t.paused = true }

func (t *transport) ResumeRead() {
	if !t.paused {
		return
	}
	t.paused = false
	if t.state == open && t.armed&watchRead == 0 {
		t.update()
	}
}

func (t *transport) CloseWrite() error {
	if t.state != open {
		return eventloop.ErrTransportClosed
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(int(t.fd), unix.SHUT_WR))
}

func (t *transport) Close() {
	// Once the peer has ended, nothing it sends can make the kernel answer RST.
	mayLinger := t.state == open && !t.eof
	if fd := t.kill(); fd >= 0 && !(mayLinger && t.w.linger(fd)) {
		closeSocket(fd)
	}
}

func (t *transport) Abort() {
	if fd := t.kill(); fd >= 0 {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		closeSocket(fd)
	}
}

func (t *transport) Detach() (eventloop.Socket, error) {
	if t.state == connecting || t.state == failing {
		return nil, fmt.Errorf("eventloop: detach: %w", syscall.ENOTCONN)
	}
	if t.state != open {
		return nil, eventloop.ErrTransportClosed
	}
	if err := t.w.poll.control(unix.EPOLL_CTL_DEL, int(t.fd), t.slot, 0); err != nil {
		return nil, err
	}
	return newSocket(t.kill(), t.local, t.remote, t.w, t.unsent), nil
}
