package cephperf

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	u.readStatus("/proc/self") // only Linux has it: memory and threads stay 0
	return u, nil
}

// tick is the unit of CPU time in /proc.
const tick = time.Second / 100

// useOf measures another process, of which Linux tells in /proc.
func useOf(pid int) (u Usage, err error) {
	u.PID = pid
	dir := fmt.Sprintf("/proc/%d", pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, fmt.Errorf("what process %d has used: %w", pid, err)
	}
	// The second field is the name, in brackets; it may have spaces and brackets in it.
	_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	fields := strings.Fields(rest)
	const user, system = 14 - 3, 15 - 3 // of proc(5), counted from the third
	if len(fields) <= system {
		return u, fmt.Errorf("what process %d has used: %q", pid, stat)
	}
	for i, d := range map[int]*time.Duration{user: &u.User, system: &u.System} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return u, fmt.Errorf("what process %d has used: %w", pid, err)
		}
		*d = time.Duration(n) * tick
	}
	u.readStatus(dir)
	return u, nil
}

func (u *Usage) readStatus(dir string) {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &u.RSS)
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.Threads)
	}
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
