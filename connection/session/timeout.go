package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/planted"
)

// Deadline is when HandleTimeout wants to be called; ok is false for never.
func (s *Session) Deadline() (at time.Duration, ok bool) {
	switch s.state {
	case StateReady:
		at, ok = s.readyDeadline()
		return at, ok
	case StateClosed, StateStandby, StateNone:
		return 0, false
	default:
		return s.deadline, s.deadline != 0
	}
}

func (s *Session) readyDeadline() (at time.Duration, ok bool) {
	min := func(d time.Duration) {
		if !ok || d < at {
			at, ok = d, true
		}
	}
	if s.cfg.IdleTimeout > 0 {
		min(s.lastRead + s.cfg.IdleTimeout)
	}
	if s.ackHeld {
		min(s.ackSince + s.cfg.AckDelay)
	}
	switch {
	case s.kaSent != 0:
		if s.cfg.KeepaliveTimeout > 0 && !planted.On(planted.KeepaliveKept) {
			min(max(s.kaSent, s.lastRead) + s.cfg.KeepaliveTimeout)
		}
	case s.cfg.KeepaliveInterval > 0:
		min(s.lastRead + s.cfg.KeepaliveInterval)
	}
	return at, ok
}

// HandleTimeout acts on deadlines that have passed. Calling it early is harmless.
func (s *Session) HandleTimeout(now time.Duration) {
	at, ok := s.Deadline()
	if !ok || now < at {
		return
	}
	switch s.state {
	case StateBackoff, StateWait:
		s.reconnect(now)
	case StateReady:
		s.readyTimeout(now)
	default:
		s.fault(now, ErrReadyTimeout)
	}
}

func (s *Session) readyTimeout(now time.Duration) {
	c := s.cfg
	switch {
	case s.ackHeld && now >= s.ackSince+c.AckDelay:
		s.ackHeld = false
	case s.paused && s.charged >= 0:
		// It is this side that does not read: no evidence against the peer.
		s.lastRead = now
	case c.IdleTimeout > 0 && now >= s.lastRead+c.IdleTimeout:
		s.fault(now, ErrIdleTimeout)
	case s.kaSent != 0 && c.KeepaliveTimeout > 0 && now >= max(s.kaSent, s.lastRead)+c.KeepaliveTimeout:
		s.fault(now, ErrKeepaliveTimeout)
	case s.kaSent == 0 && c.KeepaliveInterval > 0 && now >= s.lastRead+c.KeepaliveInterval:
		s.wantKeepalive(now)
	}
}
