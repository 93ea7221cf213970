//go:build unix

package workload

import (
	"os"
	"syscall"
	"time"
)

// rusage is the CPU that this process has used, and how often it was switched away from.
func rusage() (cpu time.Duration, switches int64, err error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), int64(r.Nvcsw) + int64(r.Nivcsw), nil
}
