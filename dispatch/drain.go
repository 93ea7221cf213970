package dispatch

import (
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// drainer is one job that drains a queue. It is reused.
type drainer struct {
	q    *Queue
	mark stackMark
	// job, standInJob and jobInPlace are run, runStandIn and runInPlace, made once.
	job, standInJob, jobInPlace func()

	turn
	sample      sample
	tally       msg.Tally     // of what was received: given back together
	inPlaceFrom time.Duration // of a job in place, when it began

	// Under q.mu.
	starting bool   // submitted, does not run yet
	standIn  bool   // runs on a stand-in goroutine
	stuck    bool   // in q.stuck, not in q.drainers
	turns    uint64 // begun
	seen     uint64 // progress, when it was looked at last
	seenAt   time.Duration
}

// startLocked returns a drainer to launch, if there is work for one more and room
// for it, and none is on its way. Each one that has begun its first item starts
// the next: so a burst costs its sender one Submit, and Width is reached as long
// as there is work.
func (q *Queue) startLocked() *drainer {
	if q.starting > 0 || len(q.drainers) >= q.cfg.Width || q.prio.runnable == 0 || q.jobs() >= q.cfg.WidthMax {
		return nil
	}
	d := q.newDrainerLocked()
	d.starting = true
	q.starting++
	return d
}

// newDrainerLocked returns one more drainer.
func (q *Queue) newDrainerLocked() (d *drainer) {
	if n := len(q.idle); n > 0 {
		d = q.idle[n-1]
		q.idle = q.idle[:n-1]
	} else {
		d = &drainer{q: q, mark: newStackMark(), turn: turn{most: 1}}
		d.job, d.standInJob, d.jobInPlace = d.run, d.runStandIn, d.runInPlace
	}
	q.drainers = append(q.drainers, d)
	return d
}

// jobs is how many there are, stuck ones included.
func (q *Queue) jobs() int { return len(q.drainers) + len(q.stuck) }

// launch submits the job of a drainer that startLocked returned, without the lock. If
// the executor refuses the job, d runs as the stand-in. If there is a stand-in already
// that is not stuck, d is not needed: the stand-in goes on until the queue is empty.
func (q *Queue) launch(d *drainer) {
	if d == nil || q.submit(d.job) == nil {
		return
	}
	q.mu.Lock()
	q.stats.Refused++
	if q.standIn != nil {
		q.retireLocked(d)
		q.mu.Unlock()
		return
	}
	q.standIn = d
	d.standIn = true
	q.stats.StandIns++
	q.mu.Unlock()
	q.cfg.Go(d.standInJob)
}

// submit hands the job to the executor, which must not block: a worker calls this. Should
// the executor run the job at once, a worker waits for the job's callbacks.
func (q *Queue) submit(job func()) (err error) {
	callback.OnWorker(func() { err = q.cfg.Executor.Submit(job) })
	return err
}

// retireLocked ends the job of d.
func (q *Queue) retireLocked(d *drainer) {
	if d.starting {
		d.starting = false
		q.starting--
	}
	d.noStandInLocked()
	q.drainers = without(q.drainers, d)
	if len(q.idle) < q.cfg.Width {
		q.idle = append(q.idle, d)
	}
}

// noStandInLocked notes that d does not run on a stand-in goroutine, or not any more.
func (d *drainer) noStandInLocked() {
	d.standIn = false
	if d.q.standIn == d {
		d.q.standIn = nil
	}
}

// without takes d out of all; the last one has its place.
func without(all []*drainer, d *drainer) []*drainer {
	i, last := slices.Index(all, d), len(all)-1
	all[i] = all[last]
	all[last] = nil
	return all[:last]
}

// run is the job on the executor.
func (d *drainer) run() {
	d.q.mu.Lock()
	d.noStandInLocked() // it may have moved here from that goroutine
	callback.OnPool(d.drain)
}

// runStandIn is the job on the stand-in goroutine.
func (d *drainer) runStandIn() {
	d.q.mu.Lock()
	callback.OnPool(d.drain)
}

// drain dispatches items until none can be, or BatchMax of them and the executor
// accepts the job anew, or until the job is one too many because another one is not
// stuck any more. It is entered with the lock and takes it once per turn.
func (d *drainer) drain() {
	q := d.q
	d.starting = false
	q.starting--
	completed := false
	defer func() {
		if !completed {
			d.abandoned()
		}
	}()
	for left := q.cfg.BatchMax; ; {
		if q.surplusLocked(d) {
			q.retireLocked(d)
			q.mu.Unlock()
			break
		}
		if left == 0 {
			left = q.cfg.BatchMax
			if q.prio.runnable > 0 && d.moveOn() {
				break
			}
		}
		if !d.beginLocked(left) {
			q.retireLocked(d)
			q.mu.Unlock()
			break
		}
		left -= len(d.items)
		next := q.startLocked()
		q.mu.Unlock()
		q.launch(next)
		d.dispatchTurn()
		q.mu.Lock()
		d.endLocked()
	}
	completed = true
}

// dispatchTurn dispatches the items of the turn.
func (d *drainer) dispatchTurn() {
	d.sampleBegin()
	for it := d.claim(); it != nil; it = d.claim() {
		d.dispatch(d.mark, it)
	}
	d.sampleEnd()
}

// moveOn sends the job to the end of the executor's line. true: it will run
// there, d is not this goroutine's any more and the lock is free. false: the
// executor refuses; the lock is held and the job goes on here.
func (d *drainer) moveOn() bool {
	q := d.q
	d.starting = true
	q.starting++
	q.mu.Unlock()
	if q.submit(d.job) == nil {
		return true
	}
	q.mu.Lock()
	q.stats.Refused++
	d.starting = false
	q.starting--
	return false
}

// dispatch hands the item to the handler and gives its throttles back, once,
// whatever the handler does. The mark is what the goroutine of the callback is found by
// among the stacks of all.
//
//go:noinline
func (d *drainer) dispatch(_ stackMark, it *Item) {
	q := d.q
	if q.cfg.Stale(it) {
		d.count.discarded++
		q.dropOne(it)
		*it = Item{}
		return
	}
	if it.Msg != nil {
		// The ticket is taken before user code may release the message.
		defer d.tally.Add(msg.TicketFor(it.Msg))
	}
	out, returned := Panicked, false
	defer func() {
		d.count.handled(out)
		if returned {
			*it = Item{}
			return
		}
		conn := it.Conn
		*it = Item{}
		if r := recover(); r != nil || !q.handlerTells {
			q.told.report(conn, r)
		}
	}()
	out = q.cfg.Handler.Handle(it)
	returned = true
}

// abandoned puts things right when the goroutine is being ended under the job, by
// runtime.Goexit in user code or a panic in a hook, which goes on to the executor.
// Another job takes over.
func (d *drainer) abandoned() {
	q := d.q
	d.tally.Take().Done()
	q.mu.Lock()
	if d.class != nil {
		q.takeBackLocked(d)
		d.endLocked()
	}
	q.retireLocked(d)
	next := q.startLocked()
	q.mu.Unlock()
	q.launch(next)
}
