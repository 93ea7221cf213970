package async

import (
	"context"
	"fmt"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// steps are the slow steps of authentication that run on the executor. That is all that
// bounds them: each connection has one at a time, and there are HandshakesMax of those,
// and as many as this side makes.
type steps struct {
	mu    sync.Mutex
	n     int
	ended chan struct{} // closed when n is 0 again; nil: nobody waits
}

func (s *steps) execute(on dispatch.Executor, job func()) error {
	return on.Submit(func() {
		s.add(1)
		defer s.add(-1)
		job()
	})
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
