package workload

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// usage is what a process has used so far and has now.
type usage struct {
	CPU         time.Duration // user and system
	CtxSwitches int64
	RSS         int // KiB
	Goroutines  int
	Threads     int
}

// use measures this process. With tidy, memory that is not needed goes back to
// the system before.
func use(tidy bool) (u usage, err error) {
	if tidy {
		runtime.GC()
		debug.FreeOSMemory()
	}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, os.NewSyscallError("getrusage", err)
	}
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	u.CtxSwitches = int64(r.Nvcsw + r.Nivcsw) //nolint:unconvert // 32 bits elsewhere
	u.Goroutines = runtime.NumGoroutine()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &u.RSS)
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.Threads)
	}
	return u, nil
}
