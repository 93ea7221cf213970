package simnet

import (
	"fmt"
	"runtime/debug"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Lend implements eventloop.Lender: the seed says whether a worker sleeps that could,
// see Config.Asleep. That something is on its way to it does not wake it before its
// next round.
func (w *worker) Lend(t eventloop.Task) bool {
	n := w.host.net
	if one := n.cfg.Asleep; one <= 0 || !w.couldSleep() || one > 1 && w.host.below(one) > 0 {
		return false
	}
	w.rounding = true // the worker is awake, and wakes nobody
	if f := n.cfg.OnLend; f != nil {
		f(w.host)
	}
	if !w.alive() {
		w.rounding = false
		return false
	}
	n.note("lend", w.host.name)
	w.runLoudly(t)
	if !w.alive() {
		return true
	}
	if len(w.ready) > 0 || len(w.dirty) > 0 {
		w.wakeSoon()
	}
	w.rearm() // and the mailbox has woken the worker for what was posted
	return true
}

// couldSleep: the last round has left nothing to do and is over, and no callback of the
// worker, nor who borrowed it, is on the stack.
func (w *worker) couldSleep() bool {
	return w.asleep && !w.rounding && w.alive() && !w.host.paused && w.host.net.Now() >= w.earliest
}

// runLoudly runs t. Should that panic, the run is over, whoever recovers.
func (w *worker) runLoudly(t eventloop.Task) {
	returned := false
	defer func() {
		w.rounding = false
		if returned {
			return
		}
		v := recover()
		err := fmt.Errorf("simnet: who borrowed worker %d of %s did not return at %v (seed %d): %v\n%s",
			w.id, w.host.name, w.host.net.Now(), w.host.net.seed, v, debug.Stack())
		w.host.net.fail(err)
		panic(err)
	}()
	t.Run()
	returned = true
}

// LoadOrStore implements eventloop.Local. All workers of the network share the values,
// since they are one goroutine: memory that is kept for the next use is kept once, and is
// in the cache, however many hosts there are.
func (w *worker) LoadOrStore(key, v any) any {
	have, _ := w.host.net.locals.LoadOrStore(key, v)
	return have
}

var _ interface {
	eventloop.Lender
	eventloop.Local
} = (*worker)(nil)
