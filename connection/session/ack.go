package session

import "time"

// What was received over a lossless session has to be acknowledged (docs/PROTOCOL.md 3.7):
// by the header of the next message, or by an ACK of its own if there is none.

// ackHeldBytes is the payload up to which an ACK may be held back: the peer keeps what
// is not acknowledged.
const ackHeldBytes = 256 << 10

// OwesAck says whether something was received that the peer does not know of.
func (s *Session) OwesAck() bool { return s.ackOwed && !s.policy.Lossy }

// owe counts a message of size payload bytes that is to be acknowledged.
func (s *Session) owe(now time.Duration, size int64) {
	if !s.ackOwed {
		s.ackOwed, s.ackSince = true, now
	}
	s.ackBytes += uint32(min(size, ackHeldBytes)) // not past the range
	s.ackBytes = min(s.ackBytes, 2*ackHeldBytes)
}

// ackSent forgets what was owed: the peer is told, or has another session.
func (s *Session) ackSent() {
	s.ackOwed, s.ackHeld, s.ackBytes = false, false, 0
}

// HoldAck, with hold, keeps the ACK back that is owed, since answers which will carry
// it are likely soon: until then, until HoldAck without hold, and at most for
// Config.AckDelay after the first message or until ackHeldBytes are owed. (The origin
// sends it as soon as it has nothing else to send, a write for itself.)
func (s *Session) HoldAck(now time.Duration, hold bool) {
	s.ackHeld = hold && s.OwesAck() && s.ackBytes < ackHeldBytes && now < s.ackSince+s.cfg.AckDelay
}
