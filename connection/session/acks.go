package session

import "time"

// What was received over a lossless session has to be acknowledged (docs/PROTOCOL.md 3.7):
// by the header of the next message, or by an ACK of its own if there is none.

// ackHeldBytes is the payload up to which an ACK may be held back: the peer keeps what
// is not acknowledged.
const ackHeldBytes = 256 << 10

// acks is what is owed to the peer.
type acks struct {
	owed  bool          // something was received that is not yet acknowledged
	held  bool          // see HoldAck
	bytes uint32        // payload that is owed, at most 2*ackHeldBytes
	since time.Duration // when the first message of it was received
}

// reset forgets what was owed: the peer is told, or has another session.
func (a *acks) reset() { a.owed, a.held, a.bytes = false, false, 0 }

// owe counts a message of size payload bytes that is to be acknowledged.
func (a *acks) owe(now time.Duration, size int64) {
	if !a.owed {
		a.owed, a.since = true, now
	}
	a.bytes += uint32(min(size, ackHeldBytes)) // not past the range
	a.bytes = min(a.bytes, 2*ackHeldBytes)
}

// OwesAck says whether something was received that the peer does not know of.
func (s *Session) OwesAck() bool { return s.acks.owed && !s.policy.Lossy }

// HoldAck, with hold, keeps the ACK back that is owed, since answers which will carry
// it are likely soon: until then, until HoldAck without hold, and at most for
// Config.AckDelay after the first message or until ackHeldBytes are owed. (The origin
// sends it as soon as it has nothing else to send, a write for itself.)
func (s *Session) HoldAck(now time.Duration, hold bool) {
	a := &s.acks
	a.held = hold && s.OwesAck() && a.bytes < ackHeldBytes && now < a.since+s.cfg.AckDelay
}
