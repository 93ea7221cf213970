package dispatch

import (
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Gate is the three throttles that a message passes before its payload is read,
// in this order (msgr2 spec 4.4). nil is unlimited. Many connections share a Gate;
// it does not change once it is in use.
//
// A Gate is a msg.Receipt: it takes back what was admitted, by the size that was
// given to Admission.Admit.
type Gate struct {
	// Messages and Bytes are the policy's: messages, and payload bytes.
	Messages, Bytes msg.Throttler
	// Dispatch is the messenger's: payload bytes.
	Dispatch msg.Throttler
}

var _ msg.Receipt = (*Gate)(nil)

const gateStages = 3

// stage is the throttle of a stage and what a message of the given payload size
// takes of it; nil if it takes nothing.
func (g *Gate) stage(i int, size int64) (msg.Throttler, int64) {
	switch {
	case i == 0:
		return g.Messages, 1
	case size == 0: // messages without payload skip the byte throttles
		return nil, 0
	case i == 1:
		return g.Bytes, size
	default:
		return g.Dispatch, size
	}
}

// release gives back the stages before n.
func (g *Gate) release(n int, size int64) {
	for n--; n >= 0; n-- {
		if t, amount := g.stage(n, size); t != nil {
			t.Release(amount)
		}
	}
}

// DispatchDone gives back everything that a message of the given payload size was
// admitted with.
func (g *Gate) DispatchDone(size int64) { g.release(gateStages, size) }

// Hold charges the policy throttles, without waiting.
func (g *Gate) Hold(size int64) {
	for i := range 2 {
		if t, amount := g.stage(i, size); t != nil {
			t.Take(amount)
		}
	}
}

// Unhold gives back what Hold charged.
func (g *Gate) Unhold(size int64) { g.release(2, size) }

// Take charges all three throttles without waiting, for messages that do not pass
// Admit, such as those of a loopback connection.
func (g *Gate) Take(size int64) {
	g.Hold(size)
	if t, amount := g.stage(2, size); t != nil {
		t.Take(amount)
	}
}

// Admitted is told that an admission that had to wait has come through.
type Admitted interface {
	// Admitted runs on a goroutine that gave something back to a throttle and
	// must not block. It is called once per Admit that returned false, unless
	// Cancel returned true.
	Admitted()
}

// Admission takes one message at a time through a Gate. It is embedded in a
// connection; the zero value is ready, and it holds memory of its own only while
// it waits. Its methods are called by one goroutine, the connection's worker.
type Admission struct{ wait *admitWait }

// admitWait is an admission that had to wait. It is never used again, since a
// late caller may still look at it.
//
// One goroutine at a time carries it on: the one in Admit, then the one that runs
// ThrottleGranted. It hands over by being queued in a throttle.
type admitWait struct {
	gate *Gate
	size int64
	to   Admitted

	mu    sync.Mutex // a leaf: nothing is called under it
	stage int        // the stage that is waited for, or tried
	state admitState
}

type admitState uint8

const (
	admitWaiting admitState = iota
	admitDone
	admitCancelled
)

// Admit takes what a message of size payload bytes needs. true: it is taken.
// false: it has to wait in line; what was taken already stays taken, and
// to.Admitted is called when the rest is. Only one admission may be under way:
// a second one panics.
func (a *Admission) Admit(g *Gate, size int64, to Admitted) bool {
	if a.Waiting() {
		panic("dispatch: Admit while another admission waits")
	}
	a.wait = nil
	for i := range gateStages {
		if t, amount := g.stage(i, size); t != nil && !t.Acquire(amount, nil) {
			a.wait = &admitWait{gate: g, size: size, to: to}
			return a.wait.run(i)
		}
	}
	return true
}

// Cancel ends an admission that waits and gives back everything it has taken;
// Admitted will not be called. false means that nothing waits: Admitted was called
// or is about to be, and the caller owns what was admitted (if Admit returned
// false at all).
func (a *Admission) Cancel() bool {
	w := a.wait
	a.wait = nil
	return w != nil && w.cancel()
}

// Waiting says whether an admission is under way. A true may be out of date at
// once, but Admitted is then still to be called.
func (a *Admission) Waiting() bool {
	w := a.wait
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state == admitWaiting
}

// run tries the stages from i on; true: all are taken. false: another goroutine
// goes on with w, or it was cancelled and has been dealt with.
func (w *admitWait) run(i int) bool {
	for ; i < gateStages; i++ {
		t, amount := w.gate.stage(i, w.size)
		if t == nil {
			continue
		}
		if !w.enter(i) {
			w.gate.release(i, w.size)
			return false
		}
		if t.Acquire(amount, w) {
			continue
		}
		// w is someone else's from here on, unless cancel looked for it in the
		// line before it was there. Throttler.Cancel tells one of us so.
		if w.cancelled() && t.Cancel(w) {
			w.gate.release(i, w.size)
		}
		return false
	}
	if !w.finish() {
		w.gate.release(gateStages, w.size)
		return false
	}
	return true
}

// ThrottleGranted goes on with the next stage.
func (w *admitWait) ThrottleGranted() {
	w.mu.Lock()
	i := w.stage
	w.mu.Unlock()
	if w.run(i + 1) {
		w.to.Admitted()
	}
}

func (w *admitWait) cancel() bool {
	w.mu.Lock()
	was, i := w.state, w.stage
	if was == admitWaiting {
		w.state = admitCancelled
	}
	w.mu.Unlock()
	if was != admitWaiting {
		return false
	}
	// If w is not in the line of stage i, it is being carried on by a goroutine
	// that will find it cancelled and give everything back.
	if t, _ := w.gate.stage(i, w.size); t.Cancel(w) {
		w.gate.release(i, w.size)
	}
	return true
}

func (w *admitWait) enter(i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stage = i
	return w.state == admitWaiting
}

func (w *admitWait) cancelled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state == admitCancelled
}

func (w *admitWait) finish() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == admitCancelled {
		return false
	}
	w.state = admitDone
	return true
}
