package dispatch

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Throttle bounds an amount that is held by many (docs/PROTOCOL.md 4.4). It implements
// msg.Throttler. All methods may be called by any goroutine and do not block.
//
// The rule: c must wait if c <= limit and held+c > limit, or if c >= limit and
// held > limit; and if others wait already. So an oversized amount is admitted
// alone, once no more than the limit is held, and what is held is never more than
// the limit plus one amount (Take excepted).
//
// Waiters are granted in their order, outside the lock and one at a time: each by
// a goroutine that is in Release, SetLimit or Cancel, not always the one whose
// release made the room. A waiter that panics does so on that goroutine, out of
// Release: the others are granted first, and should some of them panic as well, that
// is logged (slog.Default). What was taken for a waiter is its own, panic or not.
type Throttle struct {
	mu       sync.Mutex
	limit    int64
	held     int64
	head     *throttleWait
	tail     *throttleWait
	waiting  map[msg.ThrottleWaiter]*throttleWait
	mapPeak  int           // the most that waiting ever held
	free     *throttleWait // at most throttleFreeMax
	nFree    int
	granting bool // some goroutine is in grantAndUnlock's callback
	peak     int64
	waits    uint64
}

var _ msg.Throttler = (*Throttle)(nil)

type throttleWait struct {
	w          msg.ThrottleWaiter
	n          int64
	prev, next *throttleWait
}

// Memory kept for later waiters: entries, and the size above which an emptied map
// is dropped, because maps do not shrink.
const (
	throttleFreeMax = 64
	throttleMapMax  = 1024
)

// ThrottleStats is what a Throttle counted.
type ThrottleStats struct {
	Limit   int64  // 0: unlimited
	Held    int64  // taken and not released
	Peak    int64  // the most ever held
	Waiting int    // those in line
	Waits   uint64 // how many had to wait, in all
}

// NewThrottle returns a Throttle of the given limit; 0 means unlimited.
func NewThrottle(limit int64) *Throttle {
	t := new(Throttle)
	t.SetLimit(limit)
	return t
}

// Acquire takes n, 0 always succeeding. If that is not possible now and w is not
// nil, w gets in line and is told once n was taken for it, perhaps before Acquire
// returned. A w that is in line already panics.
func (t *Throttle) Acquire(n int64, w msg.ThrottleWaiter) bool {
	if n <= 0 {
		mustNotBeNegative("acquire", n)
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.head == nil && t.admits(n) {
		t.take(n)
		return true
	}
	if w == nil {
		return false
	}
	if t.waiting == nil {
		t.waiting = make(map[msg.ThrottleWaiter]*throttleWait)
	}
	if t.waiting[w] != nil {
		panic(fmt.Sprintf("dispatch: throttle waiter for %d waits already, for %d", n, t.waiting[w].n))
	}
	e := t.free
	if e == nil {
		e = new(throttleWait)
	} else {
		t.free = e.next
		t.nFree--
	}
	*e = throttleWait{w: w, n: n, prev: t.tail}
	if t.tail == nil {
		t.head = e
	} else {
		t.tail.next = e
	}
	t.tail = e
	t.waiting[w] = e
	t.mapPeak = max(t.mapPeak, len(t.waiting))
	t.waits++
	return false
}

// Cancel takes w out of the line. false means that it is not in line: n was taken
// for it, and the caller owns that, or it never waited. In the first case
// ThrottleGranted has run, runs or is still to run.
func (t *Throttle) Cancel(w msg.ThrottleWaiter) bool {
	t.mu.Lock()
	e := t.waiting[w]
	if e == nil {
		t.mu.Unlock()
		return false
	}
	t.remove(e)
	t.grantAndUnlock(false) // the next in line may want less
	return true
}

// Take takes n without regard to the limit and to those in line.
func (t *Throttle) Take(n int64) {
	mustNotBeNegative("take", n)
	t.mu.Lock()
	defer t.mu.Unlock() // take may panic
	t.take(n)
}

// Release gives n back and grants those in line, as far as there is room.
func (t *Throttle) Release(n int64) {
	mustNotBeNegative("release", n)
	t.mu.Lock()
	if n > t.held {
		defer t.mu.Unlock()
		panic(fmt.Sprintf("dispatch: throttle release of %d with %d held", n, t.held))
	}
	t.held -= n
	t.grantAndUnlock(false)
}

// SetLimit changes the limit; 0 means unlimited. A higher one grants those in
// line; a lower one takes nothing back.
func (t *Throttle) SetLimit(limit int64) {
	mustNotBeNegative("limit", limit)
	t.mu.Lock()
	t.limit = limit
	t.grantAndUnlock(false)
}

// Stats is a snapshot.
func (t *Throttle) Stats() ThrottleStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return ThrottleStats{Limit: t.limit, Held: t.held, Peak: t.peak, Waiting: len(t.waiting), Waits: t.waits}
}

