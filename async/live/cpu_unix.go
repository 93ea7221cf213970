//go:build unix

package live

import (
	"syscall"
	"time"
)

// cpuTime is the processor time of this process so far; negative: the system does not tell.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return -1
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
