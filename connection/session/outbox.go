package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// outbox is what the user has given to send and has not heard the end of.
type outbox struct {
	queue  outQueue // not encoded yet
	sent   fifo     // encoded: unacked (lossless), or not wholly written (lossy)
	resend int      // sent[resend:] must be encoded again on this transport

	// These three are not yet taken by TakeFilled.
	filledBytes    uint64
	filledMessages uint32
	filledReplayed uint32
}

// rewind is for a transport that is lost: whatever was encoded must be encoded again.
func (o *outbox) rewind() {
	for i := range o.sent.len() {
		o.sent.at(i).end = 0
	}
	o.resend = 0
}

// renumber gives what was encoded and not acknowledged in an earlier session the numbers
// of a new one, in which it is sent again before anything else.
func (o *outbox) renumber(n *numbers) {
	for i := range o.sent.len() {
		o.sent.at(i).seq = n.next()
	}
	o.rewind()
}

// reset drops everything: done is told of each message, those first that were encoded.
func (o *outbox) reset(done func(*msg.Message)) {
	for o.sent.len() > 0 {
		done(o.sent.pop().m)
	}
	o.resend = 0
	for o.queue.n > 0 {
		done(o.queue.pop())
	}
	o.queue, o.sent = outQueue{}, fifo{}
}

// drop finishes everything that waits for sending or acknowledgement.
func (s *Session) drop(reason error) {
	s.box.reset(func(m *msg.Message) { s.finish(m, reason) })
}

// Sweep drops what was cancelled, or expired, while it waited to be sent.
func (s *Session) Sweep(now time.Duration) {
	soonest := s.box.queue.sweep(now, s.finish)
	if s.seldom != nil {
		s.seldom.soonest = soonest
	}
}

// Filled counts what Fill encoded.
type Filled struct{ Messages, Bytes, Replayed uint64 }

// TakeFilled returns what was encoded since the last call.
func (s *Session) TakeFilled() Filled {
	f := Filled{Messages: uint64(s.box.filledMessages), Bytes: s.box.filledBytes,
		Replayed: uint64(s.box.filledReplayed)}
	s.box.filledMessages, s.box.filledBytes, s.box.filledReplayed = 0, 0, 0
	return f
}
