package session

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Deadline is when HandleTimeout wants to be called; ok is false for never.
func (s *Session) Deadline() (at time.Duration, ok bool) {
	at, ok = s.nextDeadline()
	return at, ok && at < Forever
}

func (s *Session) nextDeadline() (at time.Duration, ok bool) {
	switch s.state {
	case StateReady:
		at, ok = s.readyDeadline()
	case StateClosed, StateNone:
		return 0, false
	default:
		at, ok = s.deadline, s.deadline != 0
	}
	if q := s.rarely().soonest; q != 0 && (!ok || q < at) {
		return q, true
	}
	return at, ok
}

func (s *Session) readyDeadline() (at time.Duration, ok bool) {
	sooner := func(d time.Duration) {
		if !ok || d < at {
			at, ok = d, true
		}
	}
	c := s.cfg
	interval, timeout := c.keepalive()
	if s.acks.held {
		sooner(s.acks.since + c.AckDelay)
	}
	if s.stuck() {
		if i := s.stuckInterval(); i > 0 {
			sooner(s.ka.alive + i)
		}
		return at, ok
	}
	switch {
	case s.ka.sent != 0:
		if timeout > 0 {
			sooner(max(s.ka.sent, s.ka.alive) + timeout)
		}
		if c.IdleTimeout > 0 {
			sooner(max(s.ka.sent+s.askedFor(), s.ka.alive+c.IdleTimeout))
		}
	default:
		if interval > 0 {
			sooner(s.ka.alive + interval)
		}
		if c.IdleTimeout > 0 {
			sooner(s.ka.alive + c.IdleTimeout - s.askedFor())
		}
	}
	return at, ok
}

// HandleTimeout acts on deadlines that have passed. Calling it early is harmless.
func (s *Session) HandleTimeout(now time.Duration) {
	at, ok := s.Deadline()
	if !ok || now < at {
		return
	}
	if q := s.rarely().soonest; q != 0 && now >= q {
		s.Sweep(now)
		if at, ok = s.Deadline(); !ok || now < at {
			return
		}
	}
	switch s.state {
	case StateBackoff, StateWait:
		s.reconnect(now)
	case StateReady:
		s.readyTimeout(now)
	case StateStandby:
		s.close(fmt.Errorf("%w within %v", msg.ErrPeerAbsent, s.cfg.StandbyTimeout))
	default:
		s.fault(now, ErrReadyTimeout)
	}
}

func (s *Session) readyTimeout(now time.Duration) {
	c := s.cfg
	if s.acks.held && now >= s.acks.since+c.AckDelay {
		s.acks.held = false
		return
	}
	if s.stuck() {
		// The peer learns that this side lives, and is not asked for anything.
		s.ka.alive, s.ka.want = now, true
		return
	}
	switch {
	case s.ka.sent == 0:
		s.wantKeepalive(now)
	case c.IdleTimeout > 0 && now >= max(s.ka.sent+s.askedFor(), s.ka.alive+c.IdleTimeout):
		s.fault(now, ErrIdleTimeout)
	default:
		s.fault(now, ErrKeepaliveTimeout)
	}
}
