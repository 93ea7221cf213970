package stacktest

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// timerFunc makes a function a timer handler.
type timerFunc func()

func (f timerFunc) HandleTimer(time.Duration) { f() }

func newTimer(f func()) *eventloop.Timer {
	t := &eventloop.Timer{}
	t.Init(timerFunc(f))
	return t
}

// testTimerOrder: thousands of timers fire once each, not early, in the order of
// their deadlines, equal ones in the order of arming.
func testTimerOrder(e *env) {
	const timers = 5000
	rnd, w := e.rand(), e.Client.Worker(0)
	type shot struct {
		at  time.Duration
		seq int
	}
	var fired guarded[[]shot]
	e.do(w, func() {
		now := w.Now()
		for i := range timers {
			at := now + time.Duration(rnd.IntN(50))*time.Millisecond
			w.SetTimer(newTimer(func() {
				if w.Now() < at {
					e.t.Errorf("timer for %v fired at %v", at, w.Now())
				}
				fired.update(func(s *[]shot) { *s = append(*s, shot{at, i}) })
				e.Notify()
			}), at)
		}
	})
	e.Until("all timers", func() bool { return len(fired.get()) >= timers })
	e.settle()
	shots := fired.get()
	e.check(len(shots) == timers, "%d timers fired %d times", timers, len(shots))
	for i := 1; i < timers; i++ {
		a, b := shots[i-1], shots[i]
		e.check(a.at < b.at || a.at == b.at && a.seq < b.seq,
			"timer %d for %v before timer %d for %v", a.seq, a.at, b.seq, b.at)
	}
}

// testTimerStop: a stopped timer does not fire, even if it is due; a moved one
// fires at its new time only.
func testTimerStop(e *env) {
	w := e.Client.Worker(0)
	var log guarded[string]
	add := func(s string) func() {
		return func() {
			log.update(func(l *string) { *l += s })
			e.Notify()
		}
	}
	a, b, c, d := newTimer(add("a")), newTimer(add("b")), newTimer(add("c")), newTimer(add("d"))
	killer := newTimer(func() { w.StopTimer(a) })
	e.do(w, func() {
		now := w.Now()
		w.SetTimer(killer, now+time.Millisecond)
		w.SetTimer(a, now+time.Millisecond)
		w.SetTimer(b, now+2*time.Millisecond)
		w.SetTimer(c, now+3*time.Millisecond)
		w.SetTimer(d, now+20*time.Millisecond)
		w.SetTimer(b, now+10*time.Millisecond)
		w.StopTimer(c)
		w.StopTimer(c)
		if !b.Armed() || c.Armed() || b.Deadline() != now+10*time.Millisecond {
			e.t.Errorf("b armed %v for %v, c armed %v", b.Armed(), b.Deadline(), c.Armed())
		}
	})
	e.Until("the last timer", func() bool { return len(log.get()) >= 2 })
	e.settle()
	e.check(log.get() == "bd", "fired %q", log.get())
}

func testTimerRearmInCallback(e *env) {
	w := e.Client.Worker(0)
	var n guarded[int]
	var t *eventloop.Timer
	t = newTimer(func() {
		if t.Armed() {
			e.t.Error("armed while it fires")
		}
		n.update(func(n *int) { *n++ })
		if n.get() < 20 {
			w.SetTimer(t, w.Now()+time.Millisecond)
		}
		e.Notify()
	})
	e.do(w, func() { w.SetTimer(t, w.Now()) })
	e.Until("20 firings", func() bool { return n.get() == 20 })
}

// testTimerPast: deadlines in the past fire soon, but not within SetTimer, and a
// timer that always arms itself for the past keeps nobody from working.
func testTimerPast(e *env) {
	w := e.Client.Worker(0)
	c, _ := e.pairOn(w, nil, plain, echo)
	var greedy *eventloop.Timer
	var other guarded[bool]
	inside, stop := false, false
	greedy = newTimer(func() {
		if inside {
			e.t.Error("fired within SetTimer")
		}
		if !stop {
			inside = true
			w.SetTimer(greedy, 0)
			inside = false
		}
	})
	e.do(w, func() {
		inside = true
		w.SetTimer(greedy, w.Now()-time.Hour)
		inside = false
		w.SetTimer(newTimer(func() {
			other.set(true)
			e.Notify()
		}), w.Now()+5*time.Millisecond)
	})
	c.send("hello")
	e.Until("an echo", c.got(5))
	e.Until("the other timer", other.get)
	e.do(w, func() { stop = true })
}

// testTimerEarlierThanArmed: the worker sleeps for a late deadline and is given
// an earlier one.
func testTimerEarlierThanArmed(e *env) {
	w := e.Client.Worker(0)
	late := newTimer(func() { e.t.Error("the late timer fired") })
	var fired guarded[bool]
	e.do(w, func() { w.SetTimer(late, w.Now()+time.Hour) })
	e.settle()
	e.do(w, func() {
		w.SetTimer(newTimer(func() {
			fired.set(true)
			e.Notify()
		}), w.Now()+time.Millisecond)
	})
	e.Until("the early timer", fired.get)
	e.do(w, func() { w.StopTimer(late) })
}

// testNowStandsStill: Now does not move inside a callback and agrees with the
// stack's clock.
func testNowStandsStill(e *env) {
	w := e.Client.Worker(0)
	before := e.Client.Clock().Now()
	e.do(w, func() {
		now := w.Now()
		for range 10_000 {
			if w.Now() != now {
				e.t.Error("Now moved inside a callback")
				return
			}
		}
		if now < before-time.Second || now > e.Client.Clock().Now() {
			e.t.Errorf("Now is %v, the clock was %v before", now, before)
		}
	})
	// The round may have begun before that, and been held up by the scheduler.
	e.check(w.Now() >= before-time.Second, "Now is %v, the clock was %v before", w.Now(), before)
}
