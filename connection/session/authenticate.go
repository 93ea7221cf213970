package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// authRoundsMax bounds AUTH_REQUESTs that one accepted connection may try.
const authRoundsMax = 8

// beginAuth is the connector's first AUTH_REQUEST (docs/PROTOCOL.md 2).
func (s *Session) beginAuth() error {
	h := s.stream.hs
	x := s.env.AuthClient().NewExchange(s.cfg.Self.Type, s.peerType)
	h.client, h.slow = x, auth.IsSlow(x)
	s.state = StateAuthConnecting
	return s.take(func(a *answer) { a.request, a.err = x.Request() }, (*Session).authRequest)
}

// authRequest sends what the first request of a client is.
func (s *Session) authRequest(a *answer) error {
	switch {
	case errors.Is(a.err, auth.ErrNotYet), errors.Is(a.err, auth.ErrDowngrade):
		return a.err
	case a.err != nil:
		return s.ownError("asking for authentication", a.err)
	}
	return s.authRequestAgain(a)
}

// authRequestAgain sends the client's request, which may be another one after a refusal.
func (s *Session) authRequestAgain(a *answer) error {
	if a.err != nil {
		return a.err
	}
	r := a.request
	s.stream.hs.asked = auth.Request{Method: r.Method, Modes: slices.Clone(r.Modes)}
	s.queueControl(&frame.AuthRequest{Method: r.Method, Modes: r.Modes, Payload: r.Payload})
	return nil
}

// countAuthRound bounds the ping-pong of either side.
func (s *Session) countAuthRound(tag frame.Tag) error {
	s.stream.hs.authRounds++
	if s.stream.hs.authRounds > authRoundsMax {
		return s.protocolError(tag, "more than %d rounds of authentication", authRoundsMax)
	}
	return nil
}

// kept is a payload for the next call of the exchange. A slow one is called when what was
// received may be gone.
func (h *handshake) kept(payload []byte) []byte {
	if h.slow {
		return bytes.Clone(payload)
	}
	return payload
}

func (s *Session) connectorAuthBadMethod(_ time.Duration, payload []byte) error {
	var f frame.AuthBadMethod
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	x := s.stream.hs.client
	refusal := &auth.RefusedError{Method: f.Method, Result: f.Result, Methods: f.Methods, Modes: f.Modes}
	return s.take(func(a *answer) { a.request, a.err = x.BadMethod(refusal) }, (*Session).authRequestAgain)
}

func (s *Session) connectorAuthMore(_ time.Duration, payload []byte) error {
	var f frame.AuthReplyMore
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	x, got := s.stream.hs.client, s.stream.hs.kept(f.Payload)
	return s.take(func(a *answer) { a.payload, a.err = x.More(got) }, (*Session).authRequestMore)
}

func (s *Session) authRequestMore(a *answer) error {
	if a.err != nil {
		return a.err
	}
	s.queueControl(&frame.AuthRequestMore{Payload: a.payload})
	return nil
}

func (s *Session) connectorAuthDone(_ time.Duration, payload []byte) error {
	var f frame.AuthDone
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	// The server takes one of the client's modes. One that answers with another, and who
	// rewrites what it answers, does not get that. (The origin takes any.)
	h := s.stream.hs
	asked := h.asked
	if !slices.Contains(asked.Modes, f.ConMode) {
		return &auth.DowngradeError{Modes: asked.Modes, OfferedModes: []uint32{f.ConMode}}
	}
	x, got := h.client, h.kept(f.Payload)
	return s.take(func(a *answer) {
		a.result, a.err = x.Done(f.GlobalID, f.ConMode, got)
		if a.err == nil {
			a.result, a.err = checked(a.result, asked, f.ConMode)
		}
	}, (*Session).authDone)
}

// checked is what a method says is the outcome of a request, if it can be: in that mode.
func checked(r auth.Result, asked auth.Request, mode uint32) (auth.Result, error) {
	if r.Method == 0 {
		r.Method = asked.Method
	}
	if r.Mode != mode {
		return r, badResult{&auth.DowngradeError{Modes: []uint32{mode}, OfferedModes: []uint32{r.Mode}}}
	}
	if err := r.Check(); err != nil {
		return r, badResult{err}
	}
	return r, nil
}

// badResult is a mistake of the authentication method, and so of this side.
type badResult struct{ error }

func (e badResult) Unwrap() error { return e.error }

// Hint is a sentence on what to do about it, in place of that of the error in it.
func (e badResult) Hint() string {
	return "the authentication method that this side uses is at fault: Config.AuthClient, Config.AuthServer"
}

