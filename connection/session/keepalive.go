package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// keepalive is what each side knows of the other's being alive (docs/PROTOCOL.md 3.7).
type keepalive struct {
	alive  time.Duration // when the peer last gave a sign of life: bytes, or room in a full socket
	sent   time.Duration // since when a KEEPALIVE2 is unanswered; 0: none
	stamp  frame.Stamp   // of the peer's KEEPALIVE2 that is to be answered
	want   bool          // a KEEPALIVE2 is to be sent
	reply  bool          // a KEEPALIVE2_ACK is to be sent
	queued bool          // the one that is to be answered has not left yet
}

// reset forgets what belongs to one transport. That a KEEPALIVE2 is wanted goes for the
// next one.
func (k *keepalive) reset() { k.reply, k.queued, k.sent = false, false, 0 }

// ask begins to wait for an answer, if that is not waited for already.
func (k *keepalive) ask(now time.Duration) {
	if k.sent == 0 {
		k.sent, k.queued = max(now, 1), true
	}
}

// answered ends the wait, also if other bytes that were encoded with the question have
// not left yet.
func (k *keepalive) answered() { k.sent, k.queued = 0, false }

// left tells that all that was encoded has left: the time for an answer that has not
// begun yet begins now.
func (k *keepalive) left(now time.Duration) {
	if k.queued && !k.want {
		k.queued, k.sent = false, max(now, 1)
	}
}

// Keepalive sends a KEEPALIVE2 soon.
func (s *Session) Keepalive(now time.Duration) {
	if s.state == StateClosed || s.state == StateStandby && !s.canDial() {
		return
	}
	s.wantKeepalive(now)
	s.wake(now)
}

// wantKeepalive has Fill send a KEEPALIVE2. On a ready session the time for the
// answer runs from here, and anew once it has left: a socket that takes nothing is no
// better than a peer that says nothing.
func (s *Session) wantKeepalive(now time.Duration) {
	s.ka.want = true
	if s.state == StateReady {
		s.ka.ask(now)
	}
}

// LastKeepaliveAck is the stamp of our last KEEPALIVE2 that the peer answered.
func (s *Session) LastKeepaliveAck() time.Time {
	k := s.rarely().lastKeepaliveAck
	return time.Unix(int64(k.Sec), int64(k.Nsec))
}

// readyKeepalive answers KEEPALIVE2 with the same stamp (spec 3.7).
func (s *Session) readyKeepalive(_ time.Duration, payload []byte) error {
	var f frame.Keepalive
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	s.ka.reply, s.ka.stamp = true, f.Stamp
	s.emit(OutKeepalive)
	return nil
}

func (s *Session) readyKeepaliveAck(_ time.Duration, payload []byte) error {
	var f frame.KeepaliveAck
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	s.ka.answered()
	s.needSeldom().lastKeepaliveAck = f.Stamp
	s.emit(OutKeepaliveAck)
	return nil
}

func (s *Session) fillKeepalives(now time.Duration, b *frame.Batch) {
	if s.ka.reply {
		s.ka.reply = false
		s.stream.enc.AppendControl(b, &frame.KeepaliveAck{Stamp: s.ka.stamp})
	}
	if s.ka.want {
		s.ka.want = false
		s.stream.enc.AppendControl(b, &frame.Keepalive{Stamp: s.stampOf(now)})
		if s.stuck() {
			return // nobody reads the answer
		}
		s.ka.ask(now)
	}
}

// stuck: this side does not read, for want of room. That is no evidence against the
// peer, whose answers lie unread.
func (s *Session) stuck() bool { return s.stream.paused && s.stream.charged >= 0 }

// askedFor is how long before IdleTimeout the peer is asked for a sign of life, and
// how long it then has at least: this side may not have been able to ask in time.
func (s *Session) askedFor() time.Duration {
	d := s.cfg.IdleTimeout / 2
	if _, timeout := s.cfg.keepalive(); timeout > 0 {
		d = min(d, timeout)
	}
	return d
}

// stuckInterval is how often a session that does not read says that it is alive.
func (s *Session) stuckInterval() time.Duration {
	interval, timeout := s.cfg.keepalive()
	if interval > 0 {
		return interval
	}
	return timeout / 3 // 0 or less: never
}
