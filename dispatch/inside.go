package dispatch

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Place is where a goroutine is, as far as callbacks go; see Inside.
type Place uint8

const (
	// Outside: in no callback.
	Outside Place = iota
	// OnPool: in a callback of a Queue. It may block, but not for the end of callbacks:
	// it would wait for its own.
	OnPool
	// OnWorker: in a callback that must not block: fast dispatch, HandleFastConnect,
	// HandleFastAccept, HandleUndeliverable, Config.OnDiscard, and what WorkerSide was
	// told of. A worker waits for it, or whoever closed a connection does.
	OnWorker
)

// String is the place's name.
func (p Place) String() string { return [...]string{"outside", "on pool", "on worker"}[p] }

// boundary is a function from which user code is called, by name.
type boundary struct {
	function string
	place    Place
}

var (
	boundaries   atomic.Pointer[[]boundary] // copied when one is added
	boundariesMu sync.Mutex
)

var drainName, dropName = nameOf((*drainer).drain), nameOf((*Queue).drop)

func init() {
	addBoundary(drainName, OnPool)
	addBoundary(dropName, OnWorker)
	WorkerSide((*Chain).FastOwing)
	WorkerSide((*Chain).FastConnect)
	WorkerSide((*Chain).FastAccept)
	WorkerSide((*Chain).Undeliverable)
}

// WorkerSide makes fn, a function or a method expression like (*Conn).Close, one of
// those in which user code is OnWorker. A generic function or a method of an embedded
// type cannot be found on a stack by its value. It is for the init of packages: there
// is no way back. Any goroutine may call it. What is no function panics.
func WorkerSide(fn any) { addBoundary(nameOf(fn), OnWorker) }

func addBoundary(function string, place Place) {
	boundariesMu.Lock()
	defer boundariesMu.Unlock()
	var all []boundary
	if p := boundaries.Load(); p != nil {
		all = slices.Clone(*p)
	}
	if b := (boundary{function, place}); !slices.Contains(all, b) {
		all = append(all, b)
	}
	boundaries.Store(&all)
}

func nameOf(fn any) string {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		panic(fmt.Sprintf("dispatch: %T is not a function from which callbacks come", fn))
	}
	return strings.TrimSuffix(runtime.FuncForPC(v.Pointer()).Name(), "-fm") // of a method value
}

// Inside says whether the calling goroutine is in a callback, and on which side: so
// that what blocks can refuse to wait for itself. In one that is called by another, it
// is the outer one that counts: the HandleUndeliverable of a connection that a callback
// of a Queue closes is OnPool. A goroutine that a callback started is Outside.
//
// It walks the stack, which takes microseconds: for calls that are slow anyway.
func Inside() Place {
	at := Outside
	all := *boundaries.Load()
	eachFrame(func(function string) {
		for i := range all {
			if within(function, all[i].function) {
				at = all[i].place
			}
		}
	})
	return at
}

// insideDispatch says whether the calling goroutine is in a callback of a queue, of
// those that Stop waits for.
func insideDispatch() (is bool) {
	eachFrame(func(function string) {
		is = is || within(function, drainName) || within(function, dropName)
	})
	return is
}

// eachFrame calls f with the name of each function on the stack of the caller's
// caller, inlined ones too, from the innermost to the outermost.
func eachFrame(f func(function string)) {
	var pcs [64]uintptr
	for skip := 3; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			f(frame.Function)
		}
		if n < len(pcs) {
			return
		}
	}
}

// within says whether a frame is of that function or of a closure in it.
func within(frame, function string) bool {
	return strings.HasPrefix(frame, function) && (len(frame) == len(function) || frame[len(function)] == '.')
}
