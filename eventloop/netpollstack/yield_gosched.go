//go:build linux && (amd64 || arm64 || loong64) && asyncmsgr_gosched

package netpollstack

import "runtime"

func yieldLocal() { runtime.Gosched() }
