package demo

import (
	"context"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// executor is a dispatch.Executor for many messengers in one process: at most
// size jobs run at a time, on an ants pool, and the others wait in line. The pool
// by itself refuses what is over its size, and every queue then helps itself
// with a goroutine of its own.
type executor struct {
	pool *dispatch.AntsPool
	size int

	mu      sync.Mutex
	running int
	line    []func() // at most two for each dispatcher width of a queue
}

func newExecutor(size int) (*executor, error) {
	// A goroutine that has done its job is not back in the pool at once.
	pool, err := dispatch.NewAntsPool(dispatch.AntsConfig{Size: 2 * size})
	if err != nil {
		return nil, err
	}
	return &executor{pool: pool, size: size}, nil
}

// Submit implements dispatch.Executor.
func (e *executor) Submit(job func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running < e.size {
		if err := e.pool.Submit(func() { e.run(job) }); err == nil {
			e.running++
			return nil
		} else if e.running == 0 {
			return err
		}
	}
	e.line = append(e.line, job)
	return nil
}

// run runs job and then what waits in line.
func (e *executor) run(job func()) {
	for job != nil {
		job()
		job = e.next()
	}
}

func (e *executor) next() func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.line) == 0 {
		e.line = nil
		e.running--
		return nil
	}
	job := e.line[0]
	e.line[0] = nil
	e.line = e.line[1:]
	return job
}

// Release ends the pool; the queues have stopped.
func (e *executor) Release(ctx context.Context) error { return e.pool.Release(ctx) }
