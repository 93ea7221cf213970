package demo

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
)

// usage is what the process takes at a moment; zero where the system does not tell.
type usage struct{ goroutines, threads, rssKiB int }

func (u *usage) raise(v usage) {
	u.goroutines = max(u.goroutines, v.goroutines)
	u.threads = max(u.threads, v.threads)
	u.rssKiB = max(u.rssKiB, v.rssKiB)
}

func usageNow() usage {
	u := usage{goroutines: runtime.NumGoroutine()}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u
	}
	field := func(name string) int {
		_, rest, _ := bytes.Cut(status, []byte("\n"+name+":"))
		f := bytes.Fields(rest)
		if len(f) == 0 {
			return 0
		}
		n, _ := strconv.Atoi(string(f[0])) // 0 if it is no number
		return n
	}
	u.threads, u.rssKiB = field("Threads"), field("VmRSS")
	return u
}
