package stream

import "sync/atomic"

// Stats is a snapshot: what a Mux counted since New, and what it holds now.
type Stats struct {
	// Dialed and Accepted are streams that came up, Refused what peers dialled in vain.
	Dialed, Accepted, Refused uint64
	// Reset are streams that ended with their session.
	Reset uint64
	// MessagesSent, BytesSent, MessagesReceived and BytesReceived are of DATA.
	MessagesSent, BytesSent, MessagesReceived, BytesReceived uint64
	// Coalesced are messages received that were copied behind others, being small.
	Coalesced uint64
	// Dropped are bytes received for streams that were closed on this side.
	Dropped uint64
	// Unknown are messages for streams that do not exist, Protocol breaches of the protocol
	// by peers.
	Unknown, Protocol uint64
	// SendWaits are pieces of writes that waited for room in the send queue, Postponed
	// other messages that did. AnswersDropped are refusals for which there was no room to
	// wait either.
	SendWaits, Postponed, AnswersDropped uint64

	// Streams are what is in the tables now: those that not both ends have closed. Unread are
	// the bytes received on them and not read, and Promised the windows of all streams
	// together, also of closed ones that are still to be read.
	Streams          int
	Unread, Promised int64
}

// counts is what Stats has of atomic numbers.
type counts struct {
	dialed, accepted, refused, reset      atomic.Uint64
	messagesSent, bytesSent               atomic.Uint64
	messagesReceived, bytesReceived       atomic.Uint64
	coalesced, dropped, unknown, protocol atomic.Uint64
	sendWaits, postponed, answersDropped  atomic.Uint64
}

// Stats returns a snapshot; the numbers are of slightly different moments.
func (x *Mux) Stats() Stats {
	n := &x.count
	st := Stats{
		Dialed: n.dialed.Load(), Accepted: n.accepted.Load(), Refused: n.refused.Load(), Reset: n.reset.Load(),
		MessagesSent: n.messagesSent.Load(), BytesSent: n.bytesSent.Load(),
		MessagesReceived: n.messagesReceived.Load(), BytesReceived: n.bytesReceived.Load(),
		Coalesced: n.coalesced.Load(), Dropped: n.dropped.Load(),
		Unknown: n.unknown.Load(), Protocol: n.protocol.Load(),
		SendWaits: n.sendWaits.Load(), Postponed: n.postponed.Load(), AnswersDropped: n.answersDropped.Load(),
		Promised: x.promised.Load(),
	}
	for _, s := range x.all() {
		for _, c := range s.unordered() {
			st.Streams++
			c.mu.Lock()
			st.Unread += int64(c.in.unread())
			c.mu.Unlock()
		}
	}
	return st
}
