//go:build unix

package cephperf

import (
	"os"
	"syscall"
	"time"
)

// cpuTime is what this process has used.
func cpuTime() (user, system time.Duration, err error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano()), nil
}