func (t *Throttle) admits(n int64) bool {
	if t.limit == 0 {
		return true
	}
	mustWait := n <= t.limit && t.held > t.limit-n || n >= t.limit && t.held > t.limit
	return !mustWait
}

func (t *Throttle) take(n int64) {
	t.held += n
	if t.held < 0 {
		panic(fmt.Sprintf("dispatch: throttle overflows by taking %d", n))
	}
	t.peak = max(t.peak, t.held)
}

func (t *Throttle) remove(e *throttleWait) {
	if e.prev == nil {
		t.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		t.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	delete(t.waiting, e.w)
	if t.head == nil && t.mapPeak > throttleMapMax {
		t.waiting, t.mapPeak = nil, 0
	}
	*e = throttleWait{}
	if t.nFree < throttleFreeMax {
		e.next = t.free
		t.free = e
		t.nFree++
	}
}

// grantAndUnlock grants from the head of the line while there is room. Only one
// goroutine grants at a time. Its loop finds what other goroutines give back meanwhile,
// and what the waiter that is being told gives back. So waiters are told in order, and
// never one within another. leaving says that the goroutine is on its way out of a waiter
// already, by a panic or runtime.Goexit.
func (t *Throttle) grantAndUnlock(leaving bool) {
	if t.granting {
		t.mu.Unlock()
		return
	}
	for t.head != nil && t.admits(t.head.n) {
		w, n := t.head.w, t.head.n
		t.remove(t.head)
		t.take(n)
		t.granting = true
		t.mu.Unlock()
		t.tell(w, leaving)
		t.mu.Lock()
		t.granting = false
	}
	t.mu.Unlock()
}

// tell calls the waiter. Should that panic, or end the goroutine, the others are
// granted on its way out: there may be no other release that would.
func (t *Throttle) tell(w msg.ThrottleWaiter, leaving bool) {
	returned := false
	defer func() {
		if !returned {
			t.goOn(recover(), leaving)
		}
	}()
	w.ThrottleGranted()
	returned = true
}

// goOn grants the others after a waiter's panic, or nil for runtime.Goexit, and then
// goes on with the panic. If the goroutine is being left already, or another waiter
// ends it, the panic is logged instead.
func (t *Throttle) goOn(panicked any, leaving bool) {
	log := reporter{who: "waiter for a throttle", log: slog.Default()}
	if leaving && panicked != nil {
		log.report(nil, panicked)
		return
	}
	left := false
	defer func() {
		if !left && panicked != nil {
			log.report(nil, panicked)
		}
	}()
	t.mu.Lock()
	t.granting = false
	t.grantAndUnlock(true)
	left = true
	if panicked != nil {
		panic(panicked)
	}
}

func mustNotBeNegative(what string, n int64) {
	if n < 0 {
		panic(fmt.Sprintf("dispatch: throttle %s of %d", what, n))
	}
}
