package dispatch

import (
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// A turn is what a job dispatches between two looks at the queue: one item, or some
// messages of one connection and priority while callbacks are fast. The lock and the
// search for the next connection cost as much as a short callback; with several jobs,
// which wait for each other at the lock, more.

const (
	// turnMax is the length of the longest turn.
	turnMax = 16
	// turnTime is for how long a turn should last, at most. The next one is half as long
	// as one that took longer, and twice as long as one that took less than half of it.
	turnTime = 50 * time.Microsecond
)

// turn is the present one of a job. What is not yet claimed of it can be revoked.
type turn struct {
	// Under q.mu. Between begin and end the job reads them without.
	class    *class // nil between turns
	conn     msg.Connection
	kind     Kind
	level    int           // of the messages; events are above all
	items    []Item        // of buffer, or what a worker has received
	at       time.Duration // when the first was enqueued
	began    time.Duration
	most     int  // how long the next turn may be
	given    int  // how many items the job has got, once the rest was revoked
	received bool // items is what a worker has received: it was never queued
	timed    bool // of such a turn: it is one of those that are measured
	buffer   [turnMax]Item

	next  atomic.Int32 // of items: those before it are claimed, by whoever dispatches or revokes them
	count outcomes     // the job's
}

// eventLevel is above all priorities.
const eventLevel = 256

// revoked is a value of next behind all items.
const revoked = 1 << 30

// outcomes counts how the items of a turn ended.
type outcomes struct{ dispatched, discarded, unhandled, panics uint64 }

func (o *outcomes) handled(out Outcome) {
	o.dispatched++
	switch out {
	case Unhandled:
		o.unhandled++
	case Panicked:
		o.panics++
	}
}

// beginLocked takes a turn of at most so many items; false: there is nothing.
func (d *drainer) beginLocked(left int) bool {
	q, t := d.q, &d.turn
	it, n := &t.buffer[0], 1
	if t.class = q.prio.pop(it); t.class == nil {
		return false
	}
	t.conn, t.kind, t.at, t.level = it.Conn, it.Kind, it.at, eventLevel
	t.began = q.cfg.Clock()
	if it.Kind == KindMessage {
		t.level = int(it.Priority)
		if most := min(t.most, left, q.cfg.TurnMax); most > 1 && it.Priority >= weighted {
			n += q.prio.more(t.class, it.Priority, t.buffer[1:most])
		}
	}
	t.items, t.received = t.buffer[:n], false
	q.took.waited(t.began, t.items)
	d.sample.on = it.Kind == KindMessage && q.placing.sample()
	t.next.Store(0)
	d.turns++
	q.dispatching++
	return true
}

// claim returns the next item of the turn, or nil. The job's goroutine.
func (t *turn) claim() *Item {
	if k := int(t.next.Add(1)) - 1; k < len(t.items) {
		return &t.items[k]
	}
	return nil
}

// claimed is the number of items that are claimed.
func (t *turn) claimed() int { return min(int(t.next.Load()), len(t.items)) }

// left is the number of items that are not claimed.
func (t *turn) left() int { return len(t.items) - t.claimed() }

// givenLocked is the number of items that the job has got: the callback that runs is that
// of the last one.
func (t *turn) givenLocked() int {
	if k := int(t.next.Load()); k < revoked {
		return min(k, len(t.items))
	}
	return t.given
}

// revokeLocked takes away the items that are not claimed. They are the caller's.
func (t *turn) revokeLocked() []Item {
	if t.class == nil {
		return nil
	}
	return t.revokedLocked(t.next.Swap(revoked))
}

// revokeAtLocked does the same if the callback of item number given has not returned. The
// job says that a callback has returned by asking for the next item.
func (t *turn) revokeAtLocked(given int) (items []Item, still bool) {
	was := int32(given)
	if t.next.Load() >= revoked {
		was = revoked // before, and nothing was asked for since
	}
	if !t.next.CompareAndSwap(was, revoked) {
		return nil, false
	}
	return t.revokedLocked(was), true
}

// revokedLocked returns the items that were not claimed when t.next had that value.
func (t *turn) revokedLocked(next int32) []Item {
	if next >= revoked {
		return nil
	}
	t.given = min(int(next), len(t.items))
	return t.items[t.given:]
}

// endLocked ends the turn and frees its class.
func (d *drainer) endLocked() {
	q, t := d.q, &d.turn
	if t.received {
		if t.timed {
			q.took.ran(q.cfg.Clock()-t.began, t.givenLocked())
		}
	} else {
		took := q.cfg.Clock() - t.began
		q.took.ran(took, t.givenLocked())
		switch {
		case took > turnTime:
			t.most = max(t.most/2, 1)
		case took < turnTime/2 && t.level < eventLevel:
			t.most = min(2*t.most, turnMax)
		}
	}
	if s := &d.sample; s.on && s.done {
		s.on, s.done = false, false
		q.placing.measured(t.givenLocked(), d.sample.own, q.cfg.Clock())
	}
	q.stats.Dispatched += t.count.dispatched
	q.stats.Discarded += t.count.discarded
	q.stats.Unhandled += t.count.unhandled
	q.stats.Panics += t.count.panics
	t.count = outcomes{}
	if d.stuck {
		q.unstickLocked(d)
	}
	c := t.class
	t.class, t.conn, t.items = nil, nil, nil
	if t.received {
		d.tally.Begin(nil)
	}
	q.prio.done(c)
	q.endLocked()
}

// takeBackLocked puts what is left of d's turn back into the queue.
func (q *Queue) takeBackLocked(d *drainer) {
	if items := d.revokeLocked(); len(items) > 0 {
		for i := range items {
			items[i].at = d.at // what was received has none
		}
		q.prio.putBack(d.class, uint8(d.level), items)
		clear(items)
	}
}

// giveUpLocked appends what is left of the turn to into: it will not be dispatched.
func (d *drainer) giveUpLocked(into []Item) []Item {
	items := d.revokeLocked()
	into = append(into, items...)
	clear(items)
	return into
}

// preemptLocked ends the turns of a lower level than what has just been queued.
func (q *Queue) preemptLocked(level int) {
	for _, d := range q.drainers {
		if d.class != nil && d.level < level {
			q.takeBackLocked(d)
		}
	}
}
