package cephx

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// The payloads of the exchange with a daemon (docs/PROTOCOL.md 2.4), in its order: AUTH_REQUEST
// has an Authorizer, AUTH_REPLY_MORE a sealed challenge, AUTH_REQUEST_MORE the Authorizer
// again with that answered, and AUTH_DONE a sealed reply as a bl.

// Authorizer shows a daemon the ticket for its service: u8 version, u64 global id, u32
// service, ticket blob, bl sealed. Its version, 1, is the payload mode too.
type Authorizer struct {
	GlobalID uint64
	Service  entity.Type
	Ticket   TicketBlob
	// Sealed is an Authorize, sealed for UsageAuthorize with the ticket's session key.
	Sealed []byte
}

// ParseAuthorizer reads the payload of AUTH_REQUEST or AUTH_REQUEST_MORE to a daemon.
func ParseAuthorizer(p []byte) (Authorizer, error) {
	r := denc.NewReader(p)
	a := consumeAuthorizer(&r)
	return a, r.End()
}

func consumeAuthorizer(r *denc.Reader) (a Authorizer) {
	consumeVersion(r, "authorizer", 1)
	a.GlobalID = r.U64()
	service := r.U32()
	if service > 0xff {
		r.Fail(fmt.Errorf("%w: service %#x", denc.ErrValue, service))
	}
	a.Service, a.Ticket, a.Sealed = entity.Type(service), ConsumeTicketBlob(r), r.BL()
	return a
}

// Append appends the wire form.
func (a Authorizer) Append(dst []byte) []byte {
	dst = le.AppendUint32(le.AppendUint64(append(dst, 1), a.GlobalID), uint32(a.Service))
	return denc.AppendBL(a.Ticket.Append(dst), a.Sealed)
}

// Authorize is what a client seals to show that it has the session key
// (CephXAuthorize): u8 version, u64 nonce, bool, u64 answer.
type Authorize struct {
	Nonce uint64
	// Answered: Answer is the daemon's challenge plus one.
	Answered bool
	Answer   uint64
}

// OpenAuthorize opens the Sealed of an Authorizer.
func OpenAuthorize(k Key, sealed []byte) (a Authorize, err error) {
	p, err := k.Open(nil, UsageAuthorize, sealed)
	if err != nil {
		return a, err
	}
	r := denc.NewReader(p)
	v := consumeVersion(&r, "authorize", 2)
	a.Nonce = r.U64()
	if v >= 2 {
		a.Answered, a.Answer = r.Bool(), r.U64()
	}
	return a, r.End()
}

// Append appends the wire form, version 2, which is not sealed yet.
func (a Authorize) Append(dst []byte) []byte {
	dst = le.AppendUint64(append(dst, 2), a.Nonce)
	return le.AppendUint64(denc.AppendBool(dst, a.Answered), a.Answer)
}

// OpenAuthorizeChallenge opens the payload of AUTH_REPLY_MORE of a daemon
// (CephXAuthorizeChallenge: u8 version, u64).
func OpenAuthorizeChallenge(k Key, sealed []byte) (Challenge, error) {
	p, err := k.Open(nil, UsageAuthorizeChallenge, sealed)
	if err != nil {
		return 0, err
	}
	return ParseChallenge(p)
}

// AuthorizeReply shows that the daemon could open the ticket (CephXAuthorizeReply): u8
// version, u64 nonce plus one, and with version 2 the bl connection secret.
type AuthorizeReply struct {
	NoncePlusOne uint64
	// Secret is the connection secret; nil in crc mode, version 1.
	Secret []byte
}

// OpenAuthorizeReply opens the payload of AUTH_DONE of a daemon: a bl that is sealed for
// UsageAuthorizeReply.
func OpenAuthorizeReply(k Key, payload []byte) (a AuthorizeReply, err error) {
	r := denc.NewReader(payload)
	sealed := r.BL()
	if err := r.End(); err != nil {
		return a, err
	}
	p, err := k.Open(nil, UsageAuthorizeReply, sealed)
	if err != nil {
		return a, err
	}
	r = denc.NewReader(p)
	v := consumeVersion(&r, "authorize reply", 2)
	a.NoncePlusOne = r.U64()
	if v >= 2 {
		a.Secret = r.BL()
	}
	return a, r.End()
}

// Append appends the wire form, which is not sealed yet.
func (a AuthorizeReply) Append(dst []byte) []byte {
	if a.Secret == nil {
		return le.AppendUint64(append(dst, 1), a.NoncePlusOne)
	}
	return denc.AppendBL(le.AppendUint64(append(dst, 2), a.NoncePlusOne), a.Secret)
}
