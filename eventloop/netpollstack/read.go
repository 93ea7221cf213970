//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawReadMax is the largest read, in bytes, that is done without telling the
// Go scheduler: telling costs more than a small read, but a thread that is not
// marked as being in a system call delays the garbage collector.
const rawReadMax = 512 << 10

const (
	// bulkMin is how much there has to be to be received directly for a payload to be large. To
	// copy it costs ten times what another system call does.
	bulkMin = 32 << 10
	// spillMax is what is received behind a large payload, or where one is expected.
	spillMax = 4 << 10
	// bulkPatience is how many reads in a row that have nothing to receive directly end that.
	bulkPatience = 2
)

// read receives until the socket is empty, ends, or had its budget.
func (t *transport) read(events uint32) {
	for budget := t.w.stack.cfg.ReadBudget; budget > 0; {
		direct := t.h.ReadInto()
		n, full, e := t.w.receive(int(t.fd), direct[:min(len(direct), budget)], t.spill(len(direct), budget))
		switch {
		case e == syscall.EINTR:
			continue
		case e == syscall.EAGAIN:
			if events&unix.EPOLLERR != 0 {
				if err := socketError(int(t.fd), "read"); err != nil {
					t.fail(err)
				}
			}
			return
		case e != errNone:
			t.fail(os.NewSyscallError("read", e))
			return
		case n == 0:
			t.eof = true
			t.update()
			t.h.HandleEOF()
			return
		}
		budget -= n
		t.w.received += n
		landed := min(n, len(direct))
		t.h.HandleRead(landed, t.w.scratch[:n-landed])
		if t.state != open || t.paused {
			return
		}
		// A short read emptied the socket; if the peer's FIN has arrived too,
		// the next read finds it.
		if !full && events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
			return
		}
	}
}

// spill returns how much of the scratch buffer a read may use behind direct bytes that are
// received where they belong. What lands in the scratch buffer is copied from there. So
// while large payloads come, one after the other, no more is received with the end of one than
// the beginning of the next: the rest of that is received directly.
func (t *transport) spill(direct, budget int) int {
	switch {
	case direct >= bulkMin:
		t.bulk = bulkPatience
	case direct == 0 && t.bulk > 0:
		t.bulk--
	}
	switch {
	case direct > budget:
		return 0
	case t.bulk > 0:
		return min(spillMax, len(t.w.scratch))
	}
	return len(t.w.scratch)
}

// receive reads into direct and then into so many bytes of the scratch buffer. full says
// whether there was no room left.
func (w *worker) receive(fd int, direct []byte, spill int) (n int, full bool, e syscall.Errno) {
	var r uintptr
	var room int
	switch {
	case len(direct) == 0:
		room = spill
		r, _, e = syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&w.scratch[0])), uintptr(room))
	default:
		iov, count := w.iovecs[:2], 1
		room = len(direct)
		iov[0].Base = &direct[0]
		iov[0].SetLen(len(direct))
		if spill > 0 {
			count = 2
			room += spill
			iov[1].Base = &w.scratch[0]
			iov[1].SetLen(spill)
		}
		if room <= rawReadMax {
			r, _, e = syscall.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(count))
		} else {
			r, _, e = syscall.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(count))
		}
		iov[0].Base, iov[1].Base = nil, nil
	}
	if e != errNone {
		return 0, false, e
	}
	return int(r), int(r) == room, errNone
}
