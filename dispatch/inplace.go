package dispatch

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Short callbacks run in place: on the goroutine of the worker that has received their
// messages, without a visit to another thread. A job in place is one like any other, but
// that it does not run on the executor. Its first turn is made of what was received,
// without a visit to the queue, if nothing there could come first. Otherwise what was
// received is queued, and the job takes from the queue what is next.

// Place is a worker that can run a job aside; see eventloop.Asider.
//
// Implementation: not for users of the library; may change in any release.
type Place interface {
	RunAside(job func()) (ran, stays bool)
}

// inPlaceTime is for how long a job in place goes on. What is left then is the pool's.
const inPlaceTime = 500 * time.Microsecond

// EnqueueBatchAt is EnqueueBatch for what a worker has received; the caller is on that
// worker, and holds no lock. It may dispatch the items, and others, before it returns. If
// keeps is set the slice is not the caller's any more. The error is that of EnqueueBatch.
func (q *Queue) EnqueueBatchAt(at Place, items []Item) (keeps bool, err error) {
	if !q.inPlace.Load() {
		return false, q.EnqueueBatch(items)
	}
	messages, alike := look(items)
	if !messages {
		return false, q.EnqueueBatch(items)
	}
	now := q.cfg.Clock()
	q.mu.Lock()
	if q.stopping || len(q.drainers) >= q.cfg.Width || q.jobs() >= q.cfg.WidthMax {
		q.mu.Unlock()
		return false, q.EnqueueBatch(items)
	}
	var d *drainer
	if alike && q.prio.runnable == 0 && q.prio.classes[items[0].Class] == nil {
		d = q.newDrainerLocked()
		q.beginInPlaceLocked(d, items, now)
	} else {
		for i := range items {
			items[i].at = now
		}
		q.pushLocked(items)
		if q.prio.runnable > 0 && len(q.prio.events) == 0 {
			d = q.newDrainerLocked()
		}
	}
	if d == nil {
		next, check := q.startLocked(), q.askLocked()
		q.mu.Unlock()
		q.launch(next)
		q.check(check)
		return false, nil
	}
	q.placing.begun()
	d.inPlaceFrom = now
	turn, check := d.turns, q.askLocked()
	q.mu.Unlock()
	q.check(check)
	if ran, stays := at.RunAside(d.jobInPlace); !ran || stays {
		q.leftInPlace(d, turn, ran)
		return ran, nil
	}
	return false, nil
}

// look says whether the items are all messages, and whether these are of one connection
// and strict priority.
func look(items []Item) (messages, alike bool) {
	if len(items) == 0 {
		return false, false
	}
	first := &items[0]
	alike = first.Class != 0 && first.Priority >= weighted
	for i := range items {
		it := &items[i]
		if it.Kind != KindMessage {
			return false, false
		}
		if it.Msg == nil {
			it.mustMakeSense(i)
		}
		if it.Class != first.Class || it.Priority != first.Priority {
			alike = false
		}
	}
	return true, alike
}

// beginInPlaceLocked makes a turn of the items.
func (q *Queue) beginInPlaceLocked(d *drainer, items []Item, now time.Duration) {
	t, first, n := &d.turn, &items[0], uint64(len(items))
	t.class = q.prio.beginNew(first.Class)
	t.conn, t.kind, t.at, t.level, t.began = first.Conn, KindMessage, now, int(first.Priority), now
	t.items, t.received = items, true
	t.next.Store(0)
	d.sample.on = q.placing.sample()
	d.tally.Begin(first.Msg)
	d.turns++
	q.dispatching++
	q.stats.Enqueued += n
	b := band(first)
	q.stats.EnqueuedBy[b] += n
	for i := range items {
		q.took.bytes[b] += uint64(items[i].Msg.PayloadLen())
	}
	q.took.wait.AddN(0, n)
	q.took.beginInPlace(d)
}

// runInPlace is the job.
func (d *drainer) runInPlace() {
	completed := false
	defer func() {
		if !completed {
			d.abandoned()
			if r := recover(); r != nil { // of a hook's
				d.q.told.report(nil, r)
			}
		}
	}()
	callback.OnPool(d.drainInPlace)
	completed = true
}

// drainInPlace dispatches what was received, and what is queued, for inPlaceTime.
func (d *drainer) drainInPlace() {
	q := d.q
	if d.class != nil {
		d.dispatchReceived()
	}
	d.tally.Take().Done()
	q.mu.Lock()
	for {
		if d.class != nil {
			q.stats.InPlace += uint64(d.givenLocked())
			q.takeBackLocked(d)
			d.endLocked()
		}
		if q.prio.runnable == 0 || len(q.prio.events) > 0 || q.surplusLocked(d) ||
			q.cfg.Clock()-d.inPlaceFrom > inPlaceTime || !d.beginLocked(turnMax) {
			break
		}
		q.mu.Unlock()
		d.dispatchTurn()
		q.mu.Lock()
	}
	q.retireLocked(d)
	next := q.startLocked()
	q.mu.Unlock()
	q.launch(next)
}

// dispatchReceived dispatches what was received, as long as nobody else waits.
func (d *drainer) dispatchReceived() {
	d.sampleBegin()
	for k := 1; ; k++ {
		it := d.claim()
		if it == nil {
			break
		}
		d.dispatch(d.mark, it)
		if k%turnMax == 0 && d.left() > 0 {
			d.tally.Take().Done()
			if !d.goesOn() {
				break
			}
		}
	}
	d.sampleEnd()
}

// goesOn says whether the job may dispatch more of what was received, without a look at
// who is next.
func (d *drainer) goesOn() bool {
	q := d.q
	if q.cfg.Clock()-d.inPlaceFrom > inPlaceTime {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.prio.runnable == 0
}

// leftInPlace is called by the worker that d's job has held up, or that could not run it.
// What is left of what was received, in that turn of d, is queued.
func (q *Queue) leftInPlace(d *drainer, turn uint64, ran bool) {
	var owed msg.Tickets
	q.mu.Lock()
	if d.turns == turn && d.class != nil { // the job may be over by now, and d another's
		q.takeBackLocked(d)
		if !ran {
			d.endLocked()
		}
		owed = d.tally.Take()
	}
	if ran {
		q.stats.Stayed++
		q.placing.stayed(q.cfg.Clock())
	} else {
		q.retireLocked(d)
	}
	next := q.startLocked()
	q.mu.Unlock()
	owed.Done() // the callback may wait for what that lets in
	q.launch(next)
}
