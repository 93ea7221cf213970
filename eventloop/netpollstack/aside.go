//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// asideLimit is how often it is looked whether a job that runs aside holds up the
	// worker. One that was there the last time does: so it has for one to two times that.
	asideLimit = 500 * time.Microsecond
	// asideQuiet is how many looks at nothing end the looking.
	asideQuiet = 8
	// unlocks is how many runtime.LockOSThread a job may forget.
	unlocks = 4
)

// asideWatch finds the jobs that hold up their worker.
type asideWatch struct {
	// seq is odd while a job runs aside. Whoever makes it even, the carrier when the job
	// has returned or the watch, carries the worker.
	seq   atomic.Uint64
	on    atomic.Bool // the timer is armed, or is about to be
	timer *time.Timer

	// The timer's.
	seen  uint64
	quiet int
}

// RunAside implements eventloop.Asider.
func (w *worker) RunAside(job func()) (ran, stays bool) {
	if !w.turning || w.stopping {
		return false, false
	}
	w.job = job
	w.yield(aside)
	stays, w.stays = w.stays, false
	w.setNow(w.clock.Now())
	return true, stays
}

// runAside runs what the coroutine wants to be run aside, and says whether this goroutine
// carries the worker afterwards.
func (w *worker) runAside() (carries bool) {
	job := w.job
	w.job = nil
	seq := w.aside.seq.Add(1)
	if !w.aside.on.Load() {
		w.watchAside()
	}
	returned := false
	defer func() {
		if carries = w.aside.seq.CompareAndSwap(seq, seq+1); returned {
			return
		}
		if v := recover(); v != nil {
			crash(v)
		}
		if carries { // a Goexit: this goroutine ends
			carries = false
			go w.carry(false)
		}
	}()
	job()
	returned = true
	// A coroutine must not be resumed by a goroutine that is locked to its thread.
	for range unlocks {
		runtime.UnlockOSThread()
	}
	return carries
}

func (w *worker) watchAside() {
	if !w.aside.on.Swap(true) {
		w.aside.timer.Reset(asideLimit)
	}
}

// checkAside takes the worker from its carrier if that is held up. The timer calls it.
func (w *worker) checkAside() {
	a := &w.aside
	seq := a.seq.Load()
	running := seq&1 != 0
	switch {
	case seq != a.seen:
		a.seen, a.quiet = seq, 0
	case running && a.seq.CompareAndSwap(seq, seq+1):
		w.stays = true
		go w.carry(false)
	default:
		if a.quiet++; a.quiet >= asideQuiet {
			a.quiet = 0
			a.on.Store(false)
			if a.seq.Load() == seq || a.on.Swap(true) {
				return
			}
		}
	}
	a.timer.Reset(asideLimit)
}
