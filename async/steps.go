package async

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// steps are the slow steps of a messenger's authentication, which a stepPool runs.
type steps struct {
	pool *stepPool

	mu    sync.Mutex
	n     int           // that run
	ended chan struct{} // closed when n is 0 again; nil: nobody waits
}

// execute has job run, for a peer at host. An error means that it will not be.
func (s *steps) execute(host netip.Addr, job func()) error {
	return s.pool.execute(host, func() {
		s.add(1)
		defer s.add(-1) // also if it does not return
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

// stepPool has slow steps run on an executor, which callbacks share with them, so many at a
// time; the others wait in line, by turns of the hosts of their peers. Each connection has
// one at a time, but one that is given up leaves its step in line, where that does nothing
// any more, or running, if it hangs.
type stepPool struct {
	on  dispatch.Executor
	max int

	mu   sync.Mutex
	n    int // that run, or are on their way to
	line turns
}

// sharedSteps is the pool of all messengers of the process that leave AuthStepsMax and
// Executor as they are: the processors are theirs together.
var sharedSteps = sync.OnceValues(func() (*stepPool, error) {
	on, err := DefaultExecutor()
	return &stepPool{on: on, max: runtime.GOMAXPROCS(0)}, err
})

// stepPool is the one that c asks for, whose defaults are not filled in yet.
func (c *Config) stepPool() (*stepPool, error) {
	if c.Executor == nil && c.AuthStepsMax == 0 {
		return sharedSteps()
	}
	p := &stepPool{on: c.Executor, max: orDefault(c.AuthStepsMax, runtime.GOMAXPROCS(0))}
	var err error
	if p.on == nil {
		p.on, err = DefaultExecutor()
	}
	return p, err
}

// stepsLine bounds the line. At the bound execute refuses.
const stepsLine = 1 << 16

// execute has job run, for a peer at host. An error means that it will not be.
func (p *stepPool) execute(host netip.Addr, job func()) error {
	p.mu.Lock()
	if p.n >= p.max {
		defer p.mu.Unlock()
		if p.line.n >= stepsLine {
			return fmt.Errorf("%d steps run and %d wait: %w", p.n, stepsLine, dispatch.ErrExecutorFull)
		}
		p.line.put(host, job)
		return nil
	}
	p.n++
	p.mu.Unlock()
	err := p.on.Submit(func() { p.run(job) })
	if err != nil {
		p.refused()
	}
	return err
}

// refused takes the place of a job back that the executor refused. Those that have come
// into line meanwhile are left to the ones that run. If there are none any more, a
// goroutine takes their place: this one may be a worker.
func (p *stepPool) refused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 1 && p.line.n > 0 {
		go p.end()
		return
	}
	p.n--
}

// run runs a job, and whatever becomes of that, has the next one in line run.
func (p *stepPool) run(job func()) {
	defer p.end()
	job()
}

// end gives the place of a job to the next one in line, if there is one.
func (p *stepPool) end() {
	p.mu.Lock()
	if p.line.n == 0 {
		p.n--
		p.mu.Unlock()
		return
	}
	next := p.line.take()
	p.mu.Unlock()
	if p.on.Submit(func() { p.run(next) }) != nil {
		p.run(next) // it was promised
	}
}
