package cephx

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// secretBytes is how long a connection secret is in secure mode, as with Ceph; the session
// takes 40 bytes of it.
const secretBytes = 64

// serving is an exchange with who shows a ticket (docs/PROTOCOL.md 2.4). It implements
// auth.ServerExchange.
type serving struct {
	s      *Service
	stage  stage
	method uint32 // of the request
	mode   uint32

	info      TicketInfo
	nonce     uint64
	challenge uint64
}

// Request implements auth.ServerExchange: it opens the ticket, and challenges who shows it.
func (x *serving) Request(r auth.Request) (auth.Reply, error) {
	if x.stage != stageNew {
		return auth.Reply{}, fmt.Errorf("%w: another request", errOrder)
	}
	x.method = r.Method
	mode, err := chooseMode(r, x.s.cfg.Modes)
	if err != nil {
		return auth.Reply{}, err
	}
	x.mode = mode
	a, err := ParseAuthorizer(r.Payload)
	if err != nil {
		return x.refuse(fmt.Errorf("what it shows is no ticket: %w", err))
	}
	authorize, err := x.verify(a)
	if err != nil {
		return x.refuse(err)
	}
	x.nonce = authorize.Nonce
	// Always a challenge, or who has heard an authorizer could say it again (CVE-2018-1128).
	x.challenge, err = x.s.random.number()
	if err != nil {
		return auth.Reply{}, err
	}
	x.stage = stageAsked
	p, err := x.s.random.seal(x.info.SessionKey, UsageAuthorizeChallenge, Challenge(x.challenge).Append(nil))
	return auth.Reply{Payload: p}, err
}

// verify opens a ticket and what its bearer says.
func (x *serving) verify(a Authorizer) (Authorize, error) {
	fail := func(format string, args ...any) (Authorize, error) { return Authorize{}, fmt.Errorf(format, args...) }
	if a.Service != x.s.cfg.Type {
		return fail("the ticket is for a %s, and this is a %s", a.Service, x.s.cfg.Type)
	}
	k, err := x.s.secret(a.Ticket.SecretID)
	if err != nil {
		return Authorize{}, err
	}
	x.info, err = openInfo(k, a.Ticket)
	if err != nil {
		return fail("the ticket: %w", err)
	}
	if a.GlobalID != x.info.GlobalID {
		return fail("it says to be number %d, and the ticket is of %d", a.GlobalID, x.info.GlobalID)
	}
	if now := x.s.cfg.Now(); now.After(x.info.Expires.Moment().Add(x.s.cfg.Leeway)) {
		return fail("the ticket has expired %v ago", now.Sub(x.info.Expires.Moment()).Round(1e9))
	}
	authorize, err := OpenAuthorize(x.info.SessionKey, a.Sealed)
	if err != nil {
		return fail("what shows that the ticket is its own: %w", err)
	}
	return authorize, nil
}

// openInfo opens what a ticket says to its service. Nothing of it is kept but a copy.
func openInfo(k Key, t TicketBlob) (TicketInfo, error) {
	p, err := k.Open(nil, UsageTicketInfo, t.Blob)
	if err != nil {
		return TicketInfo{}, err
	}
	return ParseTicketInfo(p)
}

// More implements auth.ServerExchange: it checks the answer to the challenge.
func (x *serving) More(payload []byte) (auth.Reply, error) {
	if x.stage != stageAsked {
		return auth.Reply{}, fmt.Errorf("%w: AUTH_REQUEST_MORE", errOrder)
	}
	x.stage = stageDone
	a, err := ParseAuthorizer(payload)
	if err != nil {
		return x.refuse(fmt.Errorf("its answer to the challenge: %w", err))
	}
	answer, err := OpenAuthorize(x.info.SessionKey, a.Sealed)
	switch {
	case err != nil:
		return x.refuse(fmt.Errorf("its answer to the challenge: %w", err))
	case !answer.Answered || !sameU64(answer.Answer, x.challenge+1) || !sameU64(answer.Nonce, x.nonce):
		return x.refuse(errors.New("its answer to the challenge is wrong"))
	}
	reply := AuthorizeReply{NoncePlusOne: x.nonce + 1}
	if x.mode == auth.ModeSecure {
		if reply.Secret, err = x.s.random.bytes(secretBytes); err != nil {
			return auth.Reply{}, err
		}
	}
	sealed, err := x.s.random.seal(x.info.SessionKey, UsageAuthorizeReply, reply.Append(nil))
	if err != nil {
		return auth.Reply{}, err
	}
	return auth.Reply{Done: true, Payload: denc.AppendBL(nil, sealed), Result: auth.Result{
		GlobalID: x.info.GlobalID, Peer: x.info.Name, Proved: true, Method: auth.MethodCephX, Mode: x.mode,
		Capabilities: x.info.capabilities(), Expires: x.info.Expires.Moment(),
		SessionKey: secretOf(x.info.SessionKey), ConnectionSecret: reply.Secret,
	}}, nil
}

// capabilities are what the bearer of a ticket may do with the service, as text.
func (t TicketInfo) capabilities() []byte {
	if t.AllowAll {
		return []byte("allow *")
	}
	r := denc.NewReader(t.Caps)
	text := r.BL()
	if r.End() != nil {
		return nil
	}
	return text
}

// refuse is -13 for the peer; why is for this side's log.
func (x *serving) refuse(why error) (auth.Reply, error) {
	return auth.Reply{}, &RefusalError{Name: x.info.Name, Reason: why, Refusal: denied(x.method, x.s.cfg.Modes)}
}

// denied is the answer to who is not let in.
func denied(method uint32, modes []uint32) *auth.RefusedError {
	return &auth.RefusedError{Method: method, Result: -eACCES, Methods: []uint32{auth.MethodCephX}, Modes: modes}
}

// chooseMode is the first of the modes of a request for cephx that is allowed.
func chooseMode(r auth.Request, modes []uint32) (uint32, error) {
	mode, ok := auth.ChooseMode(r.Modes, modes)
	if r.Method != auth.MethodCephX || !ok {
		return 0, &auth.RefusedError{Method: r.Method, Result: -eOPNOTSUPP, Methods: []uint32{auth.MethodCephX},
			Modes: modes}
	}
	return mode, nil
}

// RefusalError: this side does not let a peer in. It wraps the reason, and the
// *auth.RefusedError that the peer gets.
type RefusalError struct {
	// Name is who it is by its ticket, or who it says it is; zero if that is not known.
	Name    entity.AuthName
	Reason  error
	Refusal *auth.RefusedError
}

// Error is one line with the reason, of which the peer hears nothing.
func (e *RefusalError) Error() string {
	who := "a peer"
	if e.Name.Type != 0 {
		who = e.Name.String()
	}
	return fmt.Sprintf("cephx: %s is not let in: %v", who, e.Reason)
}

// Unwrap returns the reason and the refusal.
func (e *RefusalError) Unwrap() []error { return []error{e.Reason, e.Refusal} }
