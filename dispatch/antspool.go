package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"
)

// Defaults of AntsConfig.
const (
	DefaultAntsSize   = 256
	DefaultAntsExpiry = 5 * time.Second
)

// AntsConfig configures an AntsPool. The zero value works.
type AntsConfig struct {
	// Size bounds the goroutines that run jobs; 0 means DefaultAntsSize. At the
	// bound Submit answers ErrExecutorFull.
	Size int
	// Expiry is after how long an idle goroutine ends; 0 means DefaultAntsExpiry.
	Expiry time.Duration
	// OnPanic is told of a panic that left a job, which a Queue's jobs do only by
	// an error of this library's. nil logs it to Logger. The pool goes on.
	OnPanic func(recovered any, stack []byte)
	// Logger is for panics and what ants has to say; nil means slog.Default().
	Logger *slog.Logger
}

// AntsPool is an Executor on a bounded pool of goroutines (panjf2000/ants) that
// any number of queues share.
//
// An idle pool shrinks to two goroutines, ants' clock and its scavenger; Release
// ends those too. (Merely importing ants keeps two more for its default pool, for
// the life of the process.)
type AntsPool struct {
	// gate orders Submit and Release: ants accepts a job that races with its
	// release and may run it after the release has returned.
	gate   sync.RWMutex
	closed bool
	pool   *ants.Pool
}

// NewAntsPool starts a pool. The error is for a configuration that makes no sense.
func NewAntsPool(cfg AntsConfig) (*AntsPool, error) {
	if cfg.Size < 0 || cfg.Expiry < 0 {
		return nil, fmt.Errorf("dispatch: pool of %d goroutines with expiry %v", cfg.Size, cfg.Expiry)
	}
	if cfg.Size == 0 {
		cfg.Size = DefaultAntsSize
	}
	if cfg.Expiry == 0 {
		cfg.Expiry = DefaultAntsExpiry
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.OnPanic == nil {
		cfg.OnPanic = func(r any, stack []byte) {
			cfg.Logger.Error("dispatch: panic in a pool job", "panic", r, "stack", string(stack))
		}
	}
	pool, err := ants.NewPool(cfg.Size,
		ants.WithNonblocking(true),
		ants.WithExpiryDuration(cfg.Expiry),
		ants.WithPanicHandler(func(r any) { cfg.OnPanic(r, debug.Stack()) }),
		ants.WithLogger(antsLogger{cfg.Logger}))
	if err != nil {
		return nil, fmt.Errorf("dispatch: pool: %w", err)
	}
	return &AntsPool{pool: pool}, nil
}

// Submit hands the job to a goroutine of the pool. It does not block; errors are
// ErrExecutorFull and ErrExecutorClosed. Any goroutine may call it.
func (p *AntsPool) Submit(job func()) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.closed {
		return ErrExecutorClosed
	}
	switch err := p.pool.Submit(job); {
	case err == nil:
		return nil
	case errors.Is(err, ants.ErrPoolOverload):
		return ErrExecutorFull
	case errors.Is(err, ants.ErrPoolClosed):
		return ErrExecutorClosed
	default:
		return fmt.Errorf("dispatch: pool: %w", err)
	}
}

// Running is the number of goroutines of the pool, idle ones that did not expire
// included. Any goroutine may call it.
func (p *AntsPool) Running() int { return p.pool.Running() }

// Size is the bound of Running.
func (p *AntsPool) Size() int { return p.pool.Cap() }

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
	if err := p.pool.ReleaseContext(ctx); err != nil {
		return fmt.Errorf("dispatch: release of the pool with %d goroutines running: %w", p.pool.Running(), err)
	}
	return nil
}

type antsLogger struct{ log *slog.Logger }

func (l antsLogger) Printf(format string, args ...any) { l.log.Warn(fmt.Sprintf(format, args...)) }
