package workload

import (
	"time"

	"golang.org/x/sys/unix"
)

// napThread makes the naps of the calling thread exact to a microsecond; usually
// the kernel adds up to 50 to them.
func napThread() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) }

// nap sleeps as the kernel does it: Go's timers are exact to a millisecond only.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // cut short by a signal, the caller looks at the clock again
}