// methodError is the error of an exchange; what is a mistake of the method is called so.
func (s *Session) methodError(err error) error {
	var bad badResult
	switch {
	case errors.As(err, &bad):
		return s.ownError("authenticating", bad)
	case err == errNoReturn:
		return s.ownError("authenticating", err)
	}
	return err
}

func (s *Session) authDone(a *answer) error {
	if a.err != nil {
		return s.methodError(a.err)
	}
	if err := provedType(a.result, s.peerType); err != nil {
		return err
	}
	s.state = StateAuthConnectingSign
	return s.authenticated(a.result, true)
}

func (s *Session) acceptorAuthRequest(_ time.Duration, payload []byte) error {
	var f frame.AuthRequest
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	h := s.stream.hs
	h.endExchange()
	x := s.env.AuthServer().NewExchange(s.cfg.Self.Type, s.peerType)
	h.server, h.slow = x, auth.IsSlow(x)
	h.asked = auth.Request{Method: f.Method, Modes: f.Modes}
	req, v := auth.Request{Method: f.Method, Modes: f.Modes, Payload: h.kept(f.Payload)}, s.vetting()
	return s.take(func(a *answer) { a.reply, a.err = v.vet(x.Request(req)) }, (*Session).answerAuth)
}

func (s *Session) acceptorAuthMore(_ time.Duration, payload []byte) error {
	var f frame.AuthRequestMore
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	x, got, v := s.stream.hs.server, s.stream.hs.kept(f.Payload), s.vetting()
	return s.take(func(a *answer) { a.reply, a.err = v.vet(x.More(got)) }, (*Session).answerAuth)
}

// vetting is what decides about a peer that has authenticated, by whoever ran the last
// step of that.
type vetting struct {
	asked     auth.Request
	peerType  entity.Type
	from      netip.AddrPort
	authorize func(p auth.Peer, slow bool) error
	slow      bool
}

func (s *Session) vetting() vetting {
	h := s.stream.hs
	return vetting{asked: h.asked, peerType: s.peerType, from: h.remote, authorize: s.cfg.Authorize,
		slow: h.slow}
}

// vet turns the last answer of a server into a refusal if the peer is not to be let in.
func (v vetting) vet(rep auth.Reply, err error) (auth.Reply, error) {
	if err != nil || !rep.Done {
		return rep, err
	}
	if !slices.Contains(v.asked.Modes, rep.Result.Mode) {
		return rep, badResult{&auth.DowngradeError{Modes: v.asked.Modes, OfferedModes: []uint32{rep.Result.Mode}}}
	}
	if rep.Result, err = checked(rep.Result, v.asked, rep.Result.Mode); err != nil {
		return rep, err
	}
	if err = provedType(rep.Result, v.peerType); err != nil || v.authorize == nil {
		return rep, err
	}
	p := auth.Peer{Authenticated: *authenticatedAs(&rep.Result), Type: v.peerType, Addr: v.from}
	if err = v.authorize(p, v.slow); err != nil {
		err = auth.Denied(p.Name, v.asked, err)
	}
	return rep, err
}

func (s *Session) answerAuth(a *answer) error {
	rep := a.reply
	var refusal *auth.RefusedError
	switch {
	case errors.As(a.err, &refusal):
		s.turnedAway(a.err)
		s.stream.hs.endExchange()
		s.state = StateAuthAccepting
		s.queueControl(&frame.AuthBadMethod{Method: refusal.Method, Result: refusal.Result, Methods: refusal.Methods,
			Modes: refusal.Modes})
		return nil
	case a.err != nil:
		return s.methodError(a.err)
	case !rep.Done:
		s.state = StateAuthAcceptingMore
		s.queueControl(&frame.AuthReplyMore{Payload: rep.Payload})
		return nil
	}
	res := rep.Result
	s.queueControl(&frame.AuthDone{GlobalID: res.GlobalID, ConMode: res.Mode, Payload: rep.Payload})
	s.state = StateAuthAcceptingSign
	return s.authenticated(res, false)
}

// authenticated switches to the connection mode and sends AUTH_SIGNATURE, the
// first frame under it. The signature covers all bytes received so far; both
// logs end here (spec 2).
func (s *Session) authenticated(res auth.Result, client bool) error {
	h := s.stream.hs
	h.result = res
	h.recRx, h.recTx = false, false
	if res.Mode == auth.ModeSecure {
		if err := s.installKeys(res.ConnectionSecret, client); err != nil {
			return err
		}
	}
	s.queueControl(&frame.AuthSignature{Signature: sign(res.SessionKey, h.rxLog)})
	h.rxLog = nil
	return nil
}

