package frame

import "fmt"

// HeaderLen is the length of a message header as we write it.
const HeaderLen = 41

// HeaderMax is the longest header segment that is accepted; what is beyond
// HeaderLen is ignored.
const HeaderMax = 96

// The bits of Header.Flags. The origin sends both set.
const (
	FlagComplete uint8 = 1 << 0
	FlagNoCRC    uint8 = 1 << 1
)

// Header is the message header, segment 0 of a MESSAGE (Ceph's
// ceph_msg_header2, docs/PROTOCOL.md 1.6).
type Header struct {
	// Seq numbers the messages of a session from 1.
	Seq uint64
	// TID is the application's transaction id.
	TID uint64
	// Type, Priority and Version say how to read and queue the payload.
	Type, Priority, Version uint16
	// DataPrePaddingLen is always 0 and DataOff a hint, the page offset of data.
	DataPrePaddingLen uint32
	DataOff           uint16
	// AckSeq is the last message the sender has received.
	AckSeq uint64
	// Flags are the old footer flags.
	Flags uint8
	// CompatVersion is the oldest decoder that can read the payload.
	CompatVersion uint16
	Reserved      uint16
}

// Append appends the 41 bytes.
func (h *Header) Append(dst []byte) []byte {
	var b [HeaderLen]byte
	h.put(&b)
	return append(dst, b[:]...)
}

func (h *Header) put(b *[HeaderLen]byte) {
	le.PutUint64(b[0:], h.Seq)
	le.PutUint64(b[8:], h.TID)
	le.PutUint16(b[16:], h.Type)
	le.PutUint16(b[18:], h.Priority)
	le.PutUint16(b[20:], h.Version)
	le.PutUint32(b[22:], h.DataPrePaddingLen)
	le.PutUint16(b[26:], h.DataOff)
	le.PutUint64(b[28:], h.AckSeq)
	b[36] = h.Flags
	le.PutUint16(b[37:], h.CompatVersion)
	le.PutUint16(b[39:], h.Reserved)
}

// Parse reads a header segment. One longer than HeaderLen is accepted.
func (h *Header) Parse(p []byte) error {
	if len(p) < HeaderLen {
		return &Error{Code: TooShort, Tag: TagMessage, Len: len(p), Limit: HeaderLen}
	}
	h.get((*[HeaderLen]byte)(p))
	return nil
}

func (h *Header) get(b *[HeaderLen]byte) {
	h.Seq = le.Uint64(b[0:])
	h.TID = le.Uint64(b[8:])
	h.Type = le.Uint16(b[16:])
	h.Priority = le.Uint16(b[18:])
	h.Version = le.Uint16(b[20:])
	h.DataPrePaddingLen = le.Uint32(b[22:])
	h.DataOff = le.Uint16(b[26:])
	h.AckSeq = le.Uint64(b[28:])
	h.Flags = b[36]
	h.CompatVersion = le.Uint16(b[37:])
	h.Reserved = le.Uint16(b[39:])
}

// String is the header in one line.
func (h *Header) String() string {
	s := fmt.Sprintf("MESSAGE seq=%d tid=%d type=%d prio=%d version=%d compat=%d ack_seq=%d flags=%#x",
		h.Seq, h.TID, h.Type, h.Priority, h.Version, h.CompatVersion, h.AckSeq, h.Flags)
	if h.DataPrePaddingLen != 0 || h.DataOff != 0 || h.Reserved != 0 {
		s += fmt.Sprintf(" pre_padding=%d data_off=%d reserved=%d", h.DataPrePaddingLen, h.DataOff, h.Reserved)
	}
	return s
}
