package async

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// steps are the slow steps of authentication. So many run at a time on the executor, which
// callbacks share with them; the others wait in line, by turns of the hosts of their peers.
// Each connection has one at a time, but one that is given up leaves its step in line, where
// that does nothing any more, or running, if it hangs.
type steps struct {
	on  dispatch.Executor
	max int

	mu    sync.Mutex
	n     int // that run, or are on their way to
	line  turns
	ended chan struct{} // closed when n is 0 again; nil: nobody waits
}

// stepsLine bounds the line. At the bound execute refuses.
const stepsLine = 1 << 16

// execute has job run, for a peer at host. An error means that it will not be.
func (s *steps) execute(host netip.Addr, job func()) error {
	s.mu.Lock()
	if s.n >= s.max {
		defer s.mu.Unlock()
		if s.line.n >= stepsLine {
			return fmt.Errorf("%d steps run and %d wait: %w", s.n, stepsLine, dispatch.ErrExecutorFull)
		}
		s.line.put(host, job)
		return nil
	}
	s.n++
	s.mu.Unlock()
	err := s.on.Submit(func() { s.run(job) })
	if err != nil {
		s.refused()
	}
	return err
}

// refused takes the place of a job back that the executor refused. Those that have come
// into line meanwhile are left to the ones that run. If there are none any more, a
// goroutine takes their place: this one may be a worker.
func (s *steps) refused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 1 && s.line.n > 0 {
		go s.end()
		return
	}
	if s.n--; s.n == 0 {
		s.idle()
	}
}

// idle tells those who wait for it that no step runs; under mu.
func (s *steps) idle() {
	if s.ended != nil {
		close(s.ended)
		s.ended = nil
	}
}

// run runs a job, and whatever becomes of that, has the next one in line run.
func (s *steps) run(job func()) {
	defer s.end()
	job()
}

// end gives the place of a job to the next one in line, if there is one.
func (s *steps) end() {
	s.mu.Lock()
	if s.line.n == 0 {
		if s.n--; s.n == 0 {
			s.idle()
		}
		s.mu.Unlock()
		return
	}
	next := s.line.take()
	s.mu.Unlock()
	if s.on.Submit(func() { s.run(next) }) != nil {
		s.run(next) // it was promised
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
