// Package callback marks, on the stack of a goroutine, that what runs above the mark is
// user code, and says whether there is such a mark below the caller: so that what blocks
// can refuse to wait for itself.
//
// A mark is the frame of OnPool or OnWorker. Every call of user code goes through one of
// the two, and nothing else does. So the mark is set and taken away by the call itself: a
// panic or runtime.Goexit takes it along, and a goroutine that a callback starts has a
// stack of its own, without the mark. See docs/decisions/0010-a-callback-is-marked-by-a-frame.md.
//
// Limitation: a coroutine (iter.Pull) has a stack of its own too. A callback that waits
// in one is not seen, nor is one that waits for a goroutine which it has started.
//
// Implementation: not for users of the library; may change in any release.
package callback

import "runtime"

// Side is where a goroutine is, as far as callbacks go; see Inside.
type Side uint8

const (
	// Outside: in no callback.
	Outside Side = iota
	// Pool: in a callback of a dispatch queue. It may block, but not for the end of
	// callbacks: it would wait for its own.
	Pool
	// Worker: in a callback that must not block, since a worker waits for it, or
	// whoever closed a connection does: fast dispatch, HandleFastConnect
	// and the other HandleFast..., HandleUndeliverable, Notify, throttlers, authentication, ...
	Worker
)

// String is the side's name.
func (s Side) String() string { return [...]string{"outside", "on pool", "on worker"}[s] }

// OnPool calls f, and what f calls is on the Pool side. It must have a frame of its own,
// which is the mark.
//
//go:noinline
func OnPool(f func()) { f() }

// OnWorker calls f, and what f calls is on the Worker side. It must have a frame of its
// own, which is the mark.
//
//go:noinline
func OnWorker(f func()) { f() }

// poolEntry and workerEntry are what the frames of the two are known by.
var poolEntry, workerEntry = entryOf(OnPool), entryOf(OnWorker)

// entryOf has mark call a function that looks who called it.
func entryOf(mark func(f func())) (entry uintptr) {
	mark(func() {
		var pc [1]uintptr
		runtime.Callers(2, pc[:])
		frame, _ := runtime.CallersFrames(pc[:]).Next()
		entry = frame.Entry
	})
	return entry
}

// Inside says whether the calling goroutine is in a callback, and on which side. In one
// that is called by another, it is the outermost one that counts: the HandleUndeliverable
// of a connection that a callback of a queue closes is on the Pool side.
//
// It walks the stack, which takes microseconds: for calls that are slow anyway.
func Inside() (side Side) {
	eachFrame(func(entry uintptr) {
		switch entry {
		case poolEntry:
			side = Pool
		case workerEntry:
			side = Worker
		}
	})
	return side
}

// InsidePool says whether any of the callbacks that the calling goroutine is in, the
// outermost or not, is on the Pool side: whoever waits for all of those waits for itself.
func InsidePool() (is bool) {
	eachFrame(func(entry uintptr) { is = is || entry == poolEntry })
	return is
}

// eachFrame calls f with the entry of the function of each frame on the stack of the
// caller's caller, from the innermost to the outermost.
func eachFrame(f func(entry uintptr)) {
	var some [64]uintptr
	for skip, pcs := 3, some[:]; ; {
		n := runtime.Callers(skip, pcs)
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			f(frame.Entry)
		}
		if n < len(pcs) {
			return
		}
		skip += n
		pcs = make([]uintptr, 4*n) // the frames that are skipped are walked again
	}
}
