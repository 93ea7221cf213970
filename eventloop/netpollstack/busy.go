//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"syscall"
	"time"
)

// busyPoll decides whether a worker looks for more before its poller blocks. It
// guesses from what looking brought before: after a success it looks again, after a
// failure it leaves out one turn, after the next three, and so on up to maxLeftOut. So
// a worker whose messages come far apart looks in vain one time in 64.
type busyPoll struct {
	leave uint // turns to leave out after the next failure
	left  uint // turns still to be left out
}

// looksPerYield is how often a worker looks before it lets other threads have its
// processor. A look takes half a microsecond, and the system call of letting go as long.
const looksPerYield = 4

// crowd is the number of events since the worker woke up from which on it does not look
// for more: it may as well sleep while they gather, and handle more at a time.
const crowd = 8

// maxLeftOut bounds what looking in vain costs: 1/64 of Config.BusyPoll each time that a
// worker falls asleep.
const maxLeftOut = 63

// again is whether to look this time.
func (b *busyPoll) again() bool {
	if b.left > 0 {
		b.left--
		return false
	}
	return true
}

func (b *busyPoll) was(success bool) {
	if success {
		b.leave = 0
		return
	}
	b.leave = min(2*b.leave+1, maxLeftOut)
	b.left = b.leave
}

// lookFor waits for d, giving way to other goroutines all the time, until the worker's
// epoll set is readable, and says whether it is. The token is not held: whoever wants to
// borrow the worker may.
func (w *worker) lookFor(d time.Duration) bool {
	until := w.clock.Now() + d
	for i := 1; ; i++ {
		if w.wait(0, true) {
			return true
		}
		// No processor is taken from other threads, those of other processes included.
		if i%looksPerYield == 0 {
			_, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
		}
		yieldLocal() // last, see turnOnce
		if w.clock.Now() >= until {
			return false
		}
	}
}
