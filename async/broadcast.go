package async

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// Broadcast sends x over each of conns, and returns at once, with those over which it is
// not sent: nil if all accepted it. For each of the others it is as if x had been sent
// over it alone, behind what was sent there before: x has a sequence number there, waits
// by its priority, is sent again after a reconnection if the peer has not acknowledged it,
// counts in full in the bounds of the send queue (Config.SendTotalBytes too, though the
// connections share the payload: memory is less than what counts), and Message.Deadline
// holds. One more connection costs a write, and none waits for another: the payload is not
// copied (but for Messenger.Loopback), its checksum is computed once, and a worker is woken
// once for all of its connections. Of two broadcasts at the same time the one may come
// first over one connection, and the other over another.
//
// A Refusal has the error that Send would have returned, with ErrForeign for a connection
// of another messenger and for nil. A connection that stands in conns twice gets x twice.
// conns is not kept.
//
// x and its slices are the messenger's until the last of the sendings has ended: that is
// when a msg.BroadcastNotifier is told, and when a message made by msg.New, or one with
// ReleaseAfterSend, is released. (Who writes to them before that makes peers refuse what they
// get, whose checksum is an earlier one.)
//
// Before that, Message.Notify and HandleUndeliverable are told of each connection by
// itself, with x as the message, from several workers at a time and possibly before
// Broadcast has returned, but not by it. If all of conns refuse x it is the caller's, as after a Send that
// failed. A broadcast cannot be cancelled (Connection.Cancel says false).
//
// Any goroutine may call it, callbacks included; it never blocks.
func (m *Messenger) Broadcast(conns []msg.Connection, x *msg.Message) (refused []msg.Refusal) {
	m.broadcasts.Add(1)
	defer m.broadcasts.Add(-1)
	b := connection.NewBroadcast(&m.shared)
	if err := b.Take(x); err != nil {
		for i, c := range conns {
			refused = append(refused, msg.Refusal{Index: i, Conn: c, Err: err})
		}
		return refused
	}
	var last msg.Connection
	for i, c := range conns {
		err := msg.ErrForeign
		switch c := c.(type) {
		case *connection.Conn:
			if c != nil && c.Shared() == &m.shared {
				err = b.Send(c)
			}
		case *loopback:
			if c == m.loop {
				err = b.SendLoopback(&c.Loopback)
			}
		}
		if err != nil {
			refused = append(refused, msg.Refusal{Index: i, Conn: c, Err: err})
			continue
		}
		last = c
	}
	b.Post(m.loop.w, func(r any) { m.userPanicked(last, r, nil) })
	return refused
}
