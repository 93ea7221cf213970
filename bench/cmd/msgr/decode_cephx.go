package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// cephxWatch follows the cephx exchanges of recordings that are decoded one after the
// other. It remembers the session keys of tickets for those that come later.
type cephxWatch struct {
	file string         // the keyring's
	ring *cephx.Keyring // nil: none was given, and nothing is opened
	keys map[ticketOf]cephx.Key
}

// ticketOf says whose ticket it is, and for what.
type ticketOf struct {
	globalID uint64
	service  entity.Type
}

// newCephxWatch reads the keyring; "" is none.
func newCephxWatch(file string) (*cephxWatch, error) {
	w := &cephxWatch{file: file, keys: map[ticketOf]cephx.Key{}}
	if file == "" {
		return w, nil
	}
	f, err := openFile(file, "a keyring")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if w.ring, err = cephx.ReadKeyring(f); err != nil {
		return nil, fmt.Errorf("%s: %w; give a file such as ceph.client.admin.keyring", file, err)
	}
	if len(w.ring.Names()) == 0 {
		return nil, fmt.Errorf("%s: there is no key in it; give a file such as ceph.client.admin.keyring", file)
	}
	return w, nil
}

// cephxConn is one connection and its exchange.
type cephxConn struct {
	*cephxWatch
	w       io.Writer
	streams [2][]byte
	// heard is where each stream is after what the signature of the other side covers:
	// everything before its own signature. signed: that has come.
	heard  [2]int
	signed [2]bool

	method     uint32
	authorizer bool // the exchange is with a daemon, not with a monitor
	name       entity.AuthName
	service    entity.Type
	key        cephx.Key // the entity's; nil: it is not in the keyring
	challenge  cephx.Challenge
	nonce      uint64
	session    cephx.Key // nil: not known
	secret     []byte    // of the connection

	tickets, signatures int // opened, verified
}

func (w *cephxWatch) connection(t *frame.Transcript, out io.Writer) *cephxConn {
	return &cephxConn{cephxWatch: w, w: out,
		streams: [2][]byte{t.Stream(frame.FromConnector), t.Stream(frame.FromAcceptor)}}
}

// connectionSecret implements frame.WalkOptions.Secret.
func (c *cephxConn) connectionSecret(*frame.AuthDone) []byte { return c.secret }

// note says something about the frame that was printed last.
func (c *cephxConn) note(format string, args ...any) {
	fmt.Fprintf(c.w, "    cephx: "+format+"\n", args...)
}

func (c *cephxConn) summary() {
	if c.ring != nil && c.method == auth.MethodCephX {
		fmt.Fprintf(c.w, "cephx: %d tickets opened, %d signatures ok\n", c.tickets, c.signatures)
	}
}

// visit looks at a frame. An error, which says where, is about something that a key of
// the keyring does not open, or that is not as the protocol has it.
func (c *cephxConn) visit(r *frame.Record) error {
	if c.ring == nil {
		return nil
	}
	err := c.look(r)
	if err != nil {
		return &frame.WalkError{From: r.From, Offset: r.Offset, Err: err}
	}
	if side := sideOf(r.From); !c.signed[side] {
		c.heard[side] = r.Offset + r.Len
	}
	return nil
}

func (c *cephxConn) look(r *frame.Record) error {
	if r.Banner != nil {
		return nil
	}
	switch r.Preamble.Tag {
	case frame.TagAuthRequest:
		var f frame.AuthRequest
		if err := f.Parse(r.Payload); err != nil {
			return err
		}
		return c.begin(&f)
	case frame.TagAuthReplyMore:
		var f frame.AuthReplyMore
		if err := f.Parse(r.Payload); err != nil || c.method != auth.MethodCephX {
			return err
		}
		return c.challenged(f.Payload)
	case frame.TagAuthRequestMore:
		var f frame.AuthRequestMore
		if err := f.Parse(r.Payload); err != nil || c.method != auth.MethodCephX {
			return err
		}
		return c.answered(f.Payload)
	case frame.TagAuthDone:
		var f frame.AuthDone
		if err := f.Parse(r.Payload); err != nil || c.method != auth.MethodCephX {
			return err
		}
		return c.done(&f)
	case frame.TagAuthSignature:
		var f frame.AuthSignature
		if err := f.Parse(r.Payload); err != nil {
			return err
		}
		return c.signature(sideOf(r.From), f.Signature)
	}
	return nil
}

