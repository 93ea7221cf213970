package cephx

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// What an entity asks of a monitor on a session that stands goes in messages: MAuth, and
// MAuthReply with the answer (docs/PROTOCOL.md 2.3).
const (
	// TypeMAuth and TypeMAuthReply are the types of the messages; their version is 1.
	TypeMAuth      = 17
	TypeMAuthReply = 18
)

// The types of requests besides GetAuthSessionKey.
const (
	// GetTickets asks for tickets for services, and shows the one of AUTH.
	GetTickets = 0x0200
	// GetRotating asks for the rotating secrets of the entity's own service.
	GetRotating = 0x0400
)

// appendMAuth appends the front of an MAuth: u64 version, s16 and u64 that are of no use any
// more, u32 method, bl payload, u32 epoch of the monmap.
func appendMAuth(dst, payload []byte) []byte {
	dst = le.AppendUint16(le.AppendUint64(dst, 0), 0xffff)
	dst = le.AppendUint32(le.AppendUint64(dst, 0), auth.MethodCephX)
	return le.AppendUint32(denc.AppendBL(dst, payload), 0)
}

// parseMAuth reads the front of an MAuth.
func parseMAuth(front []byte) (payload []byte, err error) {
	r := denc.NewReader(front)
	r.Bytes(8 + 2 + 8)
	method := r.U32()
	payload = r.BL()
	r.U32()
	if err := r.End(); err != nil {
		return nil, err
	}
	if method != auth.MethodCephX {
		return nil, fmt.Errorf("%w: an MAuth of method %s", denc.ErrValue, auth.MethodName(method))
	}
	return payload, nil
}

// mAuthReply is the front of an MAuthReply: u32 method, s32 result, u64 global id, bl body,
// string text; the body begins with the u16 type of the request and an s32 status.
type mAuthReply struct {
	result   int32
	globalID uint64
	request  uint16
	status   int32
	body     []byte
	text     string
}

func parseMAuthReply(front []byte) (q mAuthReply, err error) {
	r := denc.NewReader(front)
	method := r.U32()
	q.result, q.globalID = r.S32(), r.U64()
	body := r.BL()
	q.text = r.String()
	if err := r.End(); err != nil {
		return q, err
	}
	if method != auth.MethodCephX {
		return q, fmt.Errorf("%w: an MAuthReply of method %s", denc.ErrValue, auth.MethodName(method))
	}
	if len(body) == 0 && q.result != 0 {
		return q, nil
	}
	r = denc.NewReader(body)
	q.request, q.status = r.U16(), r.S32()
	q.body = r.Rest()
	return q, r.Err()
}

func (q mAuthReply) append(dst []byte) []byte {
	dst = le.AppendUint32(le.AppendUint32(dst, auth.MethodCephX), uint32(q.result))
	body := le.AppendUint32(le.AppendUint16(nil, q.request), uint32(q.status))
	dst = denc.AppendBL(le.AppendUint64(dst, q.globalID), append(body, q.body...))
	return denc.AppendString(dst, q.text)
}

// TicketRequest asks for tickets, and shows that of AUTH: u16 request type, authorizer, u8
// version, u32 services.
type TicketRequest struct {
	Authorizer Authorizer
	Services   uint32
}

// ParseTicketRequest reads the payload of an MAuth.
func ParseTicketRequest(p []byte) (q TicketRequest, err error) {
	r := denc.NewReader(p)
	consumeType(&r, GetTickets)
	q.Authorizer = consumeAuthorizer(&r)
	consumeVersion(&r, "request for tickets", 1)
	q.Services = r.U32()
	return q, r.End()
}

// Append appends the wire form.
func (q TicketRequest) Append(dst []byte) []byte {
	dst = q.Authorizer.Append(le.AppendUint16(dst, GetTickets))
	return le.AppendUint32(append(dst, 1), q.Services)
}

// RotatingSecret is one of the secrets of a service that monitors change from time to time.
type RotatingSecret struct {
	// ID is what TicketBlob.SecretID says.
	ID uint64
	// Key seals the ticket infos.
	Key Key
	// Expires is when tickets under it are worth nothing any more.
	Expires Time
}

// rotatingMax bounds how many secrets of a service there are at a time; Ceph has 3.
const rotatingMax = 64

// RotatingSecrets are those of a service (RotatingSecrets): u8 version, u32 count, of each:
// u64 id, u8 version, key, utime expires; u64 highest id.
type RotatingSecrets struct {
	Secrets []RotatingSecret
	MaxID   uint64
}

// ParseRotatingSecrets reads what was opened.
func ParseRotatingSecrets(p []byte) (s RotatingSecrets, err error) {
	r := denc.NewReader(p)
	consumeVersion(&r, "list of rotating secrets", 1)
	for range r.Count(8+1+12+8, rotatingMax) {
		id := r.U64()
		consumeVersion(&r, "rotating secret", 1)
		s.Secrets = append(s.Secrets, RotatingSecret{ID: id, Key: ConsumeKey(&r), Expires: consumeTime(&r)})
	}
	s.MaxID = r.U64()
	return s, r.End()
}

// Append appends the wire form.
func (s RotatingSecrets) Append(dst []byte) []byte {
	dst = le.AppendUint32(append(dst, 1), uint32(len(s.Secrets)))
	for _, x := range s.Secrets {
		dst = append(le.AppendUint64(dst, x.ID), 1)
		dst = x.Expires.append(x.Key.Append(dst))
	}
	return le.AppendUint64(dst, s.MaxID)
}

// Find is the secret with that id.
func (s RotatingSecrets) Find(id uint64) (RotatingSecret, bool) {
	for _, x := range s.Secrets {
		if x.ID == id {
			return x, true
		}
	}
	return RotatingSecret{}, false
}

// errStatus is a refusal of a request in a message.
func errStatus(what string, status int32, text string) error {
	if len(text) > 200 {
		text = text[:200]
	}
	return fmt.Errorf("%w: %s: status %d %q", auth.ErrRefused, what, status, text)
}
