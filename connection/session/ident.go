package session

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/planted"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// sendClientIdent asks for a new session (msgr2 spec 1.5, 3.3).
func (s *Session) sendClientIdent() {
	s.connectSeq = 0
	var flags uint64
	switch {
	case s.policy.Lossy || s.disposable:
		flags, s.clientCookie = frame.FlagLossy, 0
	case s.clientCookie == 0:
		s.clientCookie = s.nonZeroRand()
	}
	s.state = StateSessionConnecting
	s.queueControl(&frame.ClientIdent{
		Addrs:             s.env.Addrs(),
		Target:            s.Target(),
		GID:               s.cfg.Self.Num,
		GlobalSeq:         s.globalSeq,
		FeaturesSupported: s.supported(),
		FeaturesRequired:  s.required(),
		Flags:             flags,
		Cookie:            s.clientCookie,
	})
}

func (s *Session) nonZeroRand() uint64 {
	for {
		if x := s.env.Rand64(); x != 0 {
			return x
		}
	}
}

func (s *Session) connectorMissingFeatures(_ time.Duration, payload []byte) error {
	var f frame.IdentMissingFeatures
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	return &MissingFeaturesError{Missing: f.Features, Ours: true}
}

func (s *Session) connectorWait(now time.Duration, payload []byte) error {
	var f frame.Wait
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	s.lostRace(now)
	return nil
}

// connectorServerIdent: the session stands (spec 3.4).
func (s *Session) connectorServerIdent(now time.Duration, payload []byte) error {
	var f frame.ServerIdent
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	// "its addrs must contain the target address exactly" (spec 3.4)
	if !f.Addrs.Contains(s.Target()) {
		return s.protocolError(f.Tag(), "server is %s, not %s", f.Addrs, s.Target())
	}
	if missing := s.required() &^ f.FeaturesSupported; missing != 0 {
		return &MissingFeaturesError{Missing: missing}
	}
	if missing := f.FeaturesRequired &^ s.supported(); missing != 0 {
		return &MissingFeaturesError{Missing: missing, Ours: true}
	}
	// "The connector adopts lossy from SERVER_IDENT.flags bit0" (spec 3.1)
	lossy := f.Flags&frame.FlagLossy != 0
	if !lossy && f.Cookie == 0 {
		return s.protocolError(f.Tag(), "lossless session without a cookie")
	}
	if lossy {
		s.clientCookie, f.Cookie = 0, 0
	}
	s.policy.Lossy = lossy
	s.serverCookie = f.Cookie
	s.peerNum = f.GID
	s.peerGlobalSeq = f.GlobalSeq
	s.features = f.FeaturesSupported & s.supported()
	s.newSession()
	s.crossed = 0
	s.ready(now)
	s.emit(OutConnected)
	return nil
}

// newSession starts the numbering of a session afresh. What was encoded and not
// acknowledged in an earlier one is sent again, under new numbers, before
// anything else.
func (s *Session) newSession() {
	in, out := s.in.Seq, s.outSeq
	s.in.Seq, s.outSeq, s.ackedSeq, s.holeSeq = 0, 0, 0, 0
	s.ackSent()
	if planted.On(planted.InSeqKept) {
		s.in.Seq = in
	}
	if planted.On(planted.OutSeqKept) {
		s.outSeq = out
	}
	for i := range s.sent.len() {
		x := s.sent.at(i)
		s.outSeq++
		x.seq, x.end = s.outSeq, 0
	}
	s.maxSeq = 0
	s.resend = 0
}

// ready ends the handshake.
func (s *Session) ready(now time.Duration) {
	s.state = StateReady
	s.deadline, s.backoff = now+s.cfg.ReadyTimeout, 0
	s.lastRead = now
	s.announced = true
	if s.hs != nil && len(s.hs.tx) == 0 {
		s.hs = nil
	}
}

// acceptorClientIdent checks what does not depend on other sessions and asks the
// messenger for the rest (spec 3.5).
func (s *Session) acceptorClientIdent(_ time.Duration, payload []byte) error {
	var f frame.ClientIdent
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countRetry(f.Tag()); err != nil {
		return err
	}
	// "addrs empty or first blank -> fault. target_addr not in my own addrs
	// (exact) -> fault." (spec 3.5)
	if err := s.checkPeerAddrs(f.Tag(), f.Addrs); err != nil {
		return err
	}
	if !s.env.Addrs().Contains(f.Target) {
		return s.protocolError(f.Tag(), "target %s is none of %s", f.Target, s.env.Addrs())
	}
	if missing := s.required() &^ f.FeaturesSupported; missing != 0 {
		// The connector may try again on this connection (spec 3.5).
		s.queueControl(&frame.IdentMissingFeatures{Features: missing})
		return nil
	}
	s.peerAddrs = f.Addrs
	s.peerNum = f.GID
	s.features = f.FeaturesSupported & s.supported()
	s.peerGlobalSeq = f.GlobalSeq
	s.clientCookie = f.Cookie
	s.arbitrate(Incoming{GID: f.GID, Addrs: f.Addrs, GlobalSeq: f.GlobalSeq, ClientCookie: f.Cookie})
	return nil
}

func (s *Session) checkPeerAddrs(tag frame.Tag, a entity.AddrVec) error {
	if len(a) == 0 || a[0].IsBlank() {
		return s.protocolError(tag, "no address")
	}
	if s.env.Addrs().Equal(a) {
		return s.protocolError(tag, "peer claims our own address %s", a)
	}
	return nil
}

// arbitrate pauses until the messenger has compared this peer with the sessions
// it knows.
func (s *Session) arbitrate(in Incoming) {
	in.PeerType, in.Auth = s.peerType, s.authPeer
	s.hs.incoming = in
	s.state = StateArbitrating
	s.paused = true
	s.emit(OutArbitrate)
}

// Incoming returns what the peer asked for; valid in StateArbitrating.
func (s *Session) Incoming() Incoming { return s.hs.incoming }

func (s *Session) mustArbitrate() {
	if s.state != StateArbitrating {
		panic(fmt.Sprintf("session: answer to an arbitration in %s", s.state))
	}
	s.paused = false
}

// AnswerAccept makes the arbitrating session the peer's new session.
func (s *Session) AnswerAccept(now time.Duration) {
	s.mustArbitrate()
	// A client that does not listen cannot be called back.
	s.callable = s.peerAddrs.Msgr2().AddrPort.Port() != 0
	s.serverIdent(now)
}

// serverIdent answers CLIENT_IDENT: a new session (spec 3.5-7).
func (s *Session) serverIdent(now time.Duration) {
	var flags uint64
	if s.policy.Lossy {
		flags = frame.FlagLossy
		s.clientCookie, s.serverCookie = 0, 0
	} else {
		s.serverCookie = s.nonZeroRand()
	}
	s.connectSeq = 0
	s.newSession()
	s.queueControl(&frame.ServerIdent{
		Addrs:             s.env.Addrs(),
		GID:               s.cfg.Self.Num,
		GlobalSeq:         s.env.NextGlobalSeq(0),
		FeaturesSupported: s.supported(),
		FeaturesRequired:  s.required(),
		Flags:             flags,
		Cookie:            s.serverCookie,
	})
	s.ready(now)
	s.emit(OutAccepted)
}
