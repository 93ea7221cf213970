package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// authRoundsMax bounds AUTH_REQUESTs that one accepted connection may try.
const authRoundsMax = 8

// beginAuth is the connector's first AUTH_REQUEST (docs/PROTOCOL.md 2).
func (s *Session) beginAuth() error {
	s.stream.hs.client = s.env.AuthClient().NewExchange(s.cfg.Self.Type, s.peerType)
	req, err := s.stream.hs.client.Request()
	if err != nil {
		return s.ownError("asking for authentication", err)
	}
	s.state = StateAuthConnecting
	s.queueAuthRequest(req)
	return nil
}

func (s *Session) queueAuthRequest(r auth.Request) {
	s.queueControl(&frame.AuthRequest{Method: r.Method, Modes: r.Modes, Payload: r.Payload})
}

// countAuthRound bounds the ping-pong of either side.
func (s *Session) countAuthRound(tag frame.Tag) error {
	s.stream.hs.authRounds++
	if s.stream.hs.authRounds > authRoundsMax {
		return s.protocolError(tag, "more than %d rounds of authentication", authRoundsMax)
	}
	return nil
}

func (s *Session) connectorAuthBadMethod(_ time.Duration, payload []byte) error {
	var f frame.AuthBadMethod
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	req, err := s.stream.hs.client.BadMethod(&auth.RefusedError{Method: f.Method, Result: f.Result,
		Methods: f.Methods, Modes: f.Modes})
	if err != nil {
		return err
	}
	s.queueAuthRequest(req)
	return nil
}

func (s *Session) connectorAuthMore(_ time.Duration, payload []byte) error {
	var f frame.AuthReplyMore
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	p, err := s.stream.hs.client.More(f.Payload)
	if err != nil {
		return err
	}
	s.queueControl(&frame.AuthRequestMore{Payload: p})
	return nil
}

func (s *Session) connectorAuthDone(_ time.Duration, payload []byte) error {
	var f frame.AuthDone
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	res, err := s.stream.hs.client.Done(f.GlobalID, f.ConMode, f.Payload)
	if err != nil {
		return err
	}
	s.globalID = res.GlobalID
	if s.peerType == entity.TypeMon {
		s.env.LearnGlobalID(res.GlobalID)
	}
	s.state = StateAuthConnectingSign
	return s.authenticated(res, true)
}

func (s *Session) acceptorAuthRequest(_ time.Duration, payload []byte) error {
	var f frame.AuthRequest
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	s.stream.hs.server = s.env.AuthServer().NewExchange(s.cfg.Self.Type, s.peerType)
	rep, err := s.stream.hs.server.Request(auth.Request{Method: f.Method, Modes: f.Modes, Payload: f.Payload})
	return s.answerAuth(rep, err)
}

func (s *Session) acceptorAuthMore(_ time.Duration, payload []byte) error {
	var f frame.AuthRequestMore
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if err := s.countAuthRound(f.Tag()); err != nil {
		return err
	}
	rep, err := s.stream.hs.server.More(f.Payload)
	return s.answerAuth(rep, err)
}

func (s *Session) answerAuth(rep auth.Reply, err error) error {
	var refusal *auth.RefusedError
	switch {
	case errors.As(err, &refusal):
		s.turnedAway(err)
		s.state = StateAuthAccepting
		s.queueControl(&frame.AuthBadMethod{Method: refusal.Method, Result: refusal.Result, Methods: refusal.Methods,
			Modes: refusal.Modes})
		return nil
	case err != nil:
		return err
	case !rep.Done:
		s.state = StateAuthAcceptingMore
		s.queueControl(&frame.AuthReplyMore{Payload: rep.Payload})
		return nil
	}
	res := rep.Result
	s.authPeer, s.globalID = res.Peer, res.GlobalID
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
	if len(secret) < 40 {
		return s.ownError("secure mode",
			fmt.Errorf("the authentication method gives a connection secret of %d bytes, not 40", len(secret)))
	}
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
	s.stream.hs.client, s.stream.hs.server = nil, nil
	s.stream.dec.SetPreAuth(false)
	return nil
}

func (s *Session) connectorSignature(_ time.Duration, payload []byte) error {
	if err := s.checkSignature(payload); err != nil {
		return err
	}
	if !s.id.established() {
		s.sendClientIdent()
	} else {
		s.sendReconnect()
	}
	return nil
}

func (s *Session) acceptorSignature(_ time.Duration, payload []byte) error {
	if err := s.checkSignature(payload); err != nil {
		return err
	}
	s.state = StateSessionAccepting
	return nil
}
