package cephx

import (
	"fmt"
	"math"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// ticketsMax bounds how many tickets one answer has: there are fewer services than bits
// in an entity type.
const ticketsMax = 32

// consumeVersion consumes the u8 version that a structure begins with; one beyond max is
// an error, for nothing says where such a structure ends.
func consumeVersion(r *denc.Reader, what string, max uint8) uint8 {
	v := r.U8()
	if r.Err() == nil && (v == 0 || v > max) {
		r.Fail(fmt.Errorf("%w: version %d of a %s, this one knows 1 to %d", denc.ErrValue, v, what, max))
	}
	return v
}

// Time is a moment or a duration, as Ceph writes them: seconds and nanoseconds.
type Time struct{ Sec, Nsec uint32 }

func consumeTime(r *denc.Reader) Time { return Time{r.U32(), r.U32()} }

func (t Time) append(dst []byte) []byte {
	return le.AppendUint32(le.AppendUint32(dst, t.Sec), t.Nsec)
}

// timeAt is a moment as Ceph writes it, from 1970 to 2106; what is outside becomes the end
// that is nearer.
func timeAt(m time.Time) Time {
	switch sec := m.Unix(); {
	case sec < 0:
		return Time{}
	case sec > math.MaxUint32:
		return Time{math.MaxUint32, 0}
	default:
		return Time{uint32(sec), uint32(m.Nanosecond())}
	}
}

// word is the wire form as a number.
func (t Time) word() uint64 { return uint64(t.Nsec)<<32 | uint64(t.Sec) }

// Duration is t as a duration.
func (t Time) Duration() time.Duration {
	return time.Duration(t.Sec)*time.Second + time.Duration(t.Nsec)
}

// Moment is t as a moment, in UTC.
func (t Time) Moment() time.Time { return time.Unix(int64(t.Sec), int64(t.Nsec)).UTC() }

// TicketBlob is a ticket as a client keeps and shows it (CephXTicketBlob): u8 version,
// u64 secret id, bl blob.
type TicketBlob struct {
	// SecretID is the number of the service's rotating secret that sealed Blob;
	// SecretMon is the key of "mon.".
	SecretID uint64
	// Blob is a TicketInfo, sealed for UsageTicketInfo.
	Blob []byte
}

// SecretMon is the SecretID of tickets that monitors make for themselves.
const SecretMon = ^uint64(0)

// ConsumeTicketBlob consumes a TicketBlob.
func ConsumeTicketBlob(r *denc.Reader) TicketBlob {
	consumeVersion(r, "ticket blob", 1)
	return TicketBlob{SecretID: r.U64(), Blob: r.BL()}
}

// Append appends the wire form.
func (t TicketBlob) Append(dst []byte) []byte {
	return denc.AppendBL(le.AppendUint64(append(dst, 1), t.SecretID), t.Blob)
}

// ServiceTicket is what a client learns of a ticket (CephXServiceTicket): u8 version,
// key, utime validity.
type ServiceTicket struct {
	// SessionKey is what client and service share from now on.
	SessionKey Key
	// Validity is for how long.
	Validity Time
}

// ParseServiceTicket reads a ServiceTicket that was opened.
func ParseServiceTicket(p []byte) (t ServiceTicket, err error) {
	r := denc.NewReader(p)
	consumeVersion(&r, "service ticket", 1)
	t.SessionKey, t.Validity = ConsumeKey(&r), consumeTime(&r)
	return t, r.End()
}

// Append appends the wire form.
func (t ServiceTicket) Append(dst []byte) []byte {
	return t.Validity.append(t.SessionKey.Append(append(dst, 1)))
}

// Ticket is one of those that a monitor gives out: u32 service, u8 version, bl sealed,
// u8 whether the blob is sealed too, bl of that.
type Ticket struct {
	// Service is whom the ticket is for.
	Service entity.Type
	// Sealed is a ServiceTicket, sealed for UsageServiceTicket.
	Sealed []byte
	// Blob is a TicketBlob; BlobSealed: as a bl, and sealed for UsageTicketBlob with the
	// session key that the client had before.
	Blob       []byte
	BlobSealed bool
}

// ConsumeTickets consumes the tickets of an answer: u8 version, u32 count, tickets.
func ConsumeTickets(r *denc.Reader) []Ticket {
	consumeVersion(r, "list of tickets", 1)
	var out []Ticket
	for range r.Count(4+1+4+1+4, ticketsMax) {
		service := r.U32()
		if service > 0xff {
			r.Fail(fmt.Errorf("%w: service %#x", denc.ErrValue, service))
		}
		consumeVersion(r, "ticket", 1)
		out = append(out, Ticket{Service: entity.Type(service), Sealed: r.BL(), BlobSealed: r.Bool(), Blob: r.BL()})
	}
	if r.Err() != nil {
		return nil
	}
	return out
}

// AppendTickets appends the wire form.
func AppendTickets(dst []byte, all []Ticket) []byte {
	dst = le.AppendUint32(append(dst, 1), uint32(len(all)))
	for _, t := range all {
		dst = append(le.AppendUint32(dst, uint32(t.Service)), 1)
		dst = denc.AppendBL(dst, t.Sealed)
		dst = denc.AppendBL(denc.AppendBool(dst, t.BlobSealed), t.Blob)
	}
	return dst
}

// Open opens what the ticket says to a client: k is the entity's key for the ticket of
// AUTH, the session key with AUTH for the others.
func (t Ticket) Open(k Key) (ServiceTicket, error) {
	p, err := k.Open(nil, UsageServiceTicket, t.Sealed)
	if err != nil {
		return ServiceTicket{}, err
	}
	return ParseServiceTicket(p)
}

// TicketInfo is what a service learns of a ticket (CephXServiceTicketInfo): u8 version,
// AuthTicket, key. The AuthTicket is u8 version, name, u64 global id, u64 old auid, utime
// created, utime expires, caps (u8 version, bool all, bl), u32 flags.
type TicketInfo struct {
	Name             entity.AuthName
	GlobalID         uint64
	OldAUID          uint64 // ^0
	Created, Expires Time
	AllowAll         bool
	Caps             []byte
	Flags            uint32
	SessionKey       Key
}

// ParseTicketInfo reads a TicketInfo that was opened.
func ParseTicketInfo(p []byte) (t TicketInfo, err error) {
	r := denc.NewReader(p)
	consumeVersion(&r, "ticket info", 1)
	if v := consumeVersion(&r, "ticket", 2); v == 1 && r.Err() == nil {
		r.Fail(fmt.Errorf("%w: version 1 of a ticket", denc.ErrValue))
	}
	t.Name = entity.ConsumeAuthName(&r)
	t.GlobalID, t.OldAUID = r.U64(), r.U64()
	t.Created, t.Expires = consumeTime(&r), consumeTime(&r)
	consumeVersion(&r, "capabilities", 1)
	t.AllowAll, t.Caps, t.Flags = r.Bool(), r.BL(), r.U32()
	t.SessionKey = ConsumeKey(&r)
	return t, r.End()
}

// Append appends the wire form.
func (t TicketInfo) Append(dst []byte) []byte {
	dst = t.Name.Append(append(dst, 1, 2))
	dst = le.AppendUint64(le.AppendUint64(dst, t.GlobalID), t.OldAUID)
	dst = append(t.Expires.append(t.Created.append(dst)), 1)
	dst = denc.AppendBL(denc.AppendBool(dst, t.AllowAll), t.Caps)
	return t.SessionKey.Append(le.AppendUint32(dst, t.Flags))
}

// parseTickets reads tickets that stand alone.
func parseTickets(p []byte) ([]Ticket, error) {
	r := denc.NewReader(p)
	list := ConsumeTickets(&r)
	return list, r.End()
}
