package dispatch

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
)

// Short callbacks run in place: on the goroutine of the worker that has decoded their
// messages, without a visit to another thread. They are a turn like any other, of a job
// that does not run on the executor, and begins only if nothing else could come first.

// Place is the worker that has received some items: it can run a job aside, as
// eventloop.Asider says.
type Place interface {
	RunAside(job func()) (ran, stays bool)
}

// inPlaceTime is for how long a job in place goes on. What is left then is the pool's.
const inPlaceTime = 200 * time.Microsecond

// EnqueueBatchAt is EnqueueBatch for what the worker has received on which the caller is. It may
// dispatch the items there, before it returns. If keeps is set, the slice is not the caller's
// any more.
func (q *Queue) EnqueueBatchAt(at Place, items []Item) (keeps bool, err error) {
	if !q.placing.here.Load() || !alike(items) {
		return false, q.EnqueueBatch(items)
	}
	now := q.cfg.Clock()
	q.mu.Lock()
	d := q.beginInPlaceLocked(items, now)
	if d == nil {
		q.mu.Unlock()
		return false, q.EnqueueBatch(items)
	}
	turn := d.turns
	check := q.askLocked()
	q.mu.Unlock()
	if check {
		q.cfg.CheckAfter(q.cfg.StuckLimit / checksPerLimit)
	}
	ran, stays := at.RunAside(d.jobInPlace)
	if ran && !stays {
		return false, nil
	}
	q.leftInPlace(d, turn, ran)
	return ran, nil
}

// alike says whether the items are messages of one connection and strict priority.
func alike(items []Item) bool {
	if len(items) == 0 {
		return false
	}
	first := &items[0]
	for i := range items {
		it := &items[i]
		if it.Kind != KindMessage || it.Class != first.Class || it.Priority != first.Priority {
			return false
		}
		if it.Msg == nil {
			it.mustMakeSense(i)
		}
	}
	return first.Class != 0 && first.Priority >= weighted
}

// beginInPlaceLocked begins a turn of the items without queueing them. nil: something
// else could come first, or too many jobs run.
func (q *Queue) beginInPlaceLocked(items []Item, now time.Duration) *drainer {
	first := &items[0]
	if q.stopping || q.prio.runnable > 0 || len(q.drainers) >= q.cfg.Width || q.jobs() >= q.cfg.WidthMax ||
		q.prio.classes[first.Class] != nil {
		return nil
	}
	d := q.newDrainerLocked()
	t := &d.turn
	t.class = q.prio.beginNew(first.Class)
	t.conn, t.kind, t.at, t.level, t.began = first.Conn, KindMessage, now, int(first.Priority), now
	t.items, t.inPlace = items, true
	t.next.Store(0)
	d.turns++
	q.dispatching++
	n := uint64(len(items))
	q.stats.Enqueued += n
	q.stats.EnqueuedBy[band(first)] += n
	q.placing.begun()
	d.sample.on = q.placing.sample()
	q.stats.InPlace += n
	return d
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

// drainInPlace dispatches the items of the turn, as long as nobody else waits.
func (d *drainer) drainInPlace() {
	q := d.q
	d.sampleBegin()
	for k := 1; ; k++ {
		it := d.claim()
		if it == nil {
			break
		}
		d.dispatch(d.mark, it)
		if k%turnMax == 0 && d.left() > 0 && !d.goesOn() {
			break
		}
	}
	d.sampleEnd()
	q.mu.Lock()
	q.takeBackLocked(d)
	d.endLocked()
	q.retireLocked(d)
	next := q.startLocked()
	q.mu.Unlock()
	q.launch(next)
}

// goesOn says whether the turn in place may go on with more of its items.
func (d *drainer) goesOn() bool {
	q := d.q
	if q.cfg.Clock()-d.began > inPlaceTime {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.prio.runnable == 0
}

// leftInPlace is called by the worker that d's job has held up, or that could not run it.
// What is left of the turn is queued, behind the callback that runs.
func (q *Queue) leftInPlace(d *drainer, turn uint64, ran bool) {
	q.mu.Lock()
	if d.turns != turn || d.class == nil {
		q.mu.Unlock() // it has just ended
		return
	}
	q.takeBackLocked(d)
	if ran {
		q.stats.Stayed++
		q.placing.stayed(q.cfg.Clock())
		q.mu.Unlock()
		return
	}
	d.endLocked()
	q.retireLocked(d)
	next := q.startLocked()
	q.mu.Unlock()
	q.launch(next)
}
