package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// notYetDelay is how long it is until the next attempt while the authentication method
// cannot begin yet (auth.ErrNotYet), and notYetMax how many such attempts there are before
// that is a failure like any other.
const (
	notYetDelay = 100 * time.Millisecond
	notYetMax   = 50
)

// fault handles the loss of the transport, a bad frame or a timeout (docs/PROTOCOL.md
// 3.6): what happens depends on the policy.
func (s *Session) fault(now time.Duration, err error) {
	if s.state == StateClosed {
		return
	}
	was := s.state
	lossy := s.policy.Lossy || s.disposable
	ends := isPermanent(err) || lossy && s.announced && !was.connecting()
	if s.stream.hs == nil || !s.stream.hs.refused || ReasonOf(err) != msg.ReasonClosed {
		s.put(Output{Kind: OutFault, State: was, GoesOn: was == StateReady && !ends, Err: err})
	}
	s.countBreak(now, was, err)
	if was == StateReady {
		s.noteLife(now)
	}
	s.dropTransport()

	switch {
	case ends:
		if was.connecting() {
			s.failed(was, err, -1)
		}
		s.close(err)
		return
	case !s.announced:
		// A half-accepted connection nobody knows of disappears.
		s.state = StateClosed
		s.emitErr(OutClosed, err)
		return
	}

	idle := s.box.queue.n == 0 && s.box.sent.len() == 0 && !s.ka.want
	switch {
	case !s.canDial():
		s.awaitPeer(now)
	case was == StateAuthConnecting && errors.Is(err, auth.ErrNotYet) && s.rarely().notYet < notYetMax:
		// Nothing has failed: the user hears of it when it goes on for long.
		s.needSeldom().notYet++
		s.state, s.deadline = StateBackoff, now+s.jitter(min(notYetDelay, s.cfg.MaxBackoff))
	case s.policy.Standby && idle && was != StateWait && was != StateBackoff:
		s.state, s.deadline = StateStandby, 0
		s.setBackoff(0)
		switch {
		case was.connecting():
			s.nextTarget(was)
			s.failed(was, err, -1)
		case was == StateReady && s.rarely().forgotten > 1:
			s.seldom.notBefore = now + s.jitter(s.backoffAfter(s.seldom.forgotten-1))
			s.failed(was, err, -1)
		}
	case was == StateReady && !s.fruitlessAgain(now):
		s.setBackoff(0)
		s.attempts = 0
		s.reconnect(now)
	default:
		s.retryLater(now)
		switch {
		case was == StateReady:
			s.failed(was, err, s.deadline-now)
		case was.connecting():
			s.nextTarget(was)
			s.failed(was, err, s.deadline-now)
		}
	}
}

// failed tells of an attempt of ours that did not lead to a session of any use. The
// next one is begun after retry, or never, if that is negative.
func (s *Session) failed(was State, err error, retry time.Duration) {
	reason := ReasonOf(err)
	switch {
	case errors.Is(err, ErrReplaced):
		return // the peer's own attempt came first
	case was == StateReady && s.rarely().forgotten > 1: // once is a peer that restarted
		reason = msg.ReasonDisplaced
		err = fmt.Errorf("%w, %d times in a row: %w", ErrForgotten, s.rarely().forgotten, err)
	case was == StateReady:
		reason = msg.ReasonBroken
	}
	s.emitErr(OutConnectFailed, &msg.ConnectError{
		Reason: reason, Attempt: int(s.attempts), State: was.String(), Step: was.Step(), Retry: retry, Err: err,
	})
}

// nextTarget goes on to another address of the peer, if nobody answered at this one.
func (s *Session) nextTarget(was State) {
	if was != StateConnecting && was != StateBannerConnecting {
		return
	}
	all, now := s.targets(), s.Target().AddrPort
	for i, a := range all {
		if a.AddrPort == now {
			s.setTarget(all[(i+1)%len(all)])
			return
		}
	}
}

// targets are the addresses at which the peer can be dialled, those first that were
// asked for.
func (s *Session) targets() (all []entity.Addr) {
	for _, a := range s.peerAddrs {
		if a.Type == entity.AddrMsgr2 && a.AddrPort.Port() != 0 && !a.AddrPort.Addr().IsUnspecified() {
			all = append(all, a)
		}
	}
	return all
}

// awaitPeer waits for a peer that this side cannot call, for a limited time.
func (s *Session) awaitPeer(now time.Duration) {
	s.state, s.deadline = StateStandby, 0
	s.setBackoff(0)
	if t := s.cfg.StandbyTimeout; t > 0 {
		s.deadline = now + t
	}
	s.emit(OutAbsent)
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
	n := int(s.fruitless)
	s.fruitless = min(s.fruitless+1, 32)
	// Nor is it of use when the other direction works, or when a new session replaces
	// each one that broke.
	n = max(n, min(s.rarely().breaks-1, 32), s.rarely().forgotten-1)
	if n == 0 {
		return false
	}
	s.setBackoff(s.backoffAfter(n - 1))
	return true
}

// noteLife is told of the end of a ready session: whether it lived for a while.
func (s *Session) noteLife(now time.Duration) {
	switch o := s.seldom; {
	case now < s.deadline:
		s.needSeldom().short = true
	case o != nil:
		o.short, o.forgotten = false, 0
	}
}

// countForgotten is told that the peer does not know the session. When that happens to
// one short session after the other, somebody else keeps taking its place: another
// connection of this process, for example, with a peer that knows its clients by their
// address.
func (s *Session) countForgotten() {
	o := s.needSeldom()
	if !o.short {
		o.forgotten = 0
	}
	o.forgotten = min(o.forgotten+1, 32)
}

// backoffAfter is the delay after n attempts, 0 after none.
func (s *Session) backoffAfter(n int) (d time.Duration) {
	for range n {
		d = s.longer(d)
	}
	return d
}

// longer is the delay that follows d.
func (s *Session) longer(d time.Duration) time.Duration {
	if d == 0 {
		return s.cfg.InitialBackoff
	}
	return min(2*d, s.cfg.MaxBackoff)
}

// setBackoff makes d the delay before the last attempt; the next one is longer. 0: there
// was none.
func (s *Session) setBackoff(d time.Duration) {
	if d != s.rarely().backoff {
		s.needSeldom().backoff = d
	}
}

// Fault gives the transport up, if there is one, as if the network had failed.
func (s *Session) Fault(now time.Duration, err error) {
	if s.stream.up || s.state == StateConnecting {
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
	s.state = StateBackoff
	s.wait(now, s.longer(s.rarely().backoff))
}

// lostRace waits for the peer's own connection, which won; if it does not come
// we try again after the longest backoff (spec 3.3, WAIT).
func (s *Session) lostRace(now time.Duration) {
	s.put(Output{Kind: OutFault, State: s.state, Err: ErrLostRace})
	s.dropTransport()
	s.state = StateWait
	s.wait(now, s.cfg.MaxBackoff)
}

// wait makes the next attempt due after about d.
func (s *Session) wait(now, d time.Duration) {
	s.setBackoff(d)
	s.deadline = now + s.jitter(d)
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
	s.emit(OutRemoteReset)
	s.drop(msg.ErrRemoteReset)
	s.id.reset()
	s.num.reset()
	s.acks.reset()
	s.forgetBreaks()
}
