//go:build !linux

package workload

import "time"

func napThread() {}

func nap(d time.Duration) { time.Sleep(d) }
