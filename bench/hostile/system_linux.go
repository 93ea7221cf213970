package hostile

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// ofSystem is what the system knows of this process.
func (u *use) ofSystem() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(kib, &u.RSS)
		}
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Sscan(kib, &u.Peak)
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	u.Descriptors = len(files)
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return os.NewSyscallError("getrusage", err)
	}
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return nil
}

// raiseFiles lets this process have as many descriptors as it may.
func raiseFiles() {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err == nil {
		l.Cur = l.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}
