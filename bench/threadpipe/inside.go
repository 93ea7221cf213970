package threadpipe

import (
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// insideMax is how many frames of a stack are looked at, from the innermost.
const insideMax = 256

// tellers are the functions from which user code is called that must not block, for
// what it would wait for: a reader, a writer, the thread of local delivery.
var tellers = [...]string{nameOf((*Pipe).tell), nameOf((*loopback).deliver), nameOf((*loopback).drop)}

func nameOf(fn any) string { return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name() }

// mayWait returns an error if the calling goroutine must not wait: it is in a callback
// of those functions. It walks the stack, which takes microseconds: for calls that are
// about to wait.
func mayWait() error {
	var pcs [insideMax]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if slices.Contains(tellers[:], strings.TrimSuffix(f.Function, ".func1")) {
			return msg.ErrOnWorker
		}
		if !more {
			return nil
		}
	}
}
