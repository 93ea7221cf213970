package dispatch

import (
	"sync/atomic"
	"time"
)

// placing decides whether callbacks run in place or on the pool, for one queue, by what
// its callbacks have taken so far. It measures the turns that it samples, wherever they
// run. What counts is the time that is the callbacks' own: that they ran, or waited for
// something, not that another thread had the processor meanwhile. (By the clock alone,
// callbacks on a busy machine look long on the pool for ever, and the system's scheduler
// would send them there.)
//
//   - On the pool: 16 sampled callbacks whose mean is below 50 us go on in place.
//   - In place: above 10 us they go back; so they do when turns with a callback of more
//     than 200 us have half of the time, or when more than 8 of 64 turns have held up a
//     worker until it went on without them. They come again after 10 ms, and after each
//     failure twice as late, up to a second.
//
// Under Queue.mu, but for here.
type placing struct {
	here *atomic.Bool // away from the fields that change with each turn
	on   bool         // constant: what is measured decides

	until, backoff time.Duration // not in place before; how long it was the last time
	since          time.Duration // in place

	turns, stays int    // in place, of the last inPlaceWindow
	count        uint64 // of turns, for the samples
	sampled      sums
}

// sums is what was sampled since the last change of place.
type sums struct {
	callbacks   int
	total, long time.Duration // long: of turns with a long callback
	longs       int
}

const (
	// samplePer is how many turns there are for each sampled one, once enough is known.
	samplePer, sampleInPlacePer = 16, 64
	// sampleMin is how many sampled callbacks are enough; at sampleMax the older ones
	// begin to fade.
	sampleMin, sampleMax = 16, 256
	// sampleCut is what a sampled turn counts at most.
	sampleCut = 2 * time.Millisecond

	// On the pool a callback that sends also writes to the socket, while the worker sleeps.
	enterMean = 50 * time.Microsecond
	leaveMean = 10 * time.Microsecond
	// A turn that takes so much more than usual for each callback has one that is long.
	longTurn = 200 * time.Microsecond
	usual    = 5 * time.Microsecond

	// More than staysMax turns of inPlaceWindow that hold up a worker are too many.
	inPlaceWindow, staysMax = 64, 8

	backoffMin, backoffMax = 10 * time.Millisecond, time.Second
)

func (p *placing) init(where Placement, here *atomic.Bool) {
	p.on, p.here = where == Measured, here
	p.here.Store(where == OnWorker)
}

// sample says whether the turn that begins is to be measured.
func (p *placing) sample() bool {
	if !p.on {
		return false
	}
	p.count++
	per := uint64(samplePer)
	if p.here.Load() {
		per = sampleInPlacePer
	}
	return p.sampled.callbacks < sampleMin || p.count%per == 0
}

// begun is told of each turn in place.
func (p *placing) begun() {
	if p.turns++; p.turns > inPlaceWindow {
		p.turns, p.stays = 1, 0
	}
}

// stayed is told of each turn in place that has held up its worker.
func (p *placing) stayed(now time.Duration) {
	if p.stays++; p.stays > staysMax && p.on && p.here.Load() {
		p.leave(now)
	}
}

// measured is told what the callbacks of a sampled turn have taken of their own.
func (p *placing) measured(callbacks int, own, now time.Duration) {
	s := &p.sampled
	own = min(own, sampleCut)
	s.callbacks += callbacks
	s.total += own
	if own > longTurn+time.Duration(callbacks)*usual {
		s.long += own
		s.longs++
	}
	mean := s.total / time.Duration(max(s.callbacks, 1))
	mostlyLong := s.longs > 1 && 2*s.long > s.total
	switch here := p.here.Load(); {
	case here && (s.callbacks >= sampleMin || s.total > sampleCut/2) && (mean > leaveMean || mostlyLong):
		p.leave(now)
	case !here && s.callbacks >= sampleMin && mean < enterMean && !mostlyLong && now >= p.until:
		p.here.Store(true)
		p.since, p.turns, p.stays, p.sampled = now, 0, 0, sums{}
	case s.callbacks > sampleMax:
		s.callbacks, s.total, s.long, s.longs = s.callbacks/2, s.total/2, s.long/2, s.longs/2
	}
}

// leave sends the callbacks back to the pool.
func (p *placing) leave(now time.Duration) {
	if now-p.since > 2*backoffMax {
		p.backoff = 0 // it went well for long
	}
	p.backoff = min(max(2*p.backoff, backoffMin), backoffMax)
	p.until = now + p.backoff
	p.here.Store(false)
	p.sampled = sums{}
}

// Usage is what a thread has used since it began: eventloop.ThreadUsage, field by field.
//
// Implementation: not for users of the library; may change in any release.
type Usage struct {
	Thread    int
	CPU       time.Duration
	Preempted int64
}

// sample measures one turn of a job. The job's goroutine.
type sample struct {
	on    bool // under Queue.mu
	began time.Duration
	used  Usage
	done  bool          // own is of this turn; not if a callback ended the goroutine
	own   time.Duration // the result
}

// worthLooking is how long a turn is at least whose thread's usage is looked at: a shorter
// one was not held up.
const worthLooking = 50 * time.Microsecond

func (d *drainer) sampleBegin() {
	d.sample.done = false
	if !d.sample.on {
		return
	}
	if d.q.cfg.Usage != nil {
		d.sample.used = d.q.cfg.Usage()
	}
	d.sample.began = d.q.cfg.Clock()
}

func (d *drainer) sampleEnd() {
	s := &d.sample
	if !s.on {
		return
	}
	s.own, s.done = d.q.cfg.Clock()-s.began, true
	if s.own < worthLooking || s.used.Thread == 0 {
		return
	}
	// On another thread, it has waited for something.
	if u := d.q.cfg.Usage(); u.Thread == s.used.Thread && u.Preempted != s.used.Preempted {
		s.own = min(s.own, u.CPU-s.used.CPU)
	}
}
