package simnet

import (
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

const (
	tasksPerRound = 1024
	scratchSize   = 32 << 10
	// readBudget bounds what one socket reads in a round.
	readBudget = 256 << 10
	// connectTimeout ends a dial without a timeout of its own, as the kernel's
	// retries do.
	connectTimeout = 127 * time.Second
)

// worker implements eventloop.Worker.
type worker struct {
	host    *Host
	id      int
	mailbox eventloop.Mailbox
	load    atomic.Int32

	timers   eventloop.TimerHeap
	ready    []serviceable
	serving  []serviceable
	dirty    []*transport
	flushing []*transport

	rounding bool          // or lent
	asleep   bool          // the last round has left nothing to do
	earliest time.Duration // of the next round

	// The round that something asked for; other tickets are void.
	waiting bool
	at      time.Duration
	ticket  uint64
	// The round for the timers, which may come too early: deadlines move, and the
	// event does not.
	timing      bool
	timerAt     time.Duration
	timerTicket uint64
}

// serviceable is a transport or a listener.
type serviceable interface{ service() }

// wakeAt has a round begin at that time or before.
func (w *worker) wakeAt(at time.Duration) {
	if w.rounding {
		return // the end of the round looks after it
	}
	at = max(at, w.earliest)
	if w.waiting && w.at <= at {
		return
	}
	n := w.host.net
	if n.arriving && n.due == nil && at <= n.Now() {
		n.due = w // no need of an event
		return
	}
	w.waiting, w.at = true, at
	w.ticket++
	n.schedule(at, w, w.ticket<<1)
}

func (w *worker) wakeSoon() { w.wakeAt(w.host.net.Now() + w.host.jitter()) }

// rearm has a round begin when the first timer is due.
func (w *worker) rearm() {
	local, ok := w.timers.Next()
	if !ok {
		return
	}
	at := max(w.host.clock.global(local), w.earliest)
	if w.timing && w.timerAt <= at {
		return
	}
	w.timing, w.timerAt = true, at
	w.timerTicket++
	w.host.net.schedule(at, w, w.timerTicket<<1|1)
}

// happen is an event of the worker.
func (w *worker) happen(ticket uint64) {
	switch {
	case ticket == w.ticket<<1:
		w.waiting = false
	case ticket == w.timerTicket<<1|1:
		if w.timing = false; w.earliest > w.host.net.Now() {
			w.rearm()
			return
		}
	default:
		return
	}
	w.round()
}

// round lets the worker do what there is to do.
func (w *worker) round() {
	if !w.alive() || w.host.paused {
		return // Resume wakes it
	}
	at, now := w.host.net.Now(), w.Now()
	w.rounding, w.asleep = true, false
	w.mailbox.Awake()
	w.service()
	w.timers.Expire(now)
	for t := w.timers.PopExpired(); t != nil && w.alive(); t = w.timers.PopExpired() {
		t.Fire(now)
	}
	if w.alive() {
		w.mailbox.Run(tasksPerRound)
	}
	w.flush()
	w.rounding = false
	w.earliest = at + w.host.cfg.RoundTime
	if !w.alive() {
		return
	}
	if len(w.ready) > 0 || len(w.dirty) > 0 || !w.mailbox.Sleep() {
		w.wakeAt(w.earliest)
	} else {
		w.asleep = true
	}
	w.rearm()
}

// alive: a callback may have ended the host.
func (w *worker) alive() bool { return w.host.state == running }

func (w *worker) service() {
	w.ready, w.serving = w.serving[:0], w.ready
	if len(w.serving) > 1 && !w.host.net.cfg.Smooth {
		for i := len(w.serving) - 1; i > 0; i-- {
			j := w.host.below(i + 1)
			w.serving[i], w.serving[j] = w.serving[j], w.serving[i]
		}
	}
	for i, s := range w.serving {
		w.serving[i] = nil
		if w.alive() {
			s.service()
		}
	}
}

func (w *worker) flush() {
	w.dirty, w.flushing = w.flushing[:0], w.dirty
	for i, t := range w.flushing {
		w.flushing[i] = nil
		if w.alive() {
			t.flush()
		}
	}
}

func (w *worker) mark(s serviceable) {
	w.ready = append(w.ready, s)
	w.wakeAt(w.host.net.Now())
}

func (w *worker) ID() int   { return w.id }
func (w *worker) Load() int { return int(w.load.Load()) }

func (w *worker) Now() time.Duration { return w.host.clock.Now() }

func (w *worker) Post(t eventloop.Task) error { return w.mailbox.Post(t) }

func (w *worker) SetTimer(t *eventloop.Timer, at time.Duration) {
	w.timers.Set(t, at)
	if !w.rounding {
		w.rearm()
	}
}

func (w *worker) StopTimer(t *eventloop.Timer) { w.timers.Stop(t) }
