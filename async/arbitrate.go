package async

import (
	"errors"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/planted"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// movesMax bounds how often an arbitrating connection follows an existing one
// to its worker, while that one is being replaced by others.
const movesMax = 8

var errMoves = errors.New("msgr: peer's connection keeps changing")

// arbitrate finds the session of a peer that was accepted and said who it is
// (msgr2 spec 3.5), on c's worker. An existing connection is looked at on its
// own worker only, so c goes there first. false: c was handed over.
func (m *Messenger) arbitrate(c *connection.Conn, moves int) bool {
	s := c.Session()
	if s.State() != session.StateArbitrating {
		return true // closed meanwhile
	}
	in, now := s.Incoming(), c.Worker().Now()
	if !in.Reconnect && m.reg.isDraining() {
		s.AnswerRefuse(now, msg.ErrShutdown)
		c.Answered()
		return true
	}
	if p := s.Policy(); !in.Reconnect && p.Server && p.Lossy && !p.RegisterLossyClients {
		s.AnswerAccept(now) // spec 3.5-3: no lookup, not registered
		c.Answered()
		return true
	}
	var ex *connection.Conn
	if in.Reconnect {
		ex = m.reg.lookup(in.Addrs)
	} else {
		ex = m.reg.claim(in.Addrs, c)
	}
	if ex == nil {
		m.execute(c, nil, in.Addrs, session.Arbitrate(in, nil, false))
		return true
	}
	if ex.Worker() != c.Worker() {
		if moves == movesMax {
			s.AnswerRefuse(now, errMoves)
			c.Answered()
			return true
		}
		c.MoveTo(ex.Worker(), func() { m.arbitrate(c, moves+1) })
		return false
	}
	existing := ex.Session().Existing()
	peerIsSmaller := in.Addrs.Msgr2().Compare(m.Addrs().Msgr2()) < 0
	m.execute(c, ex, in.Addrs, session.Arbitrate(in, &existing, peerIsSmaller))
	return true
}

// execute carries the verdict out on both connections.
func (m *Messenger) execute(c, ex *connection.Conn, addrs entity.AddrVec, v session.Verdict) {
	s, now := c.Session(), c.Worker().Now()
	m.log.Debug("arbitration", "conn", c, "existing", ex, "verdict", v)
	switch v.Action {
	case session.ActAccept:
		if ex != nil && m.reg.claim(addrs, c) != nil {
			// A closed one that is about to be forgotten stood there.
			s.AnswerRefuse(now, session.ErrStale)
			break
		}
		s.AnswerAccept(now)
	case session.ActStopAccept:
		ex.Session().StopReplaced()
		ex.Poke()
		if m.reg.claim(addrs, c) != nil {
			s.AnswerRefuse(now, session.ErrStale)
			break
		}
		s.AnswerAccept(now)
	case session.ActReplace:
		ex.TakeOver(c, v.Reset)
		return // c is no more
	case session.ActWait:
		s.AnswerWait()
		ex.Session().Keepalive(now)
		ex.Poke()
	case session.ActSendReset:
		if !planted.On(planted.HalfMadeGoesOn) && ex != nil && !v.Full && halfMade(s.Incoming(), ex) {
			ex.Session().Fault(now, session.ErrReplaced)
			ex.Poke()
		}
		s.AnswerReset(v.Full)
	case session.ActSendRetry:
		s.AnswerRetry(v.Seq)
	case session.ActSendRetryGlobal:
		s.AnswerRetryGlobal(v.Seq)
	case session.ActRefuse:
		if v.Probe {
			ex.Session().Keepalive(now)
			ex.Poke()
		}
		s.AnswerRefuse(now, v.Err)
	}
	c.Answered()
}

// halfMade says that the peer accepted our attempt to make the session it now
// wants to continue, but we have not heard of that yet (msgr2 spec 3.5,
// RECONNECT d). The attempt has to end here: should its SERVER_IDENT still come
// in, and messages behind it, the peer, told to begin anew, would send those
// messages again.
func halfMade(in session.Incoming, ex *connection.Conn) bool {
	e := ex.Session().Existing()
	return in.Reconnect && e.ServerCookie == 0 && e.ClientCookie == in.ClientCookie
}
