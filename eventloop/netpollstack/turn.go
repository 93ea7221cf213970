//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"runtime/debug"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// A worker calls user code, and user code may end its goroutine: runtime.Goexit, and
// with it FailNow of a test. The goroutine must not be netpoll's, which serves others
// as well. So the rounds run in a coroutine (iter.Pull), a goroutine that takes turns
// with its carrier (carrier.go): one that ends costs a new coroutine, and nothing else.

// outcome says why a coroutine gives control back to its carrier.
type outcome uint8

const (
	busy     outcome = iota // more to do: the set is readable
	sleepy                  // nothing left to do
	goexited                // user code has ended the coroutine
	aside                   // something is to be run on the carrier's stack; then more
	ended                   // the worker has ended
)

// turns is what the coroutine runs: one turn of work after the other, until the
// worker ends.
func (w *worker) turns(yield func(outcome) bool) {
	w.yield = yield
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			crash(v)
		}
		// A Goexit: the functions deferred by those it left have run. What is left of
		// it has to wait, since iter.Pull would hand it on to netpoll's goroutine.
		w.interrupted = true
		yield(goexited)
	}()
	for {
		o := w.work()
		if w.stopping {
			break
		}
		yield(o)
	}
	returned = true
}

// bury lets a coroutine that is in a Goexit end on a goroutine of its own, to which
// iter.Pull hands the Goexit on. No user code runs in it any more, so that to wait
// for it is short.
func (w *worker) bury() {
	turn, gone := w.turn, make(chan struct{})
	w.turn = nil
	go func() {
		defer close(gone)
		turn()
	}()
	<-gone
}

// tellAbandoned tells whose call did not return. It is the first thing that a new
// coroutine does. If that call ends the coroutine too, nobody is told of that.
func (w *worker) tellAbandoned() {
	called := w.calling
	if w.calling = nil; called == nil {
		called = w.mailbox.Interrupted()
	}
	if a, ok := called.(eventloop.Abandoner); ok {
		a.Abandoned()
	}
}

// crash ends the process after a panic that nobody may recover from, with the stack
// of that panic. It is called by the deferred function that has recovered v.
func crash(v any) {
	text := fmt.Sprintf("%v\n\n%s", v, debug.Stack())
	go func() { panic(text) }()
	select {}
}