// installKeys: "[0..15] key, [16..27] client rx / server tx, [28..39] client tx
// / server rx" (spec 1.4).
func (s *Session) installKeys(secret []byte, client bool) error {
	toClient, err := frame.NewGCM(secret[:16], secret[16:28])
	if err != nil {
		return s.ownError("secure mode", err)
	}
	toServer, err := frame.NewGCM(secret[:16], secret[28:40])
	if err != nil {
		return s.ownError("secure mode", err)
	}
	send, receive := toClient, toServer
	if client {
		send, receive = receive, send
	}
	s.stream.enc.SetCipher(send)
	s.stream.dec.SetCipher(receive)
	return nil
}

// sign returns the HMAC-SHA256 of log, or zeros without a key (spec 2).
func sign(key, log []byte) (sig [32]byte) {
	if len(key) == 0 {
		return sig
	}
	m := hmac.New(sha256.New, key)
	m.Write(log)
	m.Sum(sig[:0])
	return sig
}

// checkSignature verifies the peer's AUTH_SIGNATURE over all that we sent.
func (s *Session) checkSignature(payload []byte) error {
	var f frame.AuthSignature
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	want := sign(s.stream.hs.result.SessionKey, s.stream.hs.txLog)
	if !hmac.Equal(want[:], f.Signature[:]) {
		return &ProtocolError{State: s.state, Tag: f.Tag(), Err: ErrBadSignature}
	}
	s.stream.hs.txLog = nil
	s.stream.hs.endExchange()
	s.stream.dec.SetPreAuth(false)
	s.knowPeer()
	return nil
}

// knowPeer takes over what the authentication has found out, once it is signed.
func (s *Session) knowPeer() {
	r := &s.stream.hs.result
	s.authed = &authenticated{*authenticatedAs(r), s.authed.id()}
	switch {
	case s.state == StateAuthAcceptingSign:
		s.setAuthPeer(r.Peer, r.Proved)
		s.authed.globalID = r.GlobalID
	case r.Proved:
		if s.authProved && s.authPeer() != r.Peer && s.id.established() {
			s.resetSession() // somebody else is there now, who gets nothing of what was meant for the other
		}
		s.setAuthPeer(r.Peer, true)
	}
	if s.state == StateAuthConnectingSign && s.peerType == entity.TypeMon {
		s.env.LearnGlobalID(r.GlobalID) // the client's, which is this side
	}
	*r = auth.Result{}
}

// authenticated is what is known of a peer that is: who it is, and which number a monitor
// gave it; the number stays when this side calls.
type authenticated struct {
	entity.Authenticated
	globalID uint64
}

func (a *authenticated) id() uint64 {
	if a == nil {
		return 0
	}
	return a.globalID
}

// authenticatedAs is what users see of a result.
func authenticatedAs(r *auth.Result) *entity.Authenticated {
	return &entity.Authenticated{Name: r.Peer, Proved: r.Proved, Method: r.Method, Mode: r.Mode,
		Capabilities: r.Capabilities, Expires: r.Expires, Proof: r.Proof}
}

// provedType refuses a peer that says in HELLO that it is of another type than it proved.
// (The origin does not check.)
func provedType(r auth.Result, said entity.Type) error {
	if r.Proved && r.Peer.Type != said {
		return &WrongNameError{Proved: r.Peer, Said: entity.Name{Type: said, Num: entity.NumNew}}
	}
	return nil
}

// provedNumber refuses a peer that says in its ident that it is another one than it
// proved. (The origin does not check.)
func (s *Session) provedNumber(num int64) error {
	said := entity.Name{Type: s.peerType, Num: num}
	if s.authed != nil && s.authed.Proved && !s.authed.Name.Is(said, s.authed.globalID) {
		return &WrongNameError{Proved: s.authed.Name, Said: said}
	}
	return nil
}

func (s *Session) connectorSignature(_ time.Duration, payload []byte) error {
	if err := s.checkSignature(payload); err != nil {
		return err
	}
	s.agreeOnCompression()
	return nil
}

// identify asks for a session, or for the one there is to go on.
func (s *Session) identify() {
	if !s.id.established() {
		s.sendClientIdent()
	} else {
		s.sendReconnect()
	}
}

func (s *Session) acceptorSignature(_ time.Duration, payload []byte) error {
	if err := s.checkSignature(payload); err != nil {
		return err
	}
	s.agreeOnCompression()
	return nil
}
