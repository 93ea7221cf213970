//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The way back of a slow link is a pair of tun interfaces, and a goroutine that carries the
// packets of one to the other, after a while: that is the link's round trip. (netem does the
// same where the kernel has it.) Only acknowledgements and answers go this way.

// wayBack has what the namespace far sends to "back" arrive in near after delay.
func wayBack(b *testing.B, near, far string, delay time.Duration) {
	from, to := openTun(b, far, "back"), openTun(b, near, "back")
	type packet struct {
		data []byte
		due  time.Time
	}
	under := make(chan packet, 1<<14)
	ended := make(chan struct{})
	go func() {
		defer close(under)
		for {
			buf := make([]byte, 2048)
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			select {
			case under <- packet{buf[:n], time.Now().Add(delay)}:
			default: // a full queue loses packets, as links do
			}
		}
	}()
	go func() {
		defer close(ended)
		for p := range under {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.data)
		}
	}()
	b.Cleanup(func() {
		_ = from.Close()
		<-ended
		_ = to.Close()
	})
}

// openTun makes a tun interface in a namespace.
func openTun(b *testing.B, ns, name string) *os.File {
	type opened struct {
		fd  int
		err error
	}
	done := make(chan opened)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		fd, err := tunIn(ns, name)
		done <- opened{fd, err}
	}()
	o := <-done
	require.NoError(b, o.err)
	return os.NewFile(uintptr(o.fd), name)
}

func tunIn(ns, name string) (int, error) {
	f, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return -1, os.NewSyscallError("setns", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open tun", err)
	}
	r, err := unix.NewIfreq(name)
	if err == nil {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, r))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
