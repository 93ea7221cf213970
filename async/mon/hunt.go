package mon

import (
	"slices"
	"time"
)

// hunt decides which monitor is called when. It is a state machine without I/O: what happens
// is told it (up, failed, lost), and step says what to do. Monitors are numbers from 0 up.
type hunt struct {
	// The settings.
	mons, parallel int
	timeout        time.Duration // of an attempt
	pauseMin       time.Duration
	pauseMax       time.Duration
	rand           func() uint64 // for the spread of pauses

	next   int       // the one to call next
	left   int       // of this round, not called yet
	out    []attempt // under way, at most parallel
	pause  time.Duration
	resume time.Duration // nothing begins before it
	isUp   bool
	upAt   time.Duration
}

// attempt is a call that is under way.
type attempt struct {
	mon   int
	since time.Duration
}

// newHunt returns a hunt that begins with the monitor of that number.
func newHunt(cfg *Config, mons, first int, rand func() uint64) *hunt {
	return &hunt{mons: mons, parallel: cfg.Parallel, timeout: cfg.AttemptTimeout, pauseMin: cfg.PauseMin,
		pauseMax: cfg.PauseMax, rand: rand, next: first % mons, left: mons}
}

// step says which monitors to call now, which calls to give up, and when to ask again; 0: not
// before something happens.
func (h *hunt) step(now time.Duration) (begin, giveUp []int, wake time.Duration) {
	if h.isUp {
		return nil, nil, 0
	}
	h.out = slices.DeleteFunc(h.out, func(a attempt) bool {
		late := now >= a.since+h.timeout
		if late {
			giveUp = append(giveUp, a.mon)
		}
		return late
	})
	h.endRound(now)
	if now < h.resume {
		return nil, giveUp, h.resume
	}
	for len(h.out) < h.parallel && h.left > 0 {
		begin = append(begin, h.next)
		h.out = append(h.out, attempt{h.next, now})
		h.next = (h.next + 1) % h.mons
		h.left--
	}
	for _, a := range h.out {
		if at := a.since + h.timeout; wake == 0 || at < wake {
			wake = at
		}
	}
	return begin, giveUp, wake
}

// endRound begins the next round, after a pause, when each monitor has been called.
func (h *hunt) endRound(now time.Duration) {
	if h.left == 0 && len(h.out) == 0 {
		h.left = h.mons
		h.wait(now)
	}
}

// wait has the next call wait for a pause, twice as long as the last one was.
func (h *hunt) wait(now time.Duration) {
	h.pause = min(max(2*h.pause, h.pauseMin), h.pauseMax)
	spread := h.pause / 2
	h.resume = now + h.pause - spread/2 + time.Duration(h.rand()%uint64(spread+1))
}

// up notes that a monitor has let this side in; the other calls are to be given up.
func (h *hunt) up(mon int, now time.Duration) (giveUp []int) {
	for _, a := range h.out {
		if a.mon != mon {
			giveUp = append(giveUp, a.mon)
		}
	}
	h.out, h.isUp, h.upAt = nil, true, now
	h.next = mon
	return giveUp
}

// failed notes that a call has failed.
func (h *hunt) failed(mon int) {
	h.out = slices.DeleteFunc(h.out, func(a attempt) bool { return a.mon == mon })
}

// lost notes that the session is over. another says that the same monitor is to come last.
func (h *hunt) lost(now time.Duration, another bool) {
	h.isUp, h.left = false, h.mons
	if another {
		h.next = (h.next + 1) % h.mons
	}
	if now-h.upAt >= stableMin {
		h.pause, h.resume = 0, now
		return
	}
	h.wait(now)
}

// setMons has the hunt go on with that many monitors, of which the one that it has, if it has
// one, is number current.
func (h *hunt) setMons(n, current int) { h.mons, h.left, h.next = n, n, current }
