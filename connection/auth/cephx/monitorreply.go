package cephx

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// HandleRequest answers the front of a message of TypeMAuth: tickets for services, or the
// rotating secrets of a daemon. peer is what the connection says of who sent it
// (Connection.Authenticated). The answer is the front of a message of TypeMAuthReply, of a
// refusal too; what is refused is an error besides, a *RefusalError, for the log. Without an
// answer the front was no request.
func (m *Monitor) HandleRequest(peer *entity.Authenticated, front []byte) (reply []byte, err error) {
	payload, err := parseMAuth(front)
	if err != nil {
		return nil, fmt.Errorf("cephx: a request of %s: %w", peer.Name, err)
	}
	r := denc.NewReader(payload)
	q := mAuthReply{request: r.U16()}
	if r.Err() != nil {
		return nil, fmt.Errorf("cephx: a request of %s: %w", peer.Name, r.Err())
	}
	switch {
	case !peer.Proved || peer.Method != auth.MethodCephX:
		err = errors.New("it has not logged in by cephx")
	case q.request == GetTickets:
		q.globalID, q.body, err = m.tickets(peer.Name, payload)
	case q.request == GetRotating && r.Len() == 0:
		q.body, err = m.rotating(peer.Name)
	case q.request == GetAuthSessionKey:
		q.globalID, q.body, err = m.again(peer, payload)
	default:
		err = fmt.Errorf("it asks for something that there is not: request type %#x", q.request)
	}
	if err != nil {
		q.result, q.body = -eACCES, nil
		err = &RefusalError{Name: peer.Name, Reason: err, Refusal: denied(auth.MethodCephX, m.cfg.Modes)}
	}
	return q.append(nil), err
}

// tickets answers GetTickets.
func (m *Monitor) tickets(name entity.AuthName, payload []byte) (globalID uint64, body []byte, err error) {
	q, err := ParseTicketRequest(payload)
	if err != nil {
		return 0, nil, fmt.Errorf("its request for tickets: %w", err)
	}
	a := q.Authorizer
	info, err := m.opened(a.Ticket)
	if err != nil {
		return 0, nil, err
	}
	switch {
	case a.Service != entity.TypeAuth:
		return 0, nil, fmt.Errorf("it shows a ticket for a %s", a.Service)
	case info.Name != name || info.GlobalID != a.GlobalID:
		return 0, nil, fmt.Errorf("it shows a ticket of %s", info.Name)
	case m.cfg.Now().After(info.Expires.Moment()):
		return 0, nil, errors.New("its login has expired")
	}
	if _, err := m.key(name); err != nil {
		return 0, nil, err
	}
	if _, err := OpenAuthorize(info.SessionKey, a.Sealed); err != nil {
		return 0, nil, fmt.Errorf("what shows that the ticket is its own: %w", err)
	}
	all, err := m.issueAll(name, info.GlobalID, q.Services, info.SessionKey)
	return info.GlobalID, AppendTickets(nil, all), err
}

// rotating answers GetRotating.
func (m *Monitor) rotating(name entity.AuthName) ([]byte, error) {
	if maskOf(servicesAll)&uint32(name.Type) == 0 || name.Type == entity.TypeMon {
		return nil, errors.New("it is no daemon, and has no rotating secrets")
	}
	k, err := m.key(name)
	if err != nil {
		return nil, err
	}
	sealed, err := k.Seal(nil, UsageRotating, m.Secrets(name.Type).Append(nil), &m.random)
	if err != nil {
		return nil, err
	}
	return denc.AppendBL(nil, sealed), nil
}

// Login is what a connection keeps of a login, so that it can be renewed there: the Proof of
// its entity.Authenticated.
type Login struct {
	challenge Challenge
	globalID  uint64
}

// Format writes the number, whatever the verb.
func (l *Login) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "cephx.Login(%d)", l.globalID) }

// again answers another proof of the challenge that the connection began with.
func (m *Monitor) again(peer *entity.Authenticated, payload []byte) (globalID uint64, body []byte, err error) {
	l, ok := peer.Proof.(*Login)
	if !ok {
		return 0, nil, errors.New("its connection did not begin with a login")
	}
	q, err := ParseLoginRequest(payload)
	if err != nil {
		return 0, nil, fmt.Errorf("its proof: %w", err)
	}
	_, old, k, err := m.proved(Who{Name: peer.Name, GlobalID: l.globalID}, l.challenge, q)
	if err != nil {
		return 0, nil, err
	}
	reply, _, err := m.welcome(peer.Name, l.globalID, q.OtherKeys, k, old, nil)
	const head = 2 + 4 // the type of the request and the status, which the message has too
	return l.globalID, reply.Append(nil)[head:], err
}
