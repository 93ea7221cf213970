//go:build !unix

package workload

import (
	"fmt"
	"runtime"
	"time"
)

func rusage() (cpu time.Duration, switches int64, err error) {
	return 0, 0, fmt.Errorf("CPU time is not measured on %s", runtime.GOOS)
}
