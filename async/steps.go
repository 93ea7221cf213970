package async

import (
	"container/list"
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// steps are the slow steps of authentication that run on the executor: no more than max at
// a time, since each may be a millisecond of computing, and those that wait by turns of the
// hosts of their peers, so that who comes with many waits for itself. What waits is bounded
// by HandshakesMax, and by the connections that this side makes: each has one step.
type steps struct {
	on  dispatch.Executor
	max int

	mu      sync.Mutex
	running int // given to the executor
	waiting map[netip.Addr]*list.Element
	turns   list.List     // of *hostSteps, whose turn is next first
	n       int           // that have begun
	ended   chan struct{} // closed when n is 0 again; nil: nobody waits
}

// hostSteps are the jobs for peers of one host, in the order of their coming.
type hostSteps struct {
	host netip.Addr
	jobs []func()
}

// execute has the job run for a peer at host. An error means that it never does.
func (s *steps) execute(host netip.Addr, job func()) error {
	s.mu.Lock()
	if s.running >= s.max || s.turns.Len() > 0 {
		s.put(host, job)
		s.mu.Unlock()
		return nil
	}
	s.running++
	s.mu.Unlock()
	err := s.submit(job)
	if err != nil {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}
	return err
}

// put has the job wait; under mu.
func (s *steps) put(host netip.Addr, job func()) {
	at := s.waiting[host]
	if at == nil {
		at = s.turns.PushBack(&hostSteps{host: host})
		if s.waiting == nil {
			s.waiting = map[netip.Addr]*list.Element{}
		}
		s.waiting[host] = at
	}
	h := at.Value.(*hostSteps)
	h.jobs = append(h.jobs, job)
}

// take returns the job whose turn it is, or nil; under mu.
func (s *steps) take() (job func()) {
	at := s.turns.Front()
	if at == nil {
		return nil
	}
	h := at.Value.(*hostSteps)
	job, h.jobs = h.jobs[0], h.jobs[1:]
	if len(h.jobs) == 0 {
		s.turns.Remove(at)
		delete(s.waiting, h.host)
	} else {
		s.turns.MoveToBack(at)
	}
	return job
}

func (s *steps) submit(job func()) error { return s.on.Submit(func() { s.run(job) }) }

// run runs the job on the executor, and then has it run those that wait, even if the job
// does not return.
func (s *steps) run(job func()) {
	s.add(1)
	defer s.next()
	defer s.add(-1)
	job()
}

// next gives what waits to the executor in place of a job that has ended. If that takes
// nothing more, the job runs here: this is one of its goroutines.
func (s *steps) next() {
	s.mu.Lock()
	job := s.take()
	if job == nil {
		s.running--
	}
	s.mu.Unlock()
	if job != nil && s.submit(job) != nil {
		s.run(job)
	}
}

func (s *steps) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n += n; s.n == 0 && s.ended != nil {
		close(s.ended)
		s.ended = nil
	}
}

// wait waits until no step runs; those that have not begun do nothing any more when all
// connections have ended. A step does not wait for itself.
func (s *steps) wait(ctx context.Context) error {
	if callback.InsidePool() {
		return nil // the queue says so
	}
	s.mu.Lock()
	if s.n == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.ended == nil {
		s.ended = make(chan struct{})
	}
	ended := s.ended
	s.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("shutdown: a step of authentication runs: %w", ctx.Err())
	}
}
