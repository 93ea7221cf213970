package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// retriesMax bounds how often one handshake may be told RETRY or RETRY_GLOBAL,
// and how often the acceptor listens to CLIENT_IDENT and SESSION_RECONNECT.
const retriesMax = 16

// seqMax bounds global_seq and connect_seq that a peer may name. Counting to it
// takes longer than anything lives; a jump there is meant to make our counters
// wrap, and the one for global_seq serves all connections.
const seqMax = 1 << 62

// sendReconnect asks to resume the session (docs/PROTOCOL.md 1.5, 3.3).
func (s *Session) sendReconnect() {
	s.state = StateSessionReconnecting
	s.queueControl(&frame.SessionReconnect{
		Addrs:        s.env.Addrs(),
		ClientCookie: s.id.clientCookie,
		ServerCookie: s.id.serverCookie,
		GlobalSeq:    s.id.globalSeq,
		ConnectSeq:   s.id.connectSeq,
		MsgSeq:       s.num.in.Seq,
	})
}

func (s *Session) countRetry(tag frame.Tag) error {
	s.stream.hs.retries++
	if s.stream.hs.retries > retriesMax {
		return s.protocolError(tag, "told to retry more than %d times", retriesMax)
	}
	return nil
}

// connectorRetry: our connect_seq was too low (spec 3.4).
func (s *Session) connectorRetry(_ time.Duration, payload []byte) error {
	var f frame.SessionRetry
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countRetry(f.Tag()); err != nil {
		return err
	}
	if f.ConnectSeq < s.id.connectSeq || f.ConnectSeq > seqMax {
		return s.protocolError(f.Tag(), "retry with connect_seq %d, we sent %d", f.ConnectSeq, s.id.connectSeq)
	}
	s.id.connectSeq = f.ConnectSeq + 1
	s.sendReconnect()
	return nil
}

// connectorRetryGlobal: our global_seq was too low (spec 3.4). It has to rise.
func (s *Session) connectorRetryGlobal(_ time.Duration, payload []byte) error {
	var f frame.SessionRetryGlobal
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countRetry(f.Tag()); err != nil {
		return err
	}
	if f.GlobalSeq > seqMax {
		return s.protocolError(f.Tag(), "retry with global_seq %d", f.GlobalSeq)
	}
	s.id.globalSeq = s.env.NextGlobalSeq(max(f.GlobalSeq, s.id.globalSeq))
	s.sendReconnect()
	return nil
}

// connectorReset: the peer does not know the session (spec 3.4).
func (s *Session) connectorReset(_ time.Duration, payload []byte) error {
	var f frame.SessionReset
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	s.countForgotten()
	if f.Full {
		s.resetSession()
	} else {
		// The queue survives. What the peer does not know it has not counted either.
		s.id.unknown()
		s.num.in.Seq = 0
	}
	s.sendClientIdent()
	return nil
}

// connectorReconnectOK: the session goes on (spec 3.4).
func (s *Session) connectorReconnectOK(now time.Duration, payload []byte) error {
	var f frame.SessionReconnectOK
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.checkMsgSeq(f.Tag(), f.MsgSeq); err != nil {
		// It claims messages we never sent, or takes back an acknowledgement: the
		// session cannot be continued. Both sides start a new one.
		s.resetSession()
		return err
	}
	s.id.crossed = 0
	s.resume(now, f.MsgSeq)
	s.ready(now)
	s.emit(OutConnected)
	return nil
}

// checkMsgSeq: the peer's msg_seq must lie between what it acknowledged and what
// was sent in this session. (The origin does not check.)
func (s *Session) checkMsgSeq(tag frame.Tag, seq uint64) error {
	if seq > s.num.max || seq < s.num.acked {
		return s.protocolError(tag, "msg_seq %d, acknowledged %d, sent %d", seq, s.num.acked, s.num.max)
	}
	return nil
}

// resume drops what the peer has and sends the rest of the sent list again.
func (s *Session) resume(now time.Duration, peerHas uint64) {
	s.acked(peerHas)
	s.reject(now)
	s.box.resend = 0
	s.acks.reset() // our in_seq was or is told in the handshake
}

// acceptorReconnect asks the messenger which session the peer means (spec 3.5).
func (s *Session) acceptorReconnect(_ time.Duration, payload []byte) error {
	var f frame.SessionReconnect
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countRetry(f.Tag()); err != nil {
		return err
	}
	if err := s.checkPeerAddrs(f.Tag(), f.Addrs); err != nil {
		return err
	}
	if f.GlobalSeq > seqMax || f.ConnectSeq > seqMax {
		return s.protocolError(f.Tag(), "global_seq %d, connect_seq %d", f.GlobalSeq, f.ConnectSeq)
	}
	s.peerAddrs = s.localized(f.Addrs)
	s.id.peerGlobalSeq = f.GlobalSeq
	s.arbitrate(Incoming{
		Reconnect: true, Addrs: s.peerAddrs, GlobalSeq: f.GlobalSeq,
		ClientCookie: f.ClientCookie, ServerCookie: f.ServerCookie, ConnectSeq: f.ConnectSeq, MsgSeq: f.MsgSeq,
	})
	return nil
}
