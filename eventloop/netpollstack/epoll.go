//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errNone is what a raw system call returns when it did not fail.
const errNone = syscall.Errno(0)

// pollable is what sits in a slot of a worker's descriptor set.
type pollable interface {
	// handleEvents is called with the events of epoll.
	handleEvents(events uint32)
	// closeDescriptor closes without callbacks, when the stack is closed.
	closeDescriptor()
}

// pollSet is an epoll set with a slot for each descriptor. epoll hands back
// slot and generation, so that an event which was fetched before its descriptor
// was closed, in the same batch, reaches nobody. Worker only.
type pollSet struct {
	fd     int
	events []unix.EpollEvent
	slots  []slot
	free   []uint32 // slots not in use
}

// slot is 24 bytes.
type slot struct {
	p   pollable
	gen uint32 // raised when the slot is freed
}

// eventBatch is how many events one epoll_wait fetches. The rest comes in the
// next round: epoll moves what it reported to the end of its list.
const eventBatch = 256

func newPollSet() (*pollSet, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &pollSet{fd: fd, events: make([]unix.EpollEvent, eventBatch)}, nil
}

// insert gives p a slot; its descriptor is added with control.
func (s *pollSet) insert(p pollable) uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		s.slots[i].p = p
		return i
	}
	s.slots = append(s.slots, slot{p: p})
	return uint32(len(s.slots) - 1)
}

// release frees a slot. The caller closes the descriptor, which takes it out of
// epoll, or calls control with EPOLL_CTL_DEL.
func (s *pollSet) release(i uint32) {
	s.slots[i].p = nil
	s.slots[i].gen++
	s.free = append(s.free, i)
}

// control adds (EPOLL_CTL_ADD), changes (MOD) or removes (DEL) the descriptor
// fd of slot i.
func (s *pollSet) control(op, fd int, i, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(i), Pad: int32(s.slots[i].gen)}
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(s.fd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(&ev)), 0, 0)
	if e != errNone {
		return os.NewSyscallError("epoll_ctl", e)
	}
	return nil
}

// wait fetches what is ready now and never sleeps.
func (s *pollSet) wait() []unix.EpollEvent {
	n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.fd), uintptr(unsafe.Pointer(&s.events[0])),
		uintptr(len(s.events)), 0, 0, 0)
	if e != errNone {
		if e == syscall.EINTR {
			return nil
		}
		panic("netpollstack: epoll_wait: " + e.Error())
	}
	return s.events[:n]
}

// lookup returns who an event is for, nil if it is gone.
func (s *pollSet) lookup(ev *unix.EpollEvent) pollable {
	sl := &s.slots[uint32(ev.Fd)]
	if sl.gen != uint32(ev.Pad) {
		return nil
	}
	return sl.p
}

// size is the number of slots, used or not.
func (s *pollSet) size() int { return len(s.slots) }

// closeAll closes the descriptors in all slots.
func (s *pollSet) closeAll() {
	for i := range s.slots {
		if p := s.slots[i].p; p != nil {
			p.closeDescriptor()
		}
	}
}
