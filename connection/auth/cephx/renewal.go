package cephx

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// ErrLoginDue: there was no login yet, or a monitor has refused to renew it. It takes a new
// connection with a monitor.
var ErrLoginDue = errors.New("cephx: a login is due: connect to a monitor anew")

// How long a request for tickets is waited for until it is made again: an eighth of a
// ticket's life within these bounds; the longer one for a ticket that there is not, since
// the monitor may not give any.
const (
	askAgainMin = time.Second
	askAgainMax = 10 * time.Second
)

// due is from when on a ticket is to be asked for, which may be nil.
func (t *tickets) due(h *held) time.Time {
	if h == nil {
		return t.asked.Add(askAgainMax)
	}
	if h.refused {
		return t.asked.Add(askAgainMin)
	}
	again := t.asked.Add(min(max(h.expires.Sub(h.renew)/2, askAgainMin), askAgainMax))
	if again.After(h.renew) {
		return again
	}
	return h.renew
}

// RenewAt is from when on Renewal has something to ask for: when a quarter of the life of a
// ticket is left, or of that of the secrets of ClientConfig.Service, or when an answer is
// late. It may be past. It is zero when Renewal is ErrLoginDue.
func (c *Client) RenewAt() time.Time {
	now := c.cfg.Now()
	c.mu.Lock()
	t := c.tickets
	c.mu.Unlock()
	if t.loginDue(now) {
		return time.Time{}
	}
	at := t.due(t.auth)
	for _, s := range c.cfg.Services {
		at = earlier(at, t.due(t.services[s]))
	}
	if c.cfg.Service != nil {
		at = earlier(at, c.cfg.Service.renewAt())
	}
	return at
}

// loginDue says that nothing can be asked for by the tickets that there are.
func (t *tickets) loginDue(now time.Time) bool {
	return t.auth == nil || !t.renewable && !now.Before(t.auth.renew) || !now.Before(t.auth.expires)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Renewal is what has to be asked of a monitor now, on the session that the last login began:
// the fronts of messages of TypeMAuth, none if nothing is due. The answers are for
// HandleReply.
func (c *Client) Renewal() (fronts [][]byte, err error) {
	now := c.cfg.Now()
	c.mu.Lock()
	t := c.tickets
	var due []entity.Type
	for _, s := range c.cfg.Services {
		if !now.Before(t.due(t.services[s])) {
			due = append(due, s)
		}
	}
	again := t.auth != nil && !now.Before(t.due(t.auth))
	login := t.loginDue(now)
	if !login && (again || len(due) > 0) {
		c.tickets.asked = now
	}
	c.mu.Unlock()

	var front []byte
	switch {
	case login:
		return nil, ErrLoginDue
	case again:
		front, err = c.proof(t.challenge, t.auth.blob) // which brings those of the services too
	case len(due) > 0:
		front, err = c.ticketRequest(&t, due)
	}
	if err != nil {
		return nil, err
	}
	if front != nil {
		fronts = append(fronts, appendMAuth(nil, front))
	}
	if s := c.cfg.Service; s != nil && !now.Before(s.renewAt()) {
		s.asking(now)
		fronts = append(fronts, appendMAuth(nil, le.AppendUint16(nil, GetRotating)))
	}
	return fronts, nil
}

func (c *Client) ticketRequest(t *tickets, services []entity.Type) ([]byte, error) {
	nonce, err := c.random.number()
	if err != nil {
		return nil, err
	}
	sealed, err := c.random.seal(t.auth.key, UsageAuthorize, Authorize{Nonce: nonce}.Append(nil))
	if err != nil {
		return nil, err
	}
	return TicketRequest{Services: maskOf(services), Authorizer: Authorizer{
		GlobalID: t.globalID, Service: entity.TypeAuth, Ticket: t.auth.blob, Sealed: sealed,
	}}.Append(nil), nil
}

// HandleReply takes the front of a message of TypeMAuthReply, the answer to one of Renewal's.
// A monitor that refuses is an error that wraps auth.ErrRefused; a login is due then.
func (c *Client) HandleReply(front []byte) error {
	q, err := parseMAuthReply(front)
	if err != nil {
		return fmt.Errorf("cephx: an answer of a monitor: %w", err)
	}
	status := q.result
	if status == 0 {
		status = q.status
	}
	switch {
	case status != 0 && q.request == GetRotating:
		return errStatus(fmt.Sprintf("a monitor gives %s no rotating secrets", c.cfg.Name), status, q.text)
	case status != 0:
		c.refused()
		return errStatus(fmt.Sprintf("a monitor does not renew the tickets of %s", c.cfg.Name), status, q.text)
	case q.request == GetRotating && c.cfg.Service != nil:
		return c.cfg.Service.open(c.cfg.Key, q.body)
	case q.request == GetTickets, q.request == GetAuthSessionKey:
		return c.renewed(q)
	}
	return fmt.Errorf("%w: request type %#x", errOrder, q.request)
}

// refused makes a login due.
func (c *Client) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tickets.renewable = false
	if a := c.tickets.auth; a != nil {
		due := *a
		due.renew = time.Time{}
		c.tickets.auth = &due
	}
}

// renewed takes the tickets that a monitor gave.
func (c *Client) renewed(q mAuthReply) error {
	c.mu.Lock()
	had := c.tickets
	c.mu.Unlock()
	if had.auth == nil {
		return fmt.Errorf("%w: tickets", errOrder)
	}
	var got tickets
	var err error
	if q.request == GetAuthSessionKey {
		var reply LoginReply
		if reply, err = parseLoginBody(q.body); err == nil {
			got, _, err = c.open(&had, had.globalID, reply)
		}
	} else {
		var list []Ticket
		if list, err = parseTickets(q.body); err == nil {
			got = had
			got.services, err = c.services(list, had.auth.key, had.services, c.cfg.Now())
		}
	}
	if err != nil {
		return fmt.Errorf("cephx: the tickets of %s: %w", c.cfg.Name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tickets.auth != had.auth {
		return nil // there was another login meanwhile, with its own tickets
	}
	got.challenge, got.renewable, got.asked = had.challenge, had.renewable, c.tickets.asked
	all := maps.Clone(c.tickets.services)
	maps.Copy(all, got.services)
	got.services = all
	c.tickets = got
	return nil
}
