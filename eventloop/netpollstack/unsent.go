//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"syscall"
	"time"
	"unsafe"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"golang.org/x/sys/unix"
)

// What is in a socket has been put in order already: nothing overtakes it. What the
// congestion window has room for leaves at once; the rest waits there, and only has to last
// until this side is told that it becomes less. How much that is depends on the connection:
// 128 KiB are 1 ms at 1 Gb/s and 10 ms at 100 Mb/s. So a socket begins with 128 KiB
// (TCP_NOTSENT_LOWAT), and when it was full, the kernel's measure of what the connection
// delivers decides how much it gets. The kernel takes as much as it likes of one write, up
// to 64 KiB above that bound; below 128 KiB it is asked what is there before each write,
// and gets no more than what is missing.

const (
	// unsentTime is how long what is not sent yet lasts at the most. When half of it is
	// left the socket counts as having room again.
	unsentTime = 2 * time.Millisecond
	// unsentLeast and unsentMost bound what is measured.
	unsentLeast = 4 << 10
	unsentMost  = 128 << 10
	// unsentEvery is how often one socket is measured, in milliseconds.
	unsentEvery = 10
)

// unsentOf is what transport.unsent is with those options: 0 if nothing is to be measured.
func unsentOf(o eventloop.SocketOptions) uint32 {
	if o.UnsentMax == 0 {
		return unsentMost
	}
	return 0
}

// orDefault is n, or the default if that is 0.
func orDefault(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}

// unsentFor is the bound of a socket that delivers rate bytes a second and had the bound
// was. starved says that there was nothing to send at times, so that the rate says little
// and the bound was too low: the worker is not as fast as that. So it is doubled then, and
// lowered by an eighth at a time only.
func unsentFor(was uint32, rate uint64, starved bool) uint32 {
	if starved {
		return min(2*was, unsentMost)
	}
	switch is := uint32(min(max(rate/uint64(time.Second/unsentTime), unsentLeast), unsentMost)); {
	case is < was-was/8:
		return was - was/8
	case is > was+was/8 || is == unsentMost:
		return is
	}
	return was // the same, but for noise
}

// measure sets the bound anew, if it is time; the socket was full until now. It says whether
// there is room all the same.
func (t *transport) measure() bool {
	now := uint32(t.w.now.Milliseconds())
	if t.unsent == 0 || now-t.looked < unsentEvery {
		return true
	}
	t.looked = now
	i := &t.w.tcpInfo
	if !tcpInfo(int(t.fd), i) || i.Delivery_rate == 0 {
		return true
	}
	is := unsentFor(t.unsent, i.Delivery_rate, appLimited(i))
	if is == t.unsent || unix.SetsockoptInt(int(t.fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, int(is)) != nil {
		return true
	}
	t.unsent = is
	return t.room() > 0
}

// tcpInfo asks for TCP_INFO; false if the kernel does not have what is needed of it (before
// Linux 4.9).
func tcpInfo(fd int, i *unix.TCPInfo) bool {
	n := uint32(unsafe.Sizeof(*i))
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(i)), uintptr(unsafe.Pointer(&n)), 0)
	return e == 0 && n >= uint32(unsafe.Offsetof(i.Delivery_rate)+8)
}

// appLimited is tcpi_delivery_rate_app_limited, the lowest bit of the eighth byte, for which
// unix.TCPInfo has no field.
func appLimited(i *unix.TCPInfo) bool { return *(*byte)(unsafe.Add(unsafe.Pointer(i), 7))&1 != 0 }

// room is how many bytes may be written now; the kernel may take less.
func (t *transport) room() int {
	const any = 1 << 62
	if t.unsent == 0 || t.unsent == unsentMost {
		return any
	}
	n, err := unix.IoctlGetInt(int(t.fd), unix.SIOCOUTQNSD)
	if err != nil {
		return any
	}
	return max(int(t.unsent)-n, 0)
}
