//go:build !linux

package workload

func newCounter() (counter, string) { return nil, "System calls are counted on Linux only." }
