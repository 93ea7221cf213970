package cephx

import (
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// loginVersion is that of the LoginRequest: who says 3 shows the old ticket whenever it
// asks for its old global id.
const loginVersion = 3

// login is an exchange with a monitor (docs/PROTOCOL.md 2.3). It implements
// auth.ClientExchange.
type login struct {
	c     *Client
	stage stage
	had   tickets // what the client had when it asked

	challenge Challenge
}

// stage is how far an exchange has come.
type stage uint8

const (
	stageNew    stage = iota
	stageAsked        // AUTH_REQUEST is sent
	stageProved       // the challenge is answered
	stageDone
)

// errOrder: the peer says something that does not follow what was said.
var errOrder = errors.New("cephx: the peer answers what was not asked")

// Request implements auth.ClientExchange: it says who this is, and which number it has.
func (x *login) Request() (auth.Request, error) {
	x.c.mu.Lock()
	x.had = x.c.tickets
	x.c.mu.Unlock()
	if x.had.auth == nil {
		x.had.globalID = 0 // a number is asked for by a ticket alone
	}
	x.stage = stageAsked
	who := Who{PayloadMode: auth.PayloadMon, Name: x.c.cfg.Name, GlobalID: x.had.globalID}
	return auth.Request{Method: auth.MethodCephX, Modes: x.c.cfg.MonModes, Payload: who.Append(nil)}, nil
}

// BadMethod implements auth.ClientExchange. A monitor that does not take the ticket of
// before, since it was made anew, is asked once more as if there had been none.
func (x *login) BadMethod(refusal *auth.RefusedError) (auth.Request, error) {
	if refusal.Result == -eACCES && x.stage == stageProved && x.had.auth != nil {
		x.c.forget(x.had.globalID)
		return x.Request()
	}
	e := &LoginError{Name: x.c.cfg.Name, KeyType: x.c.cfg.Key.Type(), Proved: x.stage == stageProved, Refusal: refusal}
	x.stage = stageDone
	return auth.Request{}, e
}

// forget drops all tickets that belong to a global id.
func (c *Client) forget(globalID uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tickets.globalID == globalID {
		c.tickets = tickets{}
	}
}

// More implements auth.ClientExchange: it answers the monitor's challenge.
func (x *login) More(payload []byte) ([]byte, error) {
	if x.stage != stageAsked {
		return nil, fmt.Errorf("%w: another challenge", errOrder)
	}
	server, err := ParseChallenge(payload)
	if err != nil {
		return nil, fmt.Errorf("cephx: the monitor's challenge: %w", err)
	}
	x.challenge = server
	var old TicketBlob
	if x.had.auth != nil {
		old = x.had.auth.blob
	}
	x.stage = stageProved
	return x.c.proof(server, old)
}

// proof shows that the client has its key.
func (c *Client) proof(server Challenge, old TicketBlob) ([]byte, error) {
	nonce, err := c.random.number()
	if err != nil {
		return nil, err
	}
	// Services are never 0: a monitor then makes no connection secret, and in secure mode
	// one of 16.2 aborts.
	q := LoginRequest{Version: loginVersion, Challenge: nonce, Old: old,
		OtherKeys: uint32(entity.TypeAuth) | maskOf(c.cfg.Services)}
	q.Proof = c.cfg.Key.Proof(uint64(server), q.Challenge)
	return q.Append(nil), nil
}

// Done implements auth.ClientExchange: it opens the tickets. That they open shows that the
// monitor has this client's key too, but not which monitor it is.
func (x *login) Done(globalID uint64, mode uint32, payload []byte) (auth.Result, error) {
	if x.stage != stageProved {
		return auth.Result{}, fmt.Errorf("%w: AUTH_DONE before a challenge", errOrder)
	}
	x.stage = stageDone
	reply, err := ParseLoginReply(payload)
	var got tickets
	var secret []byte
	switch {
	case err != nil:
	case reply.Status != 0:
		err = fmt.Errorf("status %d", reply.Status)
	case reply.Secret == nil:
		err = errors.New("it has no connection secret")
	case globalID == 0:
		err = errors.New("it gives no number")
	default:
		got, secret, err = x.c.open(&x.had, globalID, reply)
	}
	if err != nil {
		return auth.Result{}, fmt.Errorf("cephx: the monitor's answer to %s: %w", x.c.cfg.Name, err)
	}
	got.challenge, got.renewable = x.challenge, true
	x.c.mu.Lock()
	x.c.tickets = got
	x.c.mu.Unlock()
	r := auth.Result{GlobalID: globalID, Method: auth.MethodCephX, Mode: mode, SessionKey: secretOf(got.auth.key)}
	if mode == auth.ModeSecure {
		r.ConnectionSecret = secret
	}
	return r, nil
}

// open opens what a monitor gives for a proof. had is what the client had when it gave it.
func (c *Client) open(had *tickets, globalID uint64, reply LoginReply) (got tickets, secret []byte, err error) {
	if len(reply.Tickets) != 1 || reply.Tickets[0].Service != entity.TypeAuth {
		return got, nil, errors.New("it has no ticket for the login, or more than that")
	}
	var old Key
	if had.auth != nil {
		old = had.auth.key
	}
	now := c.cfg.Now()
	a, err := take(reply.Tickets[0], c.cfg.Key, old, now)
	if err != nil {
		return got, nil, err
	}
	if reply.Secret != nil {
		if secret, err = OpenSecret(a.key, reply.Secret); err != nil {
			return got, nil, fmt.Errorf("the connection secret: %w", err)
		}
	}
	got = tickets{globalID: globalID, auth: a, asked: now}
	got.services, err = c.services(reply.Extra, a.key, had.services, now)
	return got, append([]byte(nil), secret...), err
}

// services opens tickets for services, with the session key of the login. Those that were
// not asked for are left out.
func (c *Client) services(
	list []Ticket, with Key, had map[entity.Type]*held, now time.Time,
) (map[entity.Type]*held, error) {
	got := map[entity.Type]*held{}
	for _, t := range list {
		if maskOf(c.cfg.Services)&uint32(t.Service) == 0 {
			continue
		}
		var old Key
		if h := had[t.Service]; h != nil {
			old = h.key
		}
		h, err := take(t, with, old, now)
		if err != nil {
			return nil, err
		}
		got[t.Service] = h
	}
	return got, nil
}
