package cephx

import (
	"crypto/subtle"
	"fmt"
	"maps"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// authorizing is an exchange with a daemon that is no monitor, or among monitors
// (docs/PROTOCOL.md 2.4). It implements auth.ClientExchange.
type authorizing struct {
	c       *Client
	service entity.Type
	own     bool // a monitor's, which makes the ticket itself

	stage    stage
	globalID uint64
	ticket   *held
	nonce    uint64
}

// Request implements auth.ClientExchange: it shows the ticket. Without one it is
// auth.ErrNotYet: a login may be under way.
func (x *authorizing) Request() (auth.Request, error) {
	if err := x.find(); err != nil {
		return auth.Request{}, err
	}
	var err error
	if x.nonce, err = x.c.random.number(); err != nil {
		return auth.Request{}, err
	}
	x.stage = stageAsked
	payload, err := x.authorizer(Authorize{Nonce: x.nonce})
	return auth.Request{Method: auth.MethodCephX, Modes: x.c.cfg.Modes, Payload: payload}, err
}

// find finds the ticket.
func (x *authorizing) find() (err error) {
	if x.own {
		x.ticket, err = x.c.ownTicket()
		return err
	}
	now := x.c.cfg.Now()
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	t := &x.c.tickets
	h := t.services[x.service]
	switch {
	case t.auth == nil:
		return &NoTicketError{x.c.cfg.Name, x.service, "it has not logged in at a monitor"}
	case maskOf(x.c.cfg.Services)&uint32(x.service) == 0:
		return &NoTicketError{x.c.cfg.Name, x.service, "ClientConfig.Services does not ask for one"}
	case h == nil:
		return &NoTicketError{x.c.cfg.Name, x.service, "the monitor gave none"}
	case !now.Before(h.expires):
		return &NoTicketError{x.c.cfg.Name, x.service, "it has expired, and was not renewed"}
	}
	x.globalID, x.ticket = t.globalID, h
	return nil
}

func (x *authorizing) authorizer(a Authorize) ([]byte, error) {
	sealed, err := x.c.random.seal(x.ticket.key, UsageAuthorize, a.Append(nil))
	if err != nil {
		return nil, err
	}
	return Authorizer{GlobalID: x.globalID, Service: x.service, Ticket: x.ticket.blob, Sealed: sealed}.Append(nil), nil
}

// BadMethod implements auth.ClientExchange. A ticket that is not taken may be too old for
// the daemon: another one is due.
func (x *authorizing) BadMethod(refusal *auth.RefusedError) (auth.Request, error) {
	x.stage = stageDone
	if refusal.Result == -eACCES && !x.own {
		x.c.ticketRefused(x.service, x.ticket)
	}
	return auth.Request{}, &TicketRefusedError{Name: x.c.cfg.Name, Service: x.service, Refusal: refusal}
}

// ticketRefused notes that a daemon has refused a ticket, unless there is another one in its
// place already. It is shown again all the same: the reason may have been another one.
func (c *Client) ticketRefused(service entity.Type, t *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tickets.services[service] == t {
		refused := *t
		refused.refused = true
		c.tickets.services = maps.Clone(c.tickets.services)
		c.tickets.services[service] = &refused
	}
}

// More implements auth.ClientExchange: it answers the daemon's challenge.
func (x *authorizing) More(payload []byte) ([]byte, error) {
	if x.stage != stageAsked {
		return nil, fmt.Errorf("%w: another challenge", errOrder)
	}
	challenge, err := OpenAuthorizeChallenge(x.ticket.key, payload)
	if err != nil {
		return nil, fmt.Errorf("cephx: the challenge of a %s: %w", x.service, err)
	}
	x.stage = stageProved
	return x.authorizer(Authorize{Nonce: x.nonce, Answered: true, Answer: uint64(challenge) + 1})
}

// Done implements auth.ClientExchange: the daemon shows that it could open the ticket, and
// so that it is one of the service, but not which.
func (x *authorizing) Done(globalID uint64, mode uint32, payload []byte) (auth.Result, error) {
	if x.stage != stageProved {
		return auth.Result{}, fmt.Errorf("%w: AUTH_DONE before a challenge", errOrder)
	}
	x.stage = stageDone
	reply, err := OpenAuthorizeReply(x.ticket.key, payload)
	switch {
	case err != nil:
		return auth.Result{}, fmt.Errorf("cephx: the answer of a %s: %w", x.service, err)
	case !sameU64(reply.NoncePlusOne, x.nonce+1):
		return auth.Result{}, fmt.Errorf("%w: a %s answers with another nonce", errOrder, x.service)
	}
	r := auth.Result{GlobalID: globalID, Method: auth.MethodCephX, Mode: mode, SessionKey: secretOf(x.ticket.key)}
	if mode == auth.ModeSecure {
		r.ConnectionSecret = append([]byte(nil), reply.Secret...)
	}
	return r, nil
}

// sameU64 compares what an attacker might guess, in constant time.
func sameU64(a, b uint64) bool {
	return subtle.ConstantTimeCompare(le.AppendUint64(nil, a), le.AppendUint64(nil, b)) == 1
}
