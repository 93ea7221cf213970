package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// A message that the peer does not take, because it is over a limit there for example,
// breaks its connection, is sent again, and breaks the next one: without an end, and
// nothing behind it gets through. So the breaks of the message that waits longest for
// its acknowledgement are counted. After Config.RejectAfter of them it is taken out
// when the session goes on: the peer has then said that it has everything before the
// message and not the message itself, so the ones behind it move up by one number, and
// for the peer it has never been there. (A session that is reset instead would take
// along what is under way in the other direction.)
//
// A network that breaks connections one after the other looks the same for a while.
// Only what lasts for rejectTime is held against the message. And who refuses a message
// does so when he sees its header, which is the first thing that is sent once the session
// goes on: within a round trip, and the handshake took several of them. A connection
// that lives longer than that carried a part of the message, and its break is not the
// message's doing, however long the message takes and however often that happens.

const (
	// rejectTime is how long a message breaks connections, at least, before it is rejected.
	rejectTime = 5 * time.Second
	// refusalTime is how long after READY a refusal may take, beyond what the handshake took.
	refusalTime = 500 * time.Millisecond
)

// expectRefusal is called when the session becomes ready, of which the handshake began at
// that time.
func (s *Session) expectRefusal(now, began time.Duration) {
	if s.box.sent.len() > 0 && !s.policy.Lossy {
		s.needSeldom().refusedBy = now + max(now-began, 0) + refusalTime
	}
}

// countBreak is called for each fault, before the transport is given up.
func (s *Session) countBreak(now time.Duration, was State, err error) {
	if was != StateReady || s.policy.Lossy || s.box.sent.len() == 0 {
		return
	}
	x := s.box.sent.at(0)
	if x.end == 0 || ReasonOf(err) != msg.ReasonClosed {
		return // it was not sent, or it is not the peer that hung up
	}
	o := s.needSeldom()
	if o.suspect != x.seq || now >= o.refusedBy {
		s.forgetBreaks() // this one may be the first: the message was sent just now
		o.suspect, o.since = x.seq, now
	}
	o.breaks++
	o.breakErr = err
}

func (s *Session) forgetBreaks() {
	if o := s.seldom; o != nil {
		o.suspect, o.since, o.breaks, o.breakErr, o.reported = 0, 0, 0, nil, false
	}
}

// reject reports the message that broke its connection too often, when the session
// goes on, and takes it out unless that is not wanted.
func (s *Session) reject(now time.Duration) {
	limit, o := s.cfg.RejectAfter, s.rarely()
	if s.box.sent.len() == 0 || s.box.sent.at(0).seq != o.suspect {
		s.forgetBreaks() // it was taken after all
		return
	}
	if o.breaks < max(limit, -limit) || now-o.since < rejectTime || o.reported {
		return
	}
	m := s.box.sent.at(0).m
	why := &msg.RejectedError{
		Type: m.Type, TID: m.TID, Seq: o.suspect, Size: m.PayloadLen(), Attempts: o.breaks,
		Dropped: limit > 0, Err: o.breakErr,
	}
	s.emitErr(OutRejected, why)
	if limit < 0 {
		o.reported = true
		return
	}
	s.finish(s.box.sent.pop().m, why)
	for i := range s.box.sent.len() {
		s.box.sent.at(i).seq--
	}
	s.num.takeOut()
	s.forgetBreaks()
}
