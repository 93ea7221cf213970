package connection

import (
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// The throttles that a received message passes, in this order (docs/PROTOCOL.md 4.4).
const (
	ownShare = iota // what the connection itself may have in dispatch
	policyMessages
	policyBytes
	dispatchBytes // the messenger's, for what waits for dispatch
	numThrottles
)

// Admission takes the throttles of one connection for each message that it receives,
// before its payload is read, and gives them back. It is the whole of that, for
// connections on workers and for those of threads alike.
//
// Its owner calls it, from one goroutine at a time; DispatchDone, DispatchesDone, Hold and Unhold, which
// are for messages that are under way, may be called by any.
type Admission struct {
	thr    [numThrottles]msg.Throttler
	set    bool  // thr is final
	step   int64 // how much of the dispatch throttle is taken in advance; 0: nothing
	credit int64 // taken in advance
	asking int8  // 1 + the throttle that is being asked; 0: none
	turn   *Turn
	owner  TurnTaker
	own    share
}

// TurnTaker is the owner of an Admission.
type TurnTaker interface {
	// Granted tells that a throttle was granted to t, on whichever goroutine made room:
	// the owner is to call Admission.Go soon.
	Granted(t *Turn)
}

// Turn is a message that waits for a throttle. It exists only meanwhile.
type Turn struct {
	a       *Admission
	at      int
	size    int64
	load    load // of share, with what was taken of it when the waiting began
	in      load
	granted atomic.Bool
}

// ThrottleGranted implements msg.ThrottleWaiter.
func (t *Turn) ThrottleGranted() {
	t.granted.Store(true)
	t.a.owner.Granted(t)
}

// WasGranted says whether what t waits for was granted. Any goroutine.
func (t *Turn) WasGranted() bool { return t.granted.Load() }

// Init says whom a receives for. step is how much of the dispatch throttle is taken at a
// time, for the messages of one read: one visit instead of one per message.
func (a *Admission) Init(owner TurnTaker, step int64) { a.owner, a.step = owner, step }

// Set says what the throttles are; any may be nil. own is the connection's (BoundOf). Once,
// before the first message: an accepted peer's policy is not known earlier.
func (a *Admission) Set(p msg.Policy, own Bound, dispatch msg.Throttler) {
	if a.set {
		return
	}
	a.thr, a.set = [numThrottles]msg.Throttler{nil, p.ThrottleMessages, p.ThrottleBytes, dispatch}, true
	if a.own.bound = own; own != (Bound{}) {
		a.thr[ownShare] = &a.own
	}
}

// amount is what a message of size payload bytes takes of a throttle.
func amount(throttle int, size int64) int64 {
	switch throttle {
	case ownShare:
		return loadOf(1, size)
	case policyMessages:
		return 1
	}
	return size
}

// needs says whether a throttle applies: "0-size messages skip byte throttles".
func (a *Admission) needs(i int, size int64) bool { return a.thr[i] != nil && amount(i, size) > 0 }

// release gives back the throttles before upTo.
func (a *Admission) release(upTo int, size int64) {
	for i := range upTo {
		if a.needs(i, size) {
			a.thr[i].Release(amount(i, size))
		}
	}
}

// Admit takes the throttles for a message of size payload bytes. false: it waits, and
// Granted follows, unless it is abandoned.
func (a *Admission) Admit(size int64) bool {
	for i := range a.thr {
		if a.needs(i, size) && !(i == dispatchBytes && a.takeCredit(size)) && !a.acquire(i, size, nil) {
			t := &Turn{a: a, at: i, size: size}
			if a.goOn(t) {
				return true // given back in between
			}
			a.turn = t
			return false
		}
	}
	return true
}

// takeCredit takes size from what was taken in advance, or more of that.
func (a *Admission) takeCredit(size int64) bool {
	if a.credit >= size {
		a.credit -= size
		return true
	}
	if a.step == 0 || !a.thr[dispatchBytes].Acquire(size-a.credit+a.step, nil) {
		return false
	}
	a.credit = a.step
	return true
}

// ReturnCredit gives back what was taken in advance: the read has been worked off.
func (a *Admission) ReturnCredit() {
	if a.credit > 0 {
		a.thr[dispatchBytes].Release(a.credit)
		a.credit = 0
	}
}

// acquire takes what is needed of a throttle, and remembers meanwhile which: one of the
// user's may end the goroutine.
func (a *Admission) acquire(i int, size int64, w msg.ThrottleWaiter) (ok bool) {
	a.asking = int8(i) + 1
	ok = a.thr[i].Acquire(amount(i, size), w)
	a.asking = 0
	return ok
}

// goOn takes what is left from t.at on, or waits in line there.
func (a *Admission) goOn(t *Turn) bool {
	for ; t.at < numThrottles; t.at++ {
		if a.needs(t.at, t.size) && !a.acquire(t.at, t.size, t) {
			return false
		}
	}
	return true
}

// Turn is the message that waits, or nil.
func (a *Admission) Turn() *Turn { return a.turn }

// AtOwnBound says of a message that has just begun to wait whether that is for the
// connection's own share.
func (a *Admission) AtOwnBound() bool { return a.turn != nil && a.turn.at == ownShare }

// Go goes on with t, which was granted what it waited for, at the throttles behind that.
// It reports whether the message is admitted now; not if t was abandoned meanwhile, by
// whom owned what was granted.
func (a *Admission) Go(t *Turn) bool {
	if a.turn != t {
		return false
	}
	t.granted.Store(false)
	if t.at == ownShare {
		a.own.claim(t)
	}
	t.at++
	if !a.goOn(t) {
		return false
	}
	a.turn = nil
	return true
}

// Abandon gives back what a message took that is not received after all, or has taken so
// far.
func (a *Admission) Abandon(size int64) {
	t := a.turn
	switch {
	case a.asking != 0: // the goroutine was ended there
		a.release(int(a.asking)-1, size)
		a.asking = 0
		return
	case t == nil:
		a.release(numThrottles, size)
		return
	}
	a.turn = nil
	upTo := t.at
	if !a.thr[t.at].Cancel(t) {
		upTo++ // granted meanwhile
	}
	a.release(upTo, size)
}

// FastDone gives back what a message held that was dispatched by the owner: its share of
// the dispatch throttle is taken in advance for the next.
func (a *Admission) FastDone(size int64) {
	if a.thr[ownShare] != nil {
		a.own.ownRelease(loadOf(1, size))
	}
	for i := policyMessages; i < dispatchBytes; i++ {
		if a.needs(i, size) {
			a.thr[i].Release(amount(i, size))
		}
	}
	if a.needs(dispatchBytes, size) {
		a.credit += size
	}
}

// ReleasePolicy gives back what a message holds of the connection's share and the policy's
// throttles, ReleaseDispatch what messages hold of the messenger's. Any goroutine.
func (a *Admission) ReleasePolicy(size int64) { a.release(dispatchBytes, size) }

// ReleaseDispatch is described at ReleasePolicy.
func (a *Admission) ReleaseDispatch(size int64) {
	if a.needs(dispatchBytes, size) {
		a.thr[dispatchBytes].Release(size)
	}
}

// DispatchDone gives back all that a message of size payload bytes holds (msg.Receipt).
func (a *Admission) DispatchDone(size int64) { a.release(numThrottles, size) }

// DispatchesDone is DispatchDone of n messages of size payload bytes together.
func (a *Admission) DispatchesDone(n, size int64) {
	if t := a.thr[ownShare]; t != nil {
		t.Release(loadOf(n, size))
	}
	if t := a.thr[policyMessages]; t != nil {
		t.Release(n)
	}
	if size > 0 {
		for _, t := range a.thr[policyBytes:] {
			if t != nil {
				t.Release(size)
			}
		}
	}
}

// Hold and Unhold are those of msg.Receipt: what is dispatched and not let go of counts in
// the connection's share and the policy's throttles.
func (a *Admission) Hold(size int64) {
	for i := range dispatchBytes {
		if a.needs(i, size) {
			a.thr[i].Take(amount(i, size))
		}
	}
}

// Unhold is described at Hold.
func (a *Admission) Unhold(size int64) { a.ReleasePolicy(size) }
