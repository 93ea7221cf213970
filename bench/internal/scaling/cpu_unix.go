//go:build unix && !linux

package scaling

import (
	"syscall"
	"time"
)

// cpuClock tells what the process has used, of all processors.
type cpuClock struct{}

func (cpuClock) now() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
