//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// activity is what a worker has done; the worker's.
type activity struct{ wakeups, rounds, events, tasks uint64 }

// shown is the same for everybody, as of when the worker fell asleep: a store that others can
// see costs more than a plain one, and is not made in each round.
type shown struct{ wakeups, rounds, events, tasks atomic.Uint64 }

func (s *shown) show(a *activity) {
	s.wakeups.Store(a.wakeups)
	s.rounds.Store(a.rounds)
	s.events.Store(a.events)
	s.tasks.Store(a.tasks)
}

// Activity implements eventloop.Watched.
func (s *stack) Activity(i int) eventloop.Activity {
	w := s.workers[i]
	a := eventloop.Activity{
		Wakeups: w.shown.wakeups.Load(), Rounds: w.shown.rounds.Load(), Events: w.shown.events.Load(),
		Tasks: w.shown.tasks.Load(), Posted: w.mailbox.Len(),
	}
	if at := w.roundTime.Load(); at != 0 {
		a.InRound = max(s.clock.Now()-time.Duration(at), 0)
	}
	return a
}
