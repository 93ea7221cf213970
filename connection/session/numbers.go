package session

import "github.com/asyncmsgr/asyncmsgr/connection/frame"

// numbers are the sequence numbers of one session (docs/PROTOCOL.md 3.2). They survive
// its transports, not the session.
type numbers struct {
	in    frame.Ack // in.Seq is in_seq, the last message received; an ACK as it would be sent
	hole  uint64    // highest seq of a frame that its sender aborted
	out   uint64    // out_seq: the last number given
	max   uint64    // highest seq ever encoded in this session
	acked uint64    // highest seq the peer acknowledged
}

// reset begins a new session.
func (n *numbers) reset() { *n = numbers{} }

// next is the number of the next message.
func (n *numbers) next() uint64 {
	n.out++
	return n.out
}

// takeOut takes a message that was encoded out of the numbering: those behind it have
// moved up by one.
func (n *numbers) takeOut() {
	n.out--
	n.max = n.out
}
