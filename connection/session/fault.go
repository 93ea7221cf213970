package session

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/planted"
)

// fault handles the loss of the transport, a bad frame or a timeout (msgr2 spec
// 3.6): what happens depends on the policy.
func (s *Session) fault(now time.Duration, err error) {
	if s.state == StateClosed {
		return
	}
	was := s.state
	if s.in.Seq > 0 && planted.On(planted.AcceptDuplicate) {
		s.in.Seq--
	}
	s.emitErr(OutFault, err)
	s.dropTransport()

	switch {
	case isPermanent(err), (s.policy.Lossy && !planted.On(planted.LossyReconnects) || s.disposable) && s.announced && !was.connecting():
		s.close(err)
		return
	case !s.announced:
		// A half-accepted connection nobody knows of disappears.
		s.state = StateClosed
		s.emitErr(OutClosed, err)
		return
	}

	idle := s.queue.n == 0 && s.sent.len() == 0 && !s.kaWant
	switch {
	case s.policy.Standby && idle && was != StateWait && was != StateBackoff,
		!s.canDial():
		s.state, s.deadline, s.backoff = StateStandby, 0, 0
	case was == StateReady && !s.fruitlessAgain(now):
		s.backoff = 0
		s.reconnect(now)
	default:
		s.retryLater(now)
	}
}

// fruitlessAgain says whether sessions with the peer keep breaking as soon as they
// are ready, without a message or an acknowledgement between. (The origin comes
// back at once each time: a message that the peer cannot bear, replayed each
// time, keeps both busy for ever.) The delay then grows as for a peer that cannot
// be reached.
func (s *Session) fruitlessAgain(now time.Duration) bool {
	if now >= s.deadline {
		s.fruitless = 0
	}
	n := s.fruitless
	s.fruitless = min(n+1, 32)
	if n == 0 {
		return false
	}
	s.backoff = 0
	for range n - 1 {
		s.backoff = s.nextBackoff()
	}
	return true
}

func (s *Session) nextBackoff() time.Duration {
	if s.backoff == 0 || planted.On(planted.BackoffFlat) {
		return s.cfg.InitialBackoff
	}
	return min(2*s.backoff, s.cfg.MaxBackoff)
}

// Fault gives the transport up, if there is one, as if the network had failed.
func (s *Session) Fault(now time.Duration, err error) {
	if s.up || s.state == StateConnecting {
		s.fault(now, err)
	}
}

// close ends the session by a fault: everything queued is dropped and the user
// hears of it.
func (s *Session) close(err error) {
	reason := fmt.Errorf("%w: %w", msg.ErrReset, err)
	s.state, s.deadline = StateClosed, 0
	s.drop(reason)
	s.emitErr(OutClosed, reason)
}

// retryLater waits before the next attempt: exponential backoff with jitter.
func (s *Session) retryLater(now time.Duration) {
	s.backoff = s.nextBackoff()
	s.state = StateBackoff
	if s.deadline = now + s.jitter(s.backoff); planted.On(planted.BackoffNone) {
		s.deadline = now
	}
}

// lostRace waits for the peer's own connection, which won; if it does not come
// we try again after the longest backoff (spec 3.3, WAIT).
func (s *Session) lostRace(now time.Duration) {
	s.emitErr(OutFault, ErrLostRace)
	s.dropTransport()
	s.state = StateWait
	s.backoff = s.cfg.MaxBackoff
	s.deadline = now + s.jitter(s.backoff)
	if planted.On(planted.WaitForever) {
		s.deadline = 0
	}
}

// jitter spreads d over [d/2, d], so that many peers of one lost server do not
// come back at the same moment.
func (s *Session) jitter(d time.Duration) time.Duration {
	half := d / 2
	if half <= 0 {
		return d
	}
	return half + time.Duration(s.env.Rand64()%uint64(half+1))
}

// resetSession forgets the session because the peer lost its side of it: what
// was queued is dropped, and the user hears of it.
func (s *Session) resetSession() {
	if !planted.On(planted.ResetSilent) {
		s.emit(OutRemoteReset)
	}
	if !planted.On(planted.ResetQueueKept) {
		s.drop(msg.ErrRemoteReset)
	}
	if !planted.On(planted.ResetCookieKept) {
		s.clientCookie = 0
	}
	s.serverCookie = 0
	s.connectSeq, s.peerGlobalSeq = 0, 0
	s.in.Seq, s.outSeq, s.ackedSeq, s.maxSeq = 0, 0, 0, 0
	s.holeSeq, s.crossed = 0, 0
	s.ackSent()
}
