package asynctest

import (
	"iter"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// blockingJob is a job of a node's executor that may be held up by Sleep: a coroutine,
// which runs only while the network's goroutine waits for it.
type blockingJob struct {
	conn  msg.Connection // whose message is being dispatched
	yield func(time.Duration) bool
	next  func() (time.Duration, bool)
	stop  func()
}

// died is what Sleep panics with when its node is no more.
type died struct{}

func (died) Error() string { return "asynctest: the node died while its dispatcher slept" }

// run begins a job, as far as its first Sleep.
func (p *stickyPool) run(run func()) {
	j := new(blockingJob)
	j.next, j.stop = iter.Pull(func(yield func(time.Duration) bool) {
		j.yield = yield
		run()
	})
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
	d, sleeps := j.next()
	p.current = outer
	if sleeps {
		p.net.After(d, func() { _ = p.host.Submit(func() { p.resume(j) }) })
		return
	}
	p.drop(j)
}

func (p *stickyPool) drop(j *blockingJob) {
	if i := slices.Index(p.jobs, j); i >= 0 {
		p.jobs = slices.Delete(p.jobs, i, i+1)
	}
}

// die ends the jobs that sleep.
func (p *stickyPool) die() {
	for len(p.jobs) > 0 {
		j := p.jobs[0]
		p.drop(j)
		j.stop()
	}
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
