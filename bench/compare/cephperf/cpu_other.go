//go:build !unix

package cephperf

import (
	"fmt"
	"runtime"
	"time"
)

func cpuTime() (user, system time.Duration, err error) {
	return 0, 0, fmt.Errorf("CPU time is not measured on %s", runtime.GOOS)
}
