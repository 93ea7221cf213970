package workload

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"
)

// usage is what a process has used so far and has now.
type usage struct {
	CPU         time.Duration // user and system
	CtxSwitches int64
	Allocs      int64 // objects on the heap
	RSS         int   // KiB
	PeakRSS     int   // KiB, since begin where the system can forget it
	Goroutines  int
	Threads     int
}

// begin measures this process before a measurement and has the system forget how
// much memory it had at most. A system that does not keeps the peak of its life.
func begin() (usage, error) {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	return use(false)
}

// use measures this process. With tidy, memory that is not needed goes back to
// the system before.
func use(tidy bool) (u usage, err error) {
	if tidy {
		runtime.GC()
		debug.FreeOSMemory()
	}
	if u.CPU, u.CtxSwitches, err = rusage(); err != nil {
		return u, err
	}
	u.Allocs = allocs()
	u.Goroutines = runtime.NumGoroutine()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &u.RSS)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &u.PeakRSS)
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.Threads)
	}
	return u, nil
}

// allocs counts heap objects that were ever allocated, those that share a block
// with others included.
func allocs() (n int64) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			n += int64(s.Value.Uint64())
		}
	}
	return n
}

// since is u with what was used until v taken off.
func (u usage) since(v usage) usage {
	u.CPU -= v.CPU
	u.CtxSwitches -= v.CtxSwitches
	u.Allocs -= v.Allocs
	return u
}
