package bubble

import (
	"runtime"
	"testing/synctest"
	"time"
)

// turn is a goroutine that waits to have the network.
type turn struct {
	when  when
	owner uint64    // its goroutine
	after uint64    // w.happened when it came, for whenChanged
	begin chan bool // false: the world has ended
	done  chan struct{}
}

// when says when a turn is due.
type when uint8

const (
	// whenBetween: between two events.
	whenBetween when = iota
	// whenQuiet: when nothing is due at this instant.
	whenQuiet
	// whenChanged: after an event, or when time has gone on.
	whenChanged
)

// turnsMax is how many turns may be had at one instant until it is taken for a loop.
const turnsMax = 1_000_000

// lookEvery is how far time goes on at most while a goroutine waits for a change that
// the network does not see.
const lookEvery = 10 * time.Millisecond

// Do runs f while it has the network to itself, between two events, when all goroutines of the bubble
// are blocked: for what may be called by the goroutine that runs the network alone, World.Net above
// all, and to see a state in which nothing moves. Where the caller has the network
// already, in a callback or in Do, f runs at once. f must not wait for anything. What it panics with
// goes to the caller.
func (w *World) Do(f func()) {
	if !w.try(f) {
		w.leave()
	}
}

// Wait returns when all other goroutines of the bubble are blocked and the network has
// nothing to do until time goes on. A callback on the network must not call it.
func (w *World) Wait() {
	w.mustNotHold("Wait")
	if !w.take(whenQuiet, func() {}) {
		w.leave()
	}
}

// Until waits until cond holds, and looks after each event and every 10 ms of virtual
// time. If that takes longer than limit, the test ends there: for the test's goroutine
// alone. cond runs as Do's f does. What it reads and goroutines write is guarded as ever, by a
// mutex or an atomic: that all others are blocked does not keep the race detector from complaining,
// since what they do later is ordered by nothing but time.
func (w *World) Until(what string, limit time.Duration, cond func() bool) {
	w.t.Helper()
	w.mustNotHold("Until")
	end := w.Now() + limit
	holds := false
	look := func() { holds = cond() }
	if !w.take(whenBetween, look) {
		w.leave()
	}
	for !holds {
		if w.Now() > end {
			w.t.Fatalf("bubble: waiting for %s: nothing for %v (seed %d, at %v)\n%s",
				what, limit, w.seed, w.Now(), w.state())
		}
		if !w.take(whenChanged, look) {
			w.leave()
		}
	}
}

func (w *World) mustNotHold(what string) {
	if w.holder.Load() == goroutineID() {
		panic("bubble: " + what + " by who has the network, and would wait for itself")
	}
}

// leave ends the calling goroutine: the world has ended.
func (w *World) leave() {
	if goroutineID() == w.main {
		w.t.FailNow() // for package testing, Goexit alone would be a panic
	}
	runtime.Goexit()
}

// try is Do that returns false, without a call of f, if the world has ended.
func (w *World) try(f func()) bool {
	if w.holder.Load() == goroutineID() {
		f()
		return true
	}
	return w.take(whenBetween, f)
}

// take waits for a turn and has f run in it.
func (w *World) take(when when, f func()) bool {
	t := &turn{when: when, owner: goroutineID(), begin: make(chan bool, 1), done: make(chan struct{})}
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return false
	}
	w.turns = append(w.turns, t)
	w.mu.Unlock()
	w.wakeDriver()
	if !<-t.begin {
		return false
	}
	defer func() {
		w.holder.Store(0)
		close(t.done)
	}()
	f()
	return true
}

// wakeDriver has the driver look whether there is something to do; any goroutine.
func (w *World) wakeDriver() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// driver is what the goroutine that runs the network knows.
type driver struct {
	*World
	id       uint64
	happened uint64 // events, and times that the clock was seen to have moved
	at       time.Duration
	crowd    int // turns at this instant
	timer    *time.Timer
}

// drive runs the network until the world has ended.
func (w *World) drive() {
	d := &driver{World: w, id: goroutineID(), timer: time.NewTimer(0)}
	returned := false
	defer func() {
		v := recover()
		w.holder.Store(d.id)
		switch {
		case v != nil:
			w.failed("panic on the goroutine of the network", v)
		case !returned:
			w.fail("a callback on the goroutine of the network has ended it (runtime.Goexit, as t.FailNow does)")
		}
		w.holder.Store(0)
		w.dismiss()
		d.timer.Stop()
		close(w.stopped)
	}()
	for d.round() {
	}
	returned = true
}

// round lets one thing happen, or time go on; false: the world has ended.
func (d *driver) round() bool {
	synctest.Wait()
	d.see()
	if d.ended() {
		return false
	}
	t := d.next(whenBetween)
	if t != nil {
		d.give(t)
		synctest.Wait()
	}
	d.holder.Store(d.id)
	at, some := d.Net.Next()
	due := some && at <= d.Now()
	if due {
		d.Net.Step()
		d.happened++
	}
	d.holder.Store(0)
	if err := d.Net.Err(); err != nil {
		d.failHere("%v", err)
		return false
	}
	if due || t != nil {
		return true
	}
	if t = d.next(whenQuiet); t != nil {
		d.give(t)
		return true
	}
	return d.sleep(at, some)
}

// failHere is fail by the driver, which has the network.
func (d *driver) failHere(format string, args ...any) {
	d.holder.Store(d.id)
	d.fail(format, args...)
	d.holder.Store(0)
}

// see notes that time has gone on.
func (d *driver) see() {
	if now := d.Now(); now > d.at {
		d.at, d.crowd = now, 0
		d.happened++
		d.guard.at.Store(int64(now))
	}
}

// sleep waits for the next event, or for somebody.
func (d *driver) sleep(at time.Duration, some bool) bool {
	limit := time.Duration(d.limit.Load())
	if d.at >= limit {
		d.failHere("nothing has ended the test within %v of virtual time (a deadlock? World.SetLimit)", limit)
		return false
	}
	until := limit
	if some {
		until = min(until, at)
	}
	if d.waiting(whenChanged) {
		until = min(until, d.at+lookEvery)
	}
	d.timer.Reset(until - d.at)
	select {
	case <-d.kick:
	case <-d.timer.C:
	}
	return true
}

// next takes the first turn that is due; those that wait for a change count as
// whenBetween once there was one.
func (d *driver) next(kind when) *turn {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, t := range d.turns {
		if t.when == whenChanged {
			if t.after == 0 {
				t.after = d.happened + 1 // it has come just now
			}
			if kind != whenBetween || d.happened < t.after {
				continue
			}
		} else if t.when != kind {
			continue
		}
		d.turns = append(d.turns[:i:i], d.turns[i+1:]...)
		return t
	}
	return nil
}

func (d *driver) waiting(kind when) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.turns {
		if t.when == kind {
			return true
		}
	}
	return false
}

// give lets the owner of the turn have the network.
func (d *driver) give(t *turn) {
	if d.crowd++; d.crowd > turnsMax {
		panic("bubble: time does not go on: a million calls of Do or Wait at this instant")
	}
	d.holder.Store(t.owner)
	t.begin <- true
	<-t.done
}

func (w *World) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// finish ends the world: there are no turns any more, and the driver ends.
func (w *World) finish() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.wakeDriver()
}

// dismiss tells those who wait for a turn that there will be none.
func (w *World) dismiss() {
	w.finish()
	w.mu.Lock()
	turns := w.turns
	w.turns = nil
	w.mu.Unlock()
	for _, t := range turns {
		t.begin <- false
	}
}
