//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// pollers is the one place that touches netpoll's process-wide settings.
var pollers = struct {
	mu      sync.Mutex // also held while workers register: netpoll's own state is not guarded
	workers int        // of all open stacks
	set     int        // what netpoll is set to; it starts with this number
	running int        // how many of them were started under our eyes
	marked  []int      // their epoll sets that children do not inherit
	ring    ring
}{set: runtime.GOMAXPROCS(0)/20 + 1}

// raisePollers makes room for n more workers; pollers.mu is held. The number
// never falls: netpoll would close pollers together with who is on them.
func raisePollers(n, least int, log *slog.Logger) error {
	want := max(pollers.workers+n, least, pollers.set)
	if want > pollers.running {
		// When netpoll cannot open a poller it closes all the others and panics
		// in the next call. So see first whether there are descriptors enough.
		if err := probeDescriptors(2*(want-pollers.running) + probeFiles); err != nil {
			return err
		}
		if want > pollers.set {
			//lint:ignore SA1019 Configure would also reset the process's load balance and no-copy settings
			if err := netpoll.SetNumLoops(want); err != nil {
				return err
			}
		}
		netpoll.Initialize() // starts them now
		pollers.set, pollers.running = want, want
		order, marked, err := survey(want, pollers.marked)
		pollers.marked = marked
		pollers.ring.reset(order)
		if left := want - len(marked); left > 0 {
			log.Warn("child processes inherit descriptors of netpoll", "pollers", left, "err", err)
		}
		if order == nil {
			log.Warn("workers may share a poller of netpoll, and wait for each other: nobody knows which gets which",
				"pollers", want, "err", err)
		}
	}
	pollers.workers += n
	return nil
}

// probeDescriptors says whether n more descriptors could be opened.
func probeDescriptors(n int) error {
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return os.NewSyscallError("eventfd", err)
		}
		defer unix.Close(fd)
	}
	return nil
}
