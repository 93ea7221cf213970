package session

import (
	"net/netip"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// sendClientIdent asks for a new session (docs/PROTOCOL.md 1.5, 3.3).
func (s *Session) sendClientIdent() {
	s.id.connectSeq = 0
	var flags uint64
	switch {
	case s.policy.Lossy || s.disposable:
		flags, s.id.clientCookie = frame.FlagLossy, 0
	case s.id.clientCookie == 0:
		s.id.clientCookie = s.nonZeroRand()
	}
	s.state = StateSessionConnecting
	s.queueControl(&frame.ClientIdent{
		Addrs:             s.env.Addrs(),
		Target:            s.Target(),
		GID:               s.selfNum(),
		GlobalSeq:         s.id.globalSeq,
		FeaturesSupported: s.supported(),
		FeaturesRequired:  s.required(),
		Flags:             flags,
		Cookie:            s.id.clientCookie,
	})
}

// selfNum is the number of this side's name. A client that has none of its own says
// everybody but the monitors the one that a monitor gave it. (An OSD tells clients
// apart by it: two that say -1 can have the request of one answered from what the
// other asked for before.)
func (s *Session) selfNum() int64 {
	n := s.cfg.Self.Num
	if n == entity.NumNew && s.peerType != entity.TypeMon {
		if id := s.env.GlobalID(); id != 0 {
			return int64(id)
		}
	}
	return n
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

// connectorServerIdent: the session stands (spec 3.4), or the peer says that it is
// not the one that was asked for.
func (s *Session) connectorServerIdent(now time.Duration, payload []byte) error {
	var f frame.ServerIdent
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	// "its addrs must contain the target address exactly" (spec 3.4)
	asked := s.Target()
	if asked.AnyNonce { // it looks so on the wire
		asked = asked.WithNonce(0)
	}
	if !f.Addrs.Contains(asked) {
		return s.otherPeer(f.Addrs)
	}
	if err := s.provedNumber(f.GID); err != nil {
		return err
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
		s.id.clientCookie, f.Cookie = 0, 0
	}
	if s.policy.Lossy != lossy {
		s.policy.Lossy, s.adopted = lossy, !s.adopted
		s.emit(OutAdopted)
	}
	s.setTarget(asked)
	s.setPeerAddrs(s.localized(f.Addrs))
	s.id.serverCookie = f.Cookie
	s.peerNum = f.GID
	s.id.peerGlobalSeq = f.GlobalSeq
	s.features = f.FeaturesSupported & s.supported()
	s.newSession()
	s.id.crossed = 0
	s.ready(now)
	s.emit(OutConnected)
	return nil
}

// newSession starts the numbering of a session afresh. What was encoded and not
// acknowledged in an earlier one is sent again, under new numbers, before
// anything else.
func (s *Session) newSession() {
	s.num.reset()
	s.acks.reset()
	s.box.renumber(&s.num)
	s.forgetBreaks()
}

// ready ends the handshake.
func (s *Session) ready(now time.Duration) {
	s.state = StateReady
	s.expectRefusal(now, s.deadline-s.cfg.ReadyTimeout)
	s.deadline = now + s.cfg.ReadyTimeout
	s.setBackoff(0)
	if s.seldom != nil {
		s.seldom.notYet = 0
	}
	s.ka.alive = now
	s.announced = true
	if s.stream.hs != nil && len(s.stream.hs.tx) == 0 {
		s.stream.hs = nil
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
	// No address, a blank first one or one of ours is a protocol error; who asks for
	// somebody else is told who we are (spec 3.5, 1).
	if err := s.checkPeerAddrs(f.Tag(), f.Addrs); err != nil {
		return err
	}
	if err := s.provedNumber(f.GID); err != nil {
		return err
	}
	if !s.env.Owns(f.Target, s.stream.hs.local) {
		s.sayWhoWeAre(f.Target)
		return nil
	}
	s.stream.hs.named = f.Target
	if missing := s.required() &^ f.FeaturesSupported; missing != 0 {
		// The connector may try again on this connection (spec 3.5).
		s.queueControl(&frame.IdentMissingFeatures{Features: missing})
		s.turnedAway(&MissingFeaturesError{Missing: missing})
		return nil
	}
	s.peerAddrs = s.localized(f.Addrs)
	s.peerNum = f.GID
	s.features = f.FeaturesSupported & s.supported()
	s.id.peerGlobalSeq = f.GlobalSeq
	s.id.clientCookie = f.Cookie
	s.arbitrate(Incoming{GID: f.GID, Addrs: s.peerAddrs, GlobalSeq: f.GlobalSeq, ClientCookie: f.Cookie})
	return nil
}

func (s *Session) checkPeerAddrs(tag frame.Tag, a entity.AddrVec) error {
	if len(a) == 0 || a[0].IsBlank() {
		return s.protocolError(tag, "no address")
	}
	for _, x := range a {
		if s.env.Owns(x, netip.Addr{}) {
			return s.protocolError(tag, "peer claims our own address %s", x)
		}
	}
	return nil
}

// serverIdent answers CLIENT_IDENT: a new session (spec 3.5-7).
func (s *Session) serverIdent(now time.Duration) {
	var flags uint64
	if s.policy.Lossy {
		flags = frame.FlagLossy
		s.id.none()
	} else {
		s.id.serverCookie = s.nonZeroRand()
	}
	s.id.connectSeq = 0
	s.newSession()
	addrs := s.env.Addrs()
	if !addrs.Contains(s.stream.hs.named) { // the peer looks for what it asked for
		addrs = append(addrs.Clone(), s.stream.hs.named)
	}
	s.queueControl(&frame.ServerIdent{
		Addrs:             addrs,
		GID:               s.cfg.Self.Num,
		GlobalSeq:         s.env.NextGlobalSeq(0),
		FeaturesSupported: s.supported(),
		FeaturesRequired:  s.required(),
		Flags:             flags,
		Cookie:            s.id.serverCookie,
	})
	s.ready(now)
	s.emit(OutAccepted)
}

// sayWhoWeAre answers a CLIENT_IDENT that is meant for somebody else with the own
// addresses, without making a session. A peer that looks for whichever process listens
// here then asks again; any other sees that it is at the wrong one, and leaves. (The
// origin closes the connection without a word.)
func (s *Session) sayWhoWeAre(target entity.Addr) {
	own := s.env.Addrs()
	if target.Nonce != 0 || !s.env.Owns(target.WithAnyNonce(), s.stream.hs.local) {
		s.turnedAway(&msg.WrongPeerError{Asked: target, Is: own})
	}
	here := slices.IndexFunc(own, func(a entity.Addr) bool { return a.Place() == target.Place() })
	if here < 0 && s.env.Owns(target.WithAnyNonce(), s.stream.hs.local) {
		own = append(own.Clone(), target.WithNonce(own.Msgr2().Nonce))
	}
	s.queueControl(&frame.ServerIdent{
		Addrs: own, GID: s.cfg.Self.Num, GlobalSeq: s.env.NextGlobalSeq(0),
		FeaturesSupported: s.supported(), FeaturesRequired: s.required(), Flags: frame.FlagLossy,
	})
}

// otherPeer: SERVER_IDENT came from another one than was asked for. If any process at
// that place will do, it is the peer from now on, and asked again under its own address.
func (s *Session) otherPeer(is entity.AddrVec) error {
	target := s.Target()
	i := slices.IndexFunc(is, func(a entity.Addr) bool { return a.Matches(target.WithAnyNonce()) })
	if !s.follow || i < 0 {
		return &msg.WrongPeerError{Asked: target, Is: is}
	}
	if err := s.countRetry(frame.TagServerIdent); err != nil {
		return err
	}
	s.setPeerAddrs(s.localized(is))
	s.sendClientIdent()
	return nil
}

// setPeerAddrs takes over what the peer says its addresses are. What is dialled stays
// the same place, if the peer is there.
func (s *Session) setPeerAddrs(v entity.AddrVec) {
	if s.peerAddrs.Equal(v) {
		return
	}
	target := s.Target()
	s.peerAddrs = v
	i := slices.IndexFunc(v, func(a entity.Addr) bool { return a.Matches(target.WithAnyNonce()) })
	switch {
	case i >= 0:
		s.setTarget(target.WithNonce(v[i].Nonce))
	case s.follow:
		s.setTarget(target)
	default:
		s.setTarget(v.Msgr2())
	}
	s.emit(OutAddrs)
}

// localized is what a peer says of itself, with the zones of link-local addresses as
// they are on this host: its own numbers of them mean nothing here.
func (s *Session) localized(v entity.AddrVec) entity.AddrVec {
	zone := s.stream.hs.remote.Addr().Zone()
	local := func(a entity.Addr) bool { return a.AddrPort.Addr().Is6() && a.AddrPort.Addr().IsLinkLocalUnicast() }
	if !slices.ContainsFunc(v, local) {
		return v
	}
	v = v.Clone()
	for i, a := range v {
		if local(a) {
			v[i].AddrPort = netip.AddrPortFrom(a.AddrPort.Addr().WithZone(zone), a.AddrPort.Port())
		}
	}
	return v
}

// turnedAway is for the log: the peer was refused what it asked for. That it leaves then
// is no further failure.
func (s *Session) turnedAway(err error) {
	s.stream.hs.refused = true
	s.put(Output{Kind: OutTurnedAway, State: s.state, Err: err})
}
