package cephx

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// loggingIn is an exchange with who logs in (docs/PROTOCOL.md 2.3). It implements
// auth.ServerExchange.
type loggingIn struct {
	m      *Monitor
	peer   entity.Type // from HELLO
	stage  stage
	method uint32 // of the request
	mode   uint32

	who       Who
	challenge Challenge
}

// Request implements auth.ServerExchange: it challenges whoever it is. That there is no
// such entity is said when it has answered, so that nobody can try names.
func (x *loggingIn) Request(r auth.Request) (auth.Reply, error) {
	if x.stage != stageNew {
		return auth.Reply{}, fmt.Errorf("%w: another request", errOrder)
	}
	x.method = r.Method
	mode, err := chooseMode(r, x.m.cfg.Modes)
	if err != nil {
		return auth.Reply{}, err
	}
	x.mode = mode
	x.who, err = ParseWho(r.Payload)
	switch {
	case err != nil:
		return x.refuse(fmt.Errorf("it does not say who it is: %w", err))
	case x.who.PayloadMode < auth.PayloadMon || x.who.PayloadMode > payloadMonMax:
		return x.refuse(fmt.Errorf("it shows something of mode %d in place of logging in", x.who.PayloadMode))
	case x.who.Name.Type == entity.TypeMon:
		return x.refuse(errors.New("monitors do not log in"))
	}
	c, err := x.m.random.number()
	if err != nil {
		return auth.Reply{}, err
	}
	x.challenge, x.stage = Challenge(c), stageAsked
	return auth.Reply{Payload: x.challenge.Append(nil)}, nil
}

// payloadMonMax is the highest payload mode towards a monitor.
const payloadMonMax = 19

// More implements auth.ServerExchange: it checks the proof, and gives tickets.
func (x *loggingIn) More(payload []byte) (auth.Reply, error) {
	if x.stage != stageAsked {
		return auth.Reply{}, fmt.Errorf("%w: AUTH_REQUEST_MORE", errOrder)
	}
	x.stage = stageDone
	q, err := ParseLoginRequest(payload)
	if err != nil {
		return x.refuse(fmt.Errorf("its proof: %w", err))
	}
	globalID, old, k, err := x.m.proved(x.who, x.challenge, q)
	if err != nil {
		return x.refuse(err)
	}
	var secret []byte
	if x.mode == auth.ModeSecure {
		if secret, err = x.m.random.bytes(secretBytes); err != nil {
			return auth.Reply{}, err
		}
	}
	reply, session, err := x.m.welcome(x.who.Name, globalID, q.OtherKeys, k, old, secret)
	if err != nil {
		return auth.Reply{}, err
	}
	return auth.Reply{Done: true, Payload: reply.Append(nil), Result: auth.Result{
		GlobalID: globalID, Peer: x.who.Name, Proved: true, Method: auth.MethodCephX, Mode: x.mode,
		Capabilities: []byte(x.m.cfg.Keyring.Caps(x.who.Name, entity.TypeMon)),
		Proof:        &Login{x.challenge, globalID},
		Expires:      x.m.cfg.Now().Add(x.m.cfg.LoginLife),
		SessionKey:   secretOf(session), ConnectionSecret: secret,
	}}, nil
}

// refuse is -13 for the peer; why is for this side's log.
func (x *loggingIn) refuse(why error) (auth.Reply, error) {
	return auth.Reply{}, &RefusalError{Name: x.who.Name, Reason: why, Refusal: denied(x.method, x.m.cfg.Modes)}
}

// proved checks what shows that a client has its key, and that the number it claims is its
// own. old is the session key of its login before, nil if there was none.
func (m *Monitor) proved(who Who, c Challenge, q LoginRequest) (globalID uint64, old, k Key, err error) {
	if k, err = m.key(who.Name); err != nil {
		return 0, nil, nil, err
	}
	if !sameU64(k.Proof(uint64(c), q.Challenge), q.Proof) {
		return 0, nil, nil, errors.New("its key is another one than here")
	}
	if who.GlobalID == 0 {
		globalID, err = m.globalID()
		return globalID, nil, k, err
	}
	// A number is given again only to who shows that it is its own (CVE-2021-20288).
	info, err := m.opened(q.Old)
	switch {
	case err != nil:
		return 0, nil, nil, err
	case info.Name != who.Name || info.GlobalID != who.GlobalID:
		return 0, nil, nil, fmt.Errorf("it claims number %d by a ticket of %s with number %d", who.GlobalID, info.Name,
			info.GlobalID)
	}
	return who.GlobalID, info.SessionKey, k, nil
}

// welcome is what a client gets that has proved who it is.
func (m *Monitor) welcome(
	name entity.AuthName, globalID uint64, services uint32, k, old Key, secret []byte,
) (reply LoginReply, session Key, err error) {
	var t Ticket
	if t, session, err = m.issue(name, globalID, entity.TypeAuth, k, old); err != nil {
		return reply, nil, err
	}
	reply.Tickets = []Ticket{t}
	if services == 0 && secret == nil {
		return reply, session, nil // who asks for nothing besides does not know of the rest
	}
	reply.Secret, err = session.Seal(nil, UsageConnectionSecret, denc.AppendBL(nil, secret), &m.random)
	if err != nil {
		return reply, nil, err
	}
	reply.Extra, err = m.issueAll(name, globalID, services, session)
	reply.HasExtra = len(reply.Extra) > 0
	return reply, session, err
}
