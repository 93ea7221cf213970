//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import "time"

// sweep keeps account of a worker's looks into its sockets, for the sake of its timers:
// a deadline that bytes in a socket would have moved must not be believed before that
// socket was looked at. So timers fire by the time at which the last sweep began. A sweep
// is one look that found all ready sockets, or several looks if these were many.
//
// A worker that has been held up (by a callback, for want of CPU, by SIGSTOP) makes
// one sweep more before it believes any deadline, after the other workers of its
// poller had their turn: its peers may have been held up for the same reason.
type sweep struct {
	due   time.Duration // of the last look, or the deadline that the worker sleeps for
	from  time.Duration // when the sweep under way began
	left  int           // how many looks it still needs at most
	seen  time.Duration // when the last sweep that counts began
	late  bool          // held up since the sweep under way began, or right before
	again bool          // a sweep is to be repeated for that
}

const (
	// heldUp is by how much later than due a worker looks that has been held up.
	heldUp = 100 * time.Millisecond
	// tickMin is the smallest step of Now within a round.
	tickMin = time.Millisecond
)

// begin is called before each look, with the number of sockets. A sweep ends with the
// first look that does not fill its batch, or when each socket could have had its turn:
// epoll goes round all ready sockets before it reports one of them again.
func (s *sweep) begin(now time.Duration, sockets int) {
	s.check(now)
	s.due = now
	if s.left == 0 {
		s.from, s.left = now, 1+sockets/eventBatch
	}
}

// fetched tells how many events a look brought.
func (s *sweep) fetched(events int) {
	if s.left--; events < eventBatch {
		s.left = 0
	}
}

// end is called when the events of a look have been handled.
func (s *sweep) end(now time.Duration) {
	s.check(now)
	switch {
	case s.left > 0:
	case s.late && !s.again:
		s.late, s.again = false, true
	default:
		s.late, s.again = false, false // once more is enough: timers must fire
		s.seen = s.from
	}
}

func (s *sweep) check(now time.Duration) {
	if now-s.due >= heldUp {
		s.late = true
	}
}