// begin is AUTH_REQUEST.
func (c *cephxConn) begin(f *frame.AuthRequest) error {
	c.method, c.key, c.session, c.secret, c.authorizer = f.Method, nil, nil, nil, false
	if f.Method != auth.MethodCephX {
		return nil
	}
	if len(f.Payload) > 0 && f.Payload[0] == auth.PayloadAuthorizer {
		return c.authorize(f.Payload)
	}
	who, err := cephx.ParseWho(f.Payload)
	if err != nil {
		return fmt.Errorf("payload of AUTH_REQUEST: %w", err)
	}
	c.name = who.Name
	if c.key, _ = c.ring.Key(who.Name); c.key == nil {
		c.note("there is no key of %s in %s: nothing of this login is opened", c.name, c.file)
	}
	return nil
}

// authorize is AUTH_REQUEST to a daemon.
func (c *cephxConn) authorize(payload []byte) error {
	a, err := cephx.ParseAuthorizer(payload)
	if err != nil {
		return fmt.Errorf("payload of AUTH_REQUEST: %w", err)
	}
	c.authorizer, c.service = true, a.Service
	if c.session, err = c.sessionOf(&a); err != nil || c.session == nil {
		return err
	}
	x, err := cephx.OpenAuthorize(c.session, a.Sealed)
	if err != nil {
		return c.unopened("the authorizer", err)
	}
	c.nonce = x.Nonce
	c.note("authorizer for %v of global id %d opened", a.Service, a.GlobalID)
	return nil
}

// sessionOf is the session key of an authorizer's ticket, nil if it is not known.
func (c *cephxConn) sessionOf(a *cephx.Authorizer) (cephx.Key, error) {
	if a.Ticket.SecretID != cephx.SecretMon {
		k := c.keys[ticketOf{a.GlobalID, a.Service}]
		if k == nil {
			c.note("the ticket for %v of global id %d is not known: "+
				"decode the recording of its login with the monitor before this one", a.Service, a.GlobalID)
		}
		return k, nil
	}
	// Monitors make tickets for each other with the key that all of them have.
	mon, ok := c.ring.Key(entity.AuthName{Type: entity.TypeMon})
	if !ok {
		c.note("there is no key of mon. in %s: the ticket is not opened", c.file)
		return nil, nil
	}
	p, err := mon.Open(nil, cephx.UsageTicketInfo, a.Ticket.Blob)
	if err != nil {
		return nil, fmt.Errorf(
			"the ticket does not open with the key of mon. in %s: the keyring is of another cluster: %w",
			c.file, err)
	}
	info, err := cephx.ParseTicketInfo(p)
	if err != nil {
		return nil, err
	}
	c.tickets++
	c.note("ticket of %s opened with the key of mon.", info.Name)
	return info.SessionKey, nil
}

// unopened is the error about something that the session key does not open.
func (c *cephxConn) unopened(what string, err error) error {
	return fmt.Errorf("%s does not open with the session key of the ticket for %v: "+
		"it is another ticket's, or was changed: %w", what, c.service, err)
}

// challenged is AUTH_REPLY_MORE.
func (c *cephxConn) challenged(payload []byte) (err error) {
	switch {
	case !c.authorizer:
		if c.challenge, err = cephx.ParseChallenge(payload); err != nil {
			return fmt.Errorf("payload of AUTH_REPLY_MORE: %w", err)
		}
	case c.session != nil:
		if c.challenge, err = cephx.OpenAuthorizeChallenge(c.session, payload); err != nil {
			return c.unopened("the challenge", err)
		}
	}
	return nil
}

