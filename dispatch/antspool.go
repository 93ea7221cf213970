package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/panjf2000/ants/v2"
)

// Defaults of AntsConfig.
const (
	DefaultAntsSize   = 256
	DefaultAntsExpiry = 5 * time.Second
	// DefaultAntsLine is enough for thousands of queues: each has at most its
	// Width of jobs under way.
	DefaultAntsLine = 1 << 16
)

// AntsConfig configures an AntsPool. The zero value works.
type AntsConfig struct {
	// Size bounds the jobs that run at a time, those that are stuck included; 0 means
	// DefaultAntsSize.
	Size int
	// LineMax bounds the jobs that wait in line for one of those to end; 0 means
	// DefaultAntsLine, negative none. At the bound Submit answers ErrExecutorFull.
	LineMax int
	// Expiry is after how long an idle goroutine ends; 0 means DefaultAntsExpiry.
	Expiry time.Duration
	// OnPanic is told of a panic that left a job, which a Queue's jobs do only by
	// an error of this library's. Should OnPanic panic, both are logged. nil logs it to
	// Logger. The pool goes on.
	OnPanic func(recovered any, stack []byte)
	// Logger is for panics and what ants has to say; nil means slog.Default().
	Logger *slog.Logger
}

// AntsPool is an Executor on a bounded pool of goroutines (panjf2000/ants) that
// any number of queues share.
//
// Jobs beyond Size wait in line, so that a thousand messengers with a burst each
// cost no more goroutines than one. An idle pool shrinks to two goroutines, ants' clock and its scavenger; Release
// ends those too. (Merely importing ants keeps two more for its default pool, for
// the life of the process.)
type AntsPool struct {
	// gate orders Submit and Release: ants accepts a job that races with its
	// release and may run it after the release has returned.
	gate   sync.RWMutex
	closed bool
	pool   *ants.Pool
	submit func(job func()) error // the pool's

	told    reporter
	size    int
	lineMax int
	mu      sync.Mutex    // guards the fields below
	running int           // goroutines in run, at most size
	line    []func()      // jobs that wait
	ended   chan struct{} // closed when running gets 0; made by Release
}

// NewAntsPool starts a pool. The error is for a configuration that makes no sense.
func NewAntsPool(cfg AntsConfig) (*AntsPool, error) {
	if cfg.Size < 0 || cfg.Expiry < 0 {
		return nil, fmt.Errorf("dispatch: pool of %d goroutines with expiry %v", cfg.Size, cfg.Expiry)
	}
	if cfg.Size == 0 {
		cfg.Size = DefaultAntsSize
	}
	switch {
	case cfg.LineMax == 0:
		cfg.LineMax = DefaultAntsLine
	case cfg.LineMax < 0:
		cfg.LineMax = 0
	}
	if cfg.Expiry == 0 {
		cfg.Expiry = DefaultAntsExpiry
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	p := &AntsPool{size: cfg.Size, lineMax: cfg.LineMax, told: reporter{who: "a job of the pool", log: cfg.Logger}}
	if cfg.OnPanic != nil {
		p.told.hook = func(_ msg.Connection, r any, stack []byte) { cfg.OnPanic(r, stack) }
	}
	// Twice the size: a goroutine that has done its job is not back in ants' list
	// at once, and must not make the next job seem one too many.
	pool, err := ants.NewPool(2*cfg.Size,
		ants.WithNonblocking(true),
		ants.WithExpiryDuration(cfg.Expiry),
		ants.WithLogger(antsLogger{cfg.Logger}))
	if err != nil {
		return nil, fmt.Errorf("dispatch: pool: %w", err)
	}
	p.pool, p.submit = pool, pool.Submit
	return p, nil
}

// Submit hands the job to a goroutine of the pool, or puts it in line for one. It
// does not block; errors are ErrExecutorFull and ErrExecutorClosed. Any goroutine
// may call it.
func (p *AntsPool) Submit(job func()) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.closed {
		return ErrExecutorClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running < p.size {
		switch err := p.submit(func() { p.run(job) }); {
		case err == nil:
			p.running++
			return nil
		case errors.Is(err, ants.ErrPoolClosed):
			return ErrExecutorClosed
		case !errors.Is(err, ants.ErrPoolOverload):
			return fmt.Errorf("dispatch: pool: %w", err)
		case p.running == 0:
			return ErrExecutorFull // nobody would come for the line
		}
	}
	if len(p.line) >= p.lineMax {
		return ErrExecutorFull
	}
	p.line = append(p.line, job)
	return nil
}

// run runs job and then what waits in line.
func (p *AntsPool) run(job func()) {
	done := false
	defer func() {
		if !done {
			p.abandoned()
		}
	}()
	for job != nil {
		p.guard(job)
		job = p.next()
	}
	done = true
}

// guard runs job and catches its panic. ants would do so too, but tells of it after it
// has counted the goroutine out: Release would not wait for that.
func (p *AntsPool) guard(job func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			p.told.report(nil, r)
		}
	}()
	job()
	returned = true
}

// next returns the next job in line; nil ends the goroutine's turn.
func (p *AntsPool) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.line) == 0 {
		p.line = nil
		if p.running--; p.running == 0 && p.ended != nil {
			close(p.ended)
		}
		return nil
	}
	job := p.line[0]
	p.line[0] = nil
	p.line = p.line[1:]
	return job
}

// abandoned gives the turn of a goroutine that a job has ended (runtime.Goexit) to
// another one, if there is a line: one that is not of ants' if that is being released.
func (p *AntsPool) abandoned() {
	job := p.next()
	if job != nil && p.submit(func() { p.run(job) }) != nil {
		go p.run(job)
	}
}

// Running is the number of goroutines of the pool, idle ones that did not expire
// included. Any goroutine may call it.
func (p *AntsPool) Running() int { return p.pool.Running() }

// Waiting is the number of jobs in line.
func (p *AntsPool) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.line)
}

// Size is how many jobs run at a time.
func (p *AntsPool) Size() int { return p.size }

// Release refuses further jobs and waits until the running ones returned and all
// goroutines of the pool ended, or ctx ends, whose error is then wrapped: the
// jobs go on and the pool ends with the last of them. Stop the queues first. Not
// to be called from a job. A second call returns nil at once.
func (p *AntsPool) Release(ctx context.Context) error {
	p.gate.Lock()
	was := p.closed
	p.closed = true
	p.gate.Unlock()
	if was {
		return nil
	}
	p.mu.Lock()
	p.ended = make(chan struct{})
	if p.running == 0 {
		close(p.ended)
	}
	p.mu.Unlock()
	if err := p.pool.ReleaseContext(ctx); err != nil {
		return fmt.Errorf("dispatch: release of the pool with %d goroutines running: %w", p.pool.Running(), err)
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("dispatch: release of the pool with jobs running: %w", ctx.Err())
	}
}

type antsLogger struct{ log *slog.Logger }

func (l antsLogger) Printf(format string, args ...any) { l.log.Warn(fmt.Sprintf(format, args...)) }
