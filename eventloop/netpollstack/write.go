//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"os"
	"syscall"
	"unsafe"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"golang.org/x/sys/unix"
)

const (
	// iovMax is IOV_MAX: how many slices one writev takes.
	iovMax = 1024
	// rawWriteMax is like rawReadMax.
	rawWriteMax = 256 << 10
)

// Write implements eventloop.Transport. After an error t is out of epoll and
// calls back no more.
func (t *transport) Write(bufs [][]byte) (int, error) {
	switch t.state {
	case open, connecting: // of which full is set
	default:
		return 0, eventloop.ErrTransportClosed
	}
	written := 0
	for len(bufs) > 0 && !t.full {
		taken, slices, size := t.w.gather(bufs)
		bufs = bufs[taken:]
		if size == 0 {
			continue
		}
		short := false
		if room := t.room(); size > room {
			if slices, size, short = t.w.cut(slices, room), room, true; room == 0 {
				t.full = true
				t.update()
				break
			}
		}
		n, e := t.w.send(int(t.fd), slices, size)
		if e != errNone && e != syscall.EAGAIN {
			t.unplug()
			return written, os.NewSyscallError("write", e)
		}
		written += n
		if n < size || short {
			t.full = true
			t.update()
		}
	}
	return written, nil
}

// gather fills the worker's iovecs; it says how many of bufs it took, how many
// iovecs these need (empty slices none) and their size in bytes.
func (w *worker) gather(bufs [][]byte) (taken, slices, size int) {
	for _, b := range bufs {
		if slices == iovMax {
			break
		}
		taken++
		if len(b) == 0 {
			continue
		}
		w.iovecs[slices].Base = &b[0]
		w.iovecs[slices].SetLen(len(b))
		slices++
		size += len(b)
	}
	return taken, slices, size
}

// cut shortens what gather collected to size bytes, less than there are, and says how many
// iovecs are left.
func (w *worker) cut(slices, size int) (left int) {
	for ; size > 0; left++ {
		n := min(int(w.iovecs[left].Len), size)
		w.iovecs[left].SetLen(n)
		size -= n
	}
	for i := range w.iovecs[left:slices] {
		w.iovecs[left+i].Base = nil
	}
	return left
}

// send writes what gather collected and forgets it.
func (w *worker) send(fd, slices, size int) (n int, e syscall.Errno) {
	for {
		var r uintptr
		iov := unsafe.Pointer(&w.iovecs[0])
		if size <= rawWriteMax {
			r, _, e = syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(iov), uintptr(slices))
		} else {
			r, _, e = syscall.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(iov), uintptr(slices))
		}
		if e == errNone {
			n = int(r)
		}
		if e != syscall.EINTR {
			break
		}
	}
	for i := range w.iovecs[:slices] {
		w.iovecs[i].Base = nil
	}
	return n, e
}

// unplug silences a transport whose Write failed, until it is closed.
func (t *transport) unplug() {
	_ = t.w.poll.control(unix.EPOLL_CTL_DEL, int(t.fd), t.slot, 0)
	t.state = broken
}
