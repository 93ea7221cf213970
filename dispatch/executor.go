package dispatch

import "sync"

// Executor runs jobs on goroutines of its own. Submit must not block; it may be
// called by any goroutine, from jobs too. An error means that the job will not
// run. An accepted job runs exactly once, now or later.
type Executor interface {
	Submit(job func()) error
}

// Inline is an Executor without goroutines, for simulations and tests: jobs wait
// until Step or Run is called and run in the order of their submission. It never
// refuses. Submit may be called by any goroutine; whoever calls Step or Run is
// the one that runs the jobs, so that one goroutine gets a deterministic run.
type Inline struct {
	mu      sync.Mutex
	jobs    []func()
	running bool
}

// Submit queues the job. It never fails.
func (e *Inline) Submit(job func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs = append(e.jobs, job)
	return nil
}

// Len is the number of jobs that wait.
func (e *Inline) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.jobs)
}

// Step runs the oldest job and says whether there was one. It is not re-entrant:
// called while a job runs, it panics.
func (e *Inline) Step() bool {
	e.mu.Lock()
	if e.running {
		e.mu.Unlock()
		panic("dispatch: Inline.Step while a job runs")
	}
	if len(e.jobs) == 0 {
		e.jobs = nil
		e.mu.Unlock()
		return false
	}
	job := e.jobs[0]
	e.jobs[0] = nil
	e.jobs = e.jobs[1:]
	e.running = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.running = false
		e.mu.Unlock()
	}()
	job()
	return true
}

// Run runs jobs until none waits, those that jobs submit included, and returns
// how many there were.
func (e *Inline) Run() int {
	n := 0
	for e.Step() {
		n++
	}
	return n
}
