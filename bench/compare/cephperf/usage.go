package cephperf

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Usage is what a process has used so far, and has now.
type Usage struct {
	PID        int           `json:"pid"`
	User       time.Duration `json:"user_ns"`
	System     time.Duration `json:"system_ns"`
	RSS        int           `json:"rss_kib"`
	Threads    int           `json:"threads"`
	Goroutines int           `json:"goroutines"`
}

// use measures this process.
func use() (u Usage, err error) {
	u = Usage{PID: os.Getpid(), Goroutines: runtime.NumGoroutine()}
	if u.User, u.System, err = cpuTime(); err != nil {
		return u, err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u, nil //nolint:nilerr // only Linux has it: memory and threads stay 0
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &u.RSS)
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.Threads)
	}
	return u, nil
}

// End is what one end used for the messages: a process, or both ends in one.
type End struct {
	// User and System are CPU microseconds for a message and its reply.
	User   float64 `json:"user_us_per_msg"`
	System float64 `json:"system_us_per_msg"`
	// RSS, in KiB, threads and goroutines are those right after the last reply.
	RSS        int `json:"rss_kib"`
	Threads    int `json:"threads"`
	Goroutines int `json:"goroutines"`
}

// CPU is user and system time.
func (e *End) CPU() float64 { return e.User + e.System }

func endOf(before, after Usage, messages int64) *End {
	per := func(d time.Duration) float64 {
		return float64(d) / float64(time.Microsecond) / float64(max(messages, 1))
	}
	return &End{
		User: per(after.User - before.User), System: per(after.System - before.System),
		RSS: after.RSS, Threads: after.Threads, Goroutines: after.Goroutines,
	}
}
