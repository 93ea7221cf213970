package threadpipe

import (
	"sync"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// dispatchThread is the one thread that runs dispatchers: an executor for a queue
// of width 1, which submits one job per burst.
type dispatchThread struct {
	wake  waker
	spawn func(f func())
	ended chan struct{} // closed when run has returned

	mu      sync.Mutex
	jobs    []func()
	asleep  bool
	stopped bool
}

// Submit implements dispatch.Executor.
func (t *dispatchThread) Submit(job func()) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return dispatch.ErrExecutorClosed
	}
	t.jobs = append(t.jobs, job)
	t.wakeLocked()
	return nil
}

func (t *dispatchThread) wakeLocked() {
	if t.asleep {
		t.asleep = false
		t.wake.wake()
	}
}

// run is the thread. Should a job end it, another one takes its place.
func (t *dispatchThread) run() {
	returned := false
	defer func() {
		if !returned {
			t.spawn(t.run)
			return
		}
		close(t.ended)
	}()
	t.mu.Lock()
	for {
		switch {
		case len(t.jobs) > 0:
			job := t.jobs[0]
			t.jobs = append(t.jobs[:0], t.jobs[1:]...)
			t.mu.Unlock()
			job()
			t.mu.Lock()
		case t.stopped:
			t.mu.Unlock()
			returned = true
			return
		default:
			t.asleep = true
			t.mu.Unlock()
			t.wake.wait(-1)
			t.mu.Lock()
			t.asleep = false
		}
	}
}

// stop ends run after the jobs it has, and waits for that.
func (t *dispatchThread) stop() {
	t.mu.Lock()
	t.stopped = true
	t.wakeLocked()
	t.mu.Unlock()
	<-t.ended
}
