package session

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// How a connection race is settled (docs/PROTOCOL.md 3.5), from its beginning to its end:
//
//   - An accepted peer has said who it is: its session emits OutArbitrate and takes no
//     bytes until it is settled.
//   - The shell looks for the session that stands under the peer's addresses (see
//     Incoming), and sees to it that nobody else touches either session.
//   - Settle decides, by Arbitrate, and carries the verdict out on both sessions.
//   - The shell does what the Outcome says, which is about the registry and transports
//     only, and then takes the outputs of both sessions.

// arbitrate begins it: the session pauses.
func (s *Session) arbitrate(in Incoming) {
	in.PeerType, in.Auth, in.Proved = s.peerType, s.authPeer(), s.authProved
	p := s.policy
	in.Unlisted = !in.Reconnect && p.Server && p.Lossy && !p.RegisterLossyClients
	s.stream.hs.incoming, s.stream.hs.outcome = in, 0
	s.state = StateArbitrating
	s.stream.paused = true
	s.emit(OutArbitrate)
}

// Incoming returns what the peer asked for; valid in StateArbitrating.
func (s *Session) Incoming() Incoming { return s.stream.hs.incoming }

// Outcome is what Settle leaves to the shell.
type Outcome uint8

// The outcomes.
const (
	// Keep: who is registered stays registered.
	Keep Outcome = iota + 1
	// Register: the peer gets a new session. The shell registers the accepted one under
	// the peer's addresses, and calls Accept; or Refuse, if another has come first.
	Register
	// Replace: the existing session goes on with the accepted one's transport. The shell
	// moves the transport and calls TakeOver.
	Replace
)

var outcomeNames = [...]string{"?", "keep", "register", "replace"}

func (o Outcome) String() string { return outcomeNames[o] }

// Judge is the verdict on s, an arbitrating session, beside ex, the session that stands
// under the peer's addresses, or nil. It changes nothing.
func (s *Session) Judge(ex *Session) Verdict {
	in := s.Incoming()
	if ex == nil {
		return Arbitrate(in, nil, false)
	}
	existing := ex.Existing()
	return Arbitrate(in, &existing, in.Addrs.Msgr2().Compare(s.env.Addrs().Msgr2()) < 0)
}

// Settle judges s and ex, and carries the verdict out on both. ex is nil also for a peer
// that is Unlisted.
func (s *Session) Settle(now time.Duration, ex *Session) Outcome {
	if s.state != StateArbitrating {
		panic(fmt.Sprintf("session: settled in %s", s.state))
	}
	v := s.Judge(ex)
	switch v.Action {
	case ActAccept:
		if s.stream.hs.outcome = Register; !s.stream.hs.incoming.Unlisted {
			return Register
		}
		s.Accept(now)
	case ActStopAccept:
		ex.stopReplaced()
		s.stream.hs.outcome = Register
		return Register
	case ActReplace:
		s.stream.hs.outcome, s.stream.hs.lost = Replace, v.Reset
		return Replace
	case ActWait:
		ex.Keepalive(now)
		s.answer(&frame.Wait{})
	case ActSendReset:
		if ex != nil && !v.Full && ex.halfMade(s.stream.hs.incoming) {
			ex.Fault(now, ErrReplaced)
		}
		s.answer(&frame.SessionReset{Full: v.Full})
	case ActSendRetry:
		s.answer(&frame.SessionRetry{ConnectSeq: v.Seq})
	case ActSendRetryGlobal:
		s.answer(&frame.SessionRetryGlobal{GlobalSeq: v.Seq})
	case ActRefuse:
		if v.Probe {
			ex.Keepalive(now)
		}
		s.Refuse(now, v.Err)
	}
	return Keep
}

// halfMade says that the peer accepted our attempt to make the session it now wants to
// continue, but we have not heard of that yet (spec 3.5, RECONNECT d). The attempt has to
// end here: should its SERVER_IDENT still come in, and messages behind it, the peer, told
// to begin anew, would send those messages again.
func (s *Session) halfMade(in Incoming) bool {
	return in.Reconnect && !s.id.established() && s.id.clientCookie == in.ClientCookie
}

// stopReplaced ends an existing lossy session because its peer came back.
func (s *Session) stopReplaced() {
	if s.state != StateClosed {
		s.dropTransport()
		s.close(ErrReplaced)
	}
}

// answer keeps reading on the same connection, where the connector answers
// (spec 3.5); the handshake's deadline bounds how long.
func (s *Session) answer(c frame.Control) {
	s.state, s.stream.paused = StateSessionAccepting, false
	s.queueControl(c)
}

// settled is the end of the arbitration of s with that outcome.
func (s *Session) settled(o Outcome) {
	if s.state != StateArbitrating || s.stream.hs.outcome != o {
		panic(fmt.Sprintf("session: %s in %s", o, s))
	}
	s.stream.paused = false
}

// Accept makes the arbitrating session the peer's new session, after Register.
func (s *Session) Accept(now time.Duration) {
	s.settled(Register)
	// A client that does not listen cannot be called back.
	s.callable = s.peerAddrs.Msgr2().AddrPort.Port() != 0
	s.serverIdent(now)
}

// Refuse closes the arbitrating connection, whatever it asked for. If it was closed
// meanwhile nothing happens.
func (s *Session) Refuse(now time.Duration, err error) {
	if s.state == StateArbitrating {
		s.fault(now, err)
	}
}

// TakeOver makes s, the existing session of the peer, go on with the transport of in,
// which Settle told to Replace it and which is over afterwards. The shell closes the
// transport of s, if it has one, before the call, and gives it that of in.
func (s *Session) TakeOver(now time.Duration, in *Session) {
	in.settled(Replace)
	req, reset := in.stream.hs.incoming, in.stream.hs.lost
	s.put(Output{Kind: OutFault, State: s.state, GoesOn: s.state == StateReady, Err: ErrReplaced})
	s.stream.abandon(s.gate)
	s.resetStream()
	if reset {
		s.resetSession()
	}
	s.stream, s.deadline = in.stream, in.deadline
	if p := in.rarely().packing; p != nil {
		s.needSeldom().packing = p
	}
	in.stream.reset(in.cfg.Limits)
	s.stream.dec.Reset() // the frame that is answered now
	s.id.peerGlobalSeq = req.GlobalSeq
	s.setAuthPeer(in.authPeer(), in.authProved)
	s.authed = in.authed
	in.state = StateClosed

	if req.Reconnect {
		s.id.crossed = 0
		s.id.connectSeq = req.ConnectSeq
		s.resume(now, req.MsgSeq)
		s.queueControl(&frame.SessionReconnectOK{MsgSeq: s.num.in.Seq})
		s.ready(now)
		s.emit(OutAccepted)
		return
	}
	s.peerType, s.peerNum, s.features = in.peerType, in.peerNum, in.features
	s.setPeerAddrs(in.peerAddrs)
	s.id.replacedBy(req.ClientCookie)
	s.serverIdent(now)
}
