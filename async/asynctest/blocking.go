package asynctest

import (
	"iter"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// blockingJob is a job of a node's executor that may be held up by Sleep: a coroutine,
// which runs only while the network's goroutine waits for it. When the job is done it is
// there for the next one, with a stack that is large enough.
type blockingJob struct {
	conn  msg.Connection // whose message is being dispatched
	task  func()         // nil: it has ended
	yield func(time.Duration) bool
	next  func() (time.Duration, bool)
	stop  func()
}

func newBlockingJob() *blockingJob {
	j := new(blockingJob)
	j.next, j.stop = iter.Pull(func(yield func(time.Duration) bool) {
		j.yield = yield
		for j.task != nil {
			j.task()
			j.conn, j.task = nil, nil
			if !yield(0) {
				return
			}
		}
	})
	return j
}

// died is what Sleep panics with when its node is no more.
type died struct{}

func (died) Error() string { return "asynctest: the node died while its dispatcher slept" }

// run begins a job, as far as its first Sleep.
func (p *stickyPool) run(run func()) {
	var j *blockingJob
	if k := len(p.idle); k > 0 {
		j, p.idle = p.idle[k-1], p.idle[:k-1]
	} else {
		j = newBlockingJob()
	}
	j.task = run
	p.jobs = append(p.jobs, j)
	p.resume(j)
}

// resume lets a job go on until it sleeps again, or ends.
func (p *stickyPool) resume(j *blockingJob) {
	if !slices.Contains(p.jobs, j) {
		return // its node died
	}
	outer := p.current
	p.current = j
	d, lives := j.next()
	p.current = outer
	switch {
	case lives && j.task != nil:
		p.net.After(d, func() { _ = p.host.Submit(func() { p.resume(j) }) })
		return
	case lives && p.drop(j):
		p.idle = append(p.idle, j)
	case lives: // its node died of what it did
		j.stop()
	default:
		p.drop(j)
	}
}

// drop says whether the job was there.
func (p *stickyPool) drop(j *blockingJob) bool {
	i := slices.Index(p.jobs, j)
	if i >= 0 {
		p.jobs = slices.Delete(p.jobs, i, i+1)
	}
	return i >= 0
}

// die ends the jobs that sleep, and those that are idle.
func (p *stickyPool) die() {
	for len(p.jobs) > 0 {
		j := p.jobs[0]
		p.drop(j)
		if j != p.current {
			j.stop()
		}
	}
	for _, j := range p.idle {
		j.stop()
	}
	p.idle = nil
}

// Sleep holds up the callback that calls it for d of virtual time, as a dispatcher
// does that waits for a disk; everything else goes on. It needs Options.Blocking, and
// a callback that comes through the node's queue: fast dispatch must not wait. If the
// node dies meanwhile, Sleep does not return.
func (n *Node) Sleep(d time.Duration) {
	j := n.pool.current
	if j == nil {
		panic("asynctest: Sleep outside of a callback, or without Options.Blocking")
	}
	n.add(RecStuck, j.conn, Record{})
	if !j.yield(d) {
		panic(died{})
	}
	n.add(RecFree, j.conn, Record{})
}
