package main

import (
	"syscall/js"
	"time"
)

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	u := js.Global().Get("process").Call("cpuUsage")
	return time.Duration(u.Get("user").Int()+u.Get("system").Int()) * time.Microsecond
}
