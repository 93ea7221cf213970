package cephx

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// The payloads of the exchange with a monitor (docs/PROTOCOL.md 2.3), in its order: AUTH_REQUEST
// says who it is, AUTH_REPLY_MORE has a Challenge, AUTH_REQUEST_MORE a LoginRequest and
// AUTH_DONE a LoginReply.

// GetAuthSessionKey is the type of request that a login is.
const GetAuthSessionKey = 0x0100

// Challenge is a monitor's (CephXServerChallenge): u8 version, u64.
type Challenge uint64

// ParseChallenge reads the payload of AUTH_REPLY_MORE.
func ParseChallenge(p []byte) (Challenge, error) {
	r := denc.NewReader(p)
	consumeVersion(&r, "challenge", 1)
	c := Challenge(r.U64())
	return c, r.End()
}

// Append appends the wire form.
func (c Challenge) Append(dst []byte) []byte { return le.AppendUint64(append(dst, 1), uint64(c)) }

// LoginRequest shows that the client has its key (CephXAuthenticate): u16 request type,
// u8 version, u64 challenge, u64 proof, ticket blob, u32 other keys (version 2 and 3).
type LoginRequest struct {
	Version   uint8 // 1 to 3
	Challenge uint64
	// Proof is Key.Proof of the monitor's challenge and this one.
	Proof uint64
	// Old is the ticket that the client had before, or zero.
	Old TicketBlob
	// OtherKeys are the entity types that tickets are wanted for, or-ed.
	OtherKeys uint32
}

// ParseLoginRequest reads the payload of AUTH_REQUEST_MORE.
func ParseLoginRequest(p []byte) (q LoginRequest, err error) {
	r := denc.NewReader(p)
	consumeType(&r, GetAuthSessionKey)
	q.Version = consumeVersion(&r, "login", 3)
	q.Challenge, q.Proof, q.Old = r.U64(), r.U64(), ConsumeTicketBlob(&r)
	if q.Version >= 2 {
		q.OtherKeys = r.U32()
	}
	return q, r.End()
}

// Append appends the wire form.
func (q LoginRequest) Append(dst []byte) []byte {
	dst = append(le.AppendUint16(dst, GetAuthSessionKey), q.Version)
	dst = q.Old.Append(le.AppendUint64(le.AppendUint64(dst, q.Challenge), q.Proof))
	if q.Version >= 2 {
		dst = le.AppendUint32(dst, q.OtherKeys)
	}
	return dst
}

// LoginReply is what a monitor gives to a client that has shown its key: u16 request
// type, s32 status, tickets; and if it asked for other keys, bl secret, bl extra tickets.
type LoginReply struct {
	Status int32
	// Tickets is the one of AUTH, sealed with the entity's key.
	Tickets []Ticket
	// Secret is the connection secret as a bl, sealed for UsageConnectionSecret with the
	// session key of that ticket. It is nil if the client asked for no other keys.
	Secret []byte
	// Extra are the tickets for services, sealed with that session key; HasExtra tells
	// none from an empty list.
	Extra    []Ticket
	HasExtra bool
}

// ParseLoginReply reads the payload of AUTH_DONE.
func ParseLoginReply(p []byte) (q LoginReply, err error) {
	r := denc.NewReader(p)
	consumeType(&r, GetAuthSessionKey)
	q.Status = r.S32()
	return consumeLoginBody(&r, q)
}

// parseLoginBody reads what follows the type of the request and the status.
func parseLoginBody(p []byte) (LoginReply, error) {
	r := denc.NewReader(p)
	return consumeLoginBody(&r, LoginReply{})
}

func consumeLoginBody(r *denc.Reader, q LoginReply) (LoginReply, error) {
	q.Tickets = ConsumeTickets(r)
	if r.Err() == nil && r.Len() > 0 {
		if secret := r.BL(); len(secret) > 0 {
			in := denc.NewReader(secret)
			q.Secret = in.BL()
			if err := in.End(); err != nil {
				r.Fail(err)
			}
		}
		if extra := r.BL(); len(extra) > 0 {
			in := denc.NewReader(extra)
			q.Extra, q.HasExtra = ConsumeTickets(&in), true
			if err := in.End(); err != nil {
				r.Fail(err)
			}
		}
	}
	return q, r.End()
}

// Append appends the wire form.
func (q LoginReply) Append(dst []byte) []byte {
	dst = le.AppendUint32(le.AppendUint16(dst, GetAuthSessionKey), uint32(q.Status))
	dst = AppendTickets(dst, q.Tickets)
	if q.Secret == nil {
		return dst
	}
	dst = denc.AppendBL(dst, denc.AppendBL(nil, q.Secret))
	if !q.HasExtra {
		return denc.AppendBL(dst, nil)
	}
	return denc.AppendBL(dst, AppendTickets(nil, q.Extra))
}

// consumeType consumes the u16 that says what a request or an answer is about.
func consumeType(r *denc.Reader, want uint16) {
	if t := r.U16(); r.Err() == nil && t != want {
		r.Fail(fmt.Errorf("%w: request type %#x, want %#x", denc.ErrValue, t, want))
	}
}

// OpenSecret opens a connection secret: 64 bytes in secure mode, none in crc mode.
func OpenSecret(k Key, sealed []byte) ([]byte, error) {
	p, err := k.Open(nil, UsageConnectionSecret, sealed)
	if err != nil {
		return nil, err
	}
	r := denc.NewReader(p)
	secret := r.BL()
	return secret, r.End()
}

// Who is the payload of AUTH_REQUEST to a monitor: u8 payload mode, name, u64 global id.
type Who struct {
	// PayloadMode is auth.PayloadMon, or another one of 10 to 19.
	PayloadMode uint8
	Name        entity.AuthName
	// GlobalID is the number that the client has, 0 if it has none.
	GlobalID uint64
}

// ParseWho reads the payload of AUTH_REQUEST to a monitor.
func ParseWho(p []byte) (w Who, err error) {
	r := denc.NewReader(p)
	w.PayloadMode, w.Name, w.GlobalID = r.U8(), entity.ConsumeAuthName(&r), r.U64()
	return w, r.End()
}

// Append appends the wire form.
func (w Who) Append(dst []byte) []byte {
	return le.AppendUint64(w.Name.Append(append(dst, w.PayloadMode)), w.GlobalID)
}