// answered is AUTH_REQUEST_MORE.
func (c *cephxConn) answered(payload []byte) error {
	if c.authorizer {
		return c.authorizedAgain(payload)
	}
	q, err := cephx.ParseLoginRequest(payload)
	if err != nil {
		return fmt.Errorf("payload of AUTH_REQUEST_MORE: %w", err)
	}
	switch {
	case c.key == nil:
	case q.Proof == c.key.Proof(uint64(c.challenge), q.Challenge):
		c.note("proof of %s ok", c.name)
	default: // a client with a wrong key does the same: AUTH_DONE decides
		c.note("proof of %s is not by its key in %s", c.name, c.file)
	}
	return nil
}

func (c *cephxConn) authorizedAgain(payload []byte) error {
	a, err := cephx.ParseAuthorizer(payload)
	if err != nil {
		return fmt.Errorf("payload of AUTH_REQUEST_MORE: %w", err)
	}
	if c.session == nil {
		return nil
	}
	x, err := cephx.OpenAuthorize(c.session, a.Sealed)
	switch {
	case err != nil:
		return c.unopened("the authorizer", err)
	case x.Nonce != c.nonce || !x.Answered || x.Answer != uint64(c.challenge)+1:
		return errors.New("the authorizer does not answer the challenge")
	}
	c.note("challenge answered")
	return nil
}

// done is AUTH_DONE.
func (c *cephxConn) done(f *frame.AuthDone) error {
	if c.authorizer {
		return c.authorized(f)
	}
	q, err := cephx.ParseLoginReply(f.Payload)
	if err != nil {
		return fmt.Errorf("payload of AUTH_DONE: %w", err)
	}
	if c.key == nil {
		return nil
	}
	with := c.key
	for i, t := range append(q.Tickets, q.Extra...) {
		st, err := t.Open(with)
		switch {
		case err != nil && i == 0:
			return fmt.Errorf("the ticket for %v does not open with the key of %s in %s: "+
				"the keyring is of another cluster, or the key is another one now: %w", t.Service, c.name, c.file, err)
		case err != nil:
			return fmt.Errorf("the ticket for %v does not open with the session key with %v: %w",
				t.Service, entity.TypeAuth, err)
		case i == 0:
			with, c.session = st.SessionKey, st.SessionKey
		}
		c.tickets++
		c.keys[ticketOf{f.GlobalID, t.Service}] = st.SessionKey
		more := ""
		if t.BlobSealed {
			more = "; its blob is sealed with the session key before, and not opened"
		}
		c.note("ticket for %v opened: session key of %v, valid for %v%s",
			t.Service, st.SessionKey.Type(), st.Validity.Duration(), more)
	}
	if q.Secret == nil || c.session == nil {
		c.note("no connection secret")
		return nil
	}
	if c.secret, err = cephx.OpenSecret(c.session, q.Secret); err != nil {
		return fmt.Errorf("the connection secret does not open with the session key: %w", err)
	}
	c.note("connection secret of %d bytes opened", len(c.secret))
	return nil
}

// authorized is AUTH_DONE of a daemon.
func (c *cephxConn) authorized(f *frame.AuthDone) error {
	if c.session == nil {
		return nil
	}
	x, err := cephx.OpenAuthorizeReply(c.session, f.Payload)
	switch {
	case err != nil:
		return c.unopened("the reply", err)
	case x.NoncePlusOne != c.nonce+1:
		return errors.New("the reply does not have the nonce of the authorizer plus one")
	}
	c.secret = x.Secret
	c.note("%v has shown that it could open the ticket; connection secret of %d bytes", c.service, len(c.secret))
	return nil
}

// signature is AUTH_SIGNATURE: it is over all that its side has received.
func (c *cephxConn) signature(side int, got [32]byte) error {
	c.signed[side] = true
	over := c.streams[1-side][:c.heard[1-side]]
	switch {
	case c.method != auth.MethodCephX:
		if got != [32]byte{} {
			return errors.New("a signature that is not zero, though there is no session key")
		}
		return nil
	case c.session == nil:
		c.note("signature not verified: the session key is not known")
		return nil
	case got != c.session.Sign(over):
		return fmt.Errorf("the signature is not that of the %d bytes which %s received from %s: "+
			"they were changed on their way, or the session key is another one", len(over), sides[side], sides[1-side])
	}
	c.signatures++
	c.note("signature of %d bytes ok", len(over))
	return nil
}
