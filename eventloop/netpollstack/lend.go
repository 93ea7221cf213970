//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import "github.com/asyncmsgr/asyncmsgr/eventloop"

// Lend implements eventloop.Lender. It wakes the poller goroutine only if t left
// something to do: what became ready on the sockets meanwhile does that anyway.
func (w *worker) Lend(t eventloop.Task) bool {
	if !w.asleep.Load() || !w.token.TryLock() {
		return false
	}
	defer w.token.Unlock()
	if !w.asleep.Load() {
		return false
	}
	w.setNow(w.clock.Now())
	runLoudly(t)
	w.roundTime.Store(0)
	if w.hasLeftovers() || !w.armTimer() {
		w.kick() // the eventfd is open: it is closed by who has the token, and then asleep is not set
	}
	w.sweep.due = w.armed
	return true
}

// runLoudly runs t. A panic means that the worker is not what it should be; as on
// the poller goroutine nobody may recover from it, though here there may be user
// code below us on the stack that would.
func runLoudly(t eventloop.Task) {
	returned := false
	defer func() {
		if !returned {
			v := recover()
			if v == nil {
				v = "netpollstack: runtime.Goexit on a lent worker"
			}
			crash(v)
		}
	}()
	t.Run()
	returned = true
}
