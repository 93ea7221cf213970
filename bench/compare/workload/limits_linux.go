package workload

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// filesBeside is how many files a process has open beside its connections.
const filesBeside = 200

// raiseFiles lets this process open as many files as it may.
func raiseFiles() error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if most := fileLimit(); most > r.Max {
		up := syscall.Rlimit{Cur: most, Max: most}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &up) == nil {
			return nil
		}
	}
	if r.Cur < r.Max {
		r.Cur = r.Max
		return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r))
	}
	return nil
}

// fileLimit is how many files a process of ours can open: the hard limit, or what
// the kernel allows if this one may raise limits.
func fileLimit() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	text, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil || os.Geteuid() != 0 {
		return r.Max
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return r.Max
	}
	return max(r.Max, n)
}

// cannot says why this machine cannot run s, or "".
func cannot(s Scenario) string {
	if need, have := uint64(s.Connections+filesBeside), fileLimit(); need > have {
		return fmt.Sprintf("%d connections need %d open files, the limit is %d", s.Connections, need, have)
	}
	return ""
}

// allowTracing lets any process of this user trace this one, for counting its
// system calls, where that is restricted to parents.
func allowTracing() { _ = unix.Prctl(unix.PR_SET_PTRACER, unix.PR_SET_PTRACER_ANY, 0, 0, 0) }
