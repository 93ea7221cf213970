package frame

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// Stamp is a point in time as it is on the wire (Ceph's utime_t).
type Stamp struct{ Sec, Nsec uint32 }

// StampOf is t as a Stamp. Times before 1970 or after 2106 wrap.
func StampOf(t time.Time) Stamp {
	return Stamp{Sec: uint32(t.Unix()), Nsec: uint32(t.Nanosecond())}
}

// Time is s as a time.
func (s Stamp) Time() time.Time { return time.Unix(int64(s.Sec), int64(s.Nsec)) }

// String is seconds and nanoseconds, "12.000000034".
func (s Stamp) String() string { return fmt.Sprintf("%d.%09d", s.Sec, s.Nsec) }

func (s Stamp) append(dst []byte) []byte {
	return le.AppendUint32(le.AppendUint32(dst, s.Sec), s.Nsec)
}

func (s *Stamp) parse(t Tag, p []byte) error {
	r := denc.NewReader(p)
	s.Sec, s.Nsec = r.U32(), r.U32()
	return finish(t, p, &r)
}

// Keepalive is KEEPALIVE2: are you there?
type Keepalive struct {
	// Stamp is the sender's clock.
	Stamp Stamp
}

// Tag is TagKeepalive.
func (Keepalive) Tag() Tag { return TagKeepalive }

// AppendPayload appends: u32 seconds, u32 nanoseconds.
func (f Keepalive) AppendPayload(dst []byte) []byte { return f.Stamp.append(dst) }

// Parse reads a payload.
func (f *Keepalive) Parse(p []byte) error { return f.Stamp.parse(TagKeepalive, p) }

// String is the frame in one line.
func (f Keepalive) String() string { return "KEEPALIVE2 stamp=" + f.Stamp.String() }

// KeepaliveAck is KEEPALIVE2_ACK: the answer to a Keepalive.
type KeepaliveAck struct {
	// Stamp is the one of the Keepalive.
	Stamp Stamp
}

// Tag is TagKeepaliveAck.
func (KeepaliveAck) Tag() Tag { return TagKeepaliveAck }

// AppendPayload appends: u32 seconds, u32 nanoseconds.
func (f KeepaliveAck) AppendPayload(dst []byte) []byte { return f.Stamp.append(dst) }

// Parse reads a payload.
func (f *KeepaliveAck) Parse(p []byte) error { return f.Stamp.parse(TagKeepaliveAck, p) }

// String is the frame in one line.
func (f KeepaliveAck) String() string { return "KEEPALIVE2_ACK stamp=" + f.Stamp.String() }

// Ack is ACK: messages up to Seq have been received.
type Ack struct {
	Seq uint64
}

// Tag is TagAck.
func (Ack) Tag() Tag { return TagAck }

// AppendPayload appends: u64 seq.
func (f Ack) AppendPayload(dst []byte) []byte { return le.AppendUint64(dst, f.Seq) }

// Parse reads a payload.
func (f *Ack) Parse(p []byte) error { return parseU64(TagAck, p, &f.Seq) }

// String is the frame in one line.
func (f Ack) String() string { return fmt.Sprintf("ACK seq=%d", f.Seq) }
