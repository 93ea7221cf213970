package async

import (
	"errors"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// movesMax bounds how often an arbitrating connection follows an existing one
// to its worker, while that one is being replaced by others.
const movesMax = 8

var errMoves = errors.New("msgr: peer's connection keeps changing")

// arbitrate finds the connection of a peer that was accepted and said who it is, and has
// the two sessions settle it (docs/PROTOCOL.md 3.5); on c's worker. An existing connection is
// looked at on its own worker only, so c goes there first.
func (m *Messenger) arbitrate(c *connection.Conn, moves int) {
	s := c.Session()
	if s.State() != session.StateArbitrating {
		return // closed meanwhile
	}
	in, now := s.Incoming(), c.Worker().Now()
	if !in.Reconnect && m.reg.Draining() {
		s.Refuse(now, msg.ErrShutdown)
		c.Answered()
		return
	}
	var ex *connection.Conn
	switch {
	case in.Unlisted:
	case in.Reconnect:
		ex = m.reg.Lookup(in.Addrs)
	default:
		ex = m.reg.Claim(in.Addrs, c)
	}
	switch {
	case ex == nil || ex.Worker() == c.Worker():
		m.settle(c, ex)
	case moves == movesMax:
		s.Refuse(now, errMoves)
		c.Answered()
	default:
		c.MoveTo(ex.Worker(), func() { m.arbitrate(c, moves+1) })
	}
}

// settle has c's session settle it with that of ex, which may be nil, and does what that
// leaves to do: registers c, or gives its transport to ex. Both are on the same worker.
func (m *Messenger) settle(c, ex *connection.Conn) {
	s, now := c.Session(), c.Worker().Now()
	addrs := s.Incoming().Addrs
	switch outcome := c.Settle(ex); {
	case outcome == session.Replace:
		ex.TakeOver(c)
		return // c is no more
	case outcome == session.Register && m.reg.Claim(addrs, c) == nil:
		s.Accept(now)
	case outcome == session.Register:
		s.Refuse(now, session.ErrStale)
	}
	c.Answered()
}
