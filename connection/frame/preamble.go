package frame

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
)

// Sizes of the frame's parts (docs/PROTOCOL.md 1.3, 1.4).
const (
	// PreambleLen is the length of the preamble.
	PreambleLen = 32
	// EpilogueLen is the length of the epilogue in crc mode.
	EpilogueLen = 13
	// MaxSegments is how many segments a frame can have.
	MaxSegments = 4

	crcLen = 4

	alignDefault = 8    // of segments 0..2
	alignData    = 4096 // of segment 3

	flagCompressed = 1 << 0

	lateComplete = 0x0e
	lateAborted  = 0x01
	lateMask     = 0x0f
)

// Segment is a segment as the preamble declares it.
type Segment struct {
	// Len is its length in bytes, without padding.
	Len uint32
	// Align is a hint for the receive buffer.
	Align uint16
}

// Preamble is the start of a frame.
type Preamble struct {
	// Tag is the kind of frame.
	Tag Tag
	// NumSegments is how many of Segments there are, 1..4.
	NumSegments uint8
	// Flags and Reserved are carried as found.
	Flags, Reserved uint8
	// Segments are the declared segments; those beyond NumSegments are 0 long.
	Segments [MaxSegments]Segment
}

// parse reads the fields after the crc was verified, and checks what is common to
// all frames.
func (p *Preamble) parse(b *[PreambleLen]byte) error {
	if got, want := le.Uint32(b[28:]), preambleCRC(b[:28]); got != want {
		return &Error{Code: BadPreambleCRC, Got: uint64(got), Want: uint64(want)}
	}
	p.Tag = Tag(b[0])
	p.NumSegments = b[1]
	for i := range p.Segments {
		p.Segments[i] = Segment{Len: le.Uint32(b[2+6*i:]), Align: le.Uint16(b[6+6*i:])}
	}
	p.Flags, p.Reserved = b[26], b[27]
	return p.check()
}

// check verifies what holds for every frame of p's tag, whatever the limits.
func (p *Preamble) check() error {
	if !p.Tag.Known() {
		return &Error{Code: UnknownTag, Tag: p.Tag}
	}
	n := int(p.NumSegments)
	info := &tags[p.Tag]
	if n < 1 || n > int(info.segmentsMax) {
		return &Error{Code: BadSegmentCount, Tag: p.Tag, Len: n, Limit: int(info.segmentsMax)}
	}
	if n > 1 && p.Segments[n-1].Len == 0 {
		return &Error{Code: EmptyLastSegment, Tag: p.Tag, Segment: n - 1}
	}
	for i := n; i < MaxSegments; i++ {
		if p.Segments[i].Len != 0 {
			return &Error{Code: BadSegmentCount, Tag: p.Tag, Segment: i, Len: n,
				Err: fmt.Errorf("segment %d is declared %d long", i, p.Segments[i].Len)}
		}
	}
	if p.Flags&flagCompressed != 0 { // how long it becomes is seen later
		return p.checkPacked(info)
	}
	switch l := p.Segments[0].Len; {
	case l < info.min:
		return &Error{Code: TooShort, Tag: p.Tag, Len: int(l), Limit: int(info.min)}
	case l > info.max:
		return &Error{Code: TooLarge, Tag: p.Tag, Len: int(l), Limit: int(info.max)}
	}
	return nil
}

// checkPacked verifies what is known of a compressed segment 0.
func (p *Preamble) checkPacked(info *tagInfo) error {
	switch l, limit := p.Segments[0].Len, compress.Bound(info.max); {
	case l == 0:
		return &Error{Code: TooShort, Tag: p.Tag, Limit: 1}
	case uint64(l) > limit:
		return &Error{Code: TooLarge, Tag: p.Tag, Len: int(l), Limit: int(limit)}
	}
	return nil
}

// BodyLen is the length of segments 1 to 3 together: what SetBody's buffer has
// to hold.
func (p *Preamble) BodyLen() int {
	return int(p.Segments[1].Len) + int(p.Segments[2].Len) + int(p.Segments[3].Len)
}

// String is the preamble in one line.
func (p *Preamble) String() string {
	s := fmt.Sprintf("%v segments=%d lens=%d/%d/%d/%d", p.Tag, p.NumSegments,
		p.Segments[0].Len, p.Segments[1].Len, p.Segments[2].Len, p.Segments[3].Len)
	if p.Flags != 0 || p.Reserved != 0 {
		s += fmt.Sprintf(" flags=%#x reserved=%#x", p.Flags, p.Reserved)
	}
	return s
}

// putPreamble writes a preamble with its crc. The number of segments is that of
// the last one that is not empty, and at least 1.
func putPreamble(b *[PreambleLen]byte, t Tag, lens *[MaxSegments]uint32) (segments int) {
	segments = 1
	for i := 1; i < MaxSegments; i++ {
		if lens[i] > 0 {
			segments = i + 1
		}
	}
	b[0], b[1] = byte(t), byte(segments)
	for i := range MaxSegments {
		length, align := uint32(0), uint16(0)
		if i < segments {
			length, align = lens[i], alignDefault
			if i == 3 {
				align = alignData
			}
		}
		le.PutUint32(b[2+6*i:], length)
		le.PutUint16(b[6+6*i:], align)
	}
	b[26], b[27] = 0, 0
	le.PutUint32(b[28:], preambleCRC(b[:28]))
	return segments
}

// Limits bounds what a peer may declare, in bytes. A zero field means its
// default. A frame beyond a limit fails with TooLarge before anything is
// allocated for it.
type Limits struct {
	// PreAuth bounds all segments of one frame together before the peer is
	// authenticated; default 64 KiB.
	PreAuth uint32
	// Control bounds the payload of a control frame, default 16 MiB. The tags
	// have tighter bounds of their own.
	Control uint32
	// Front and Middle bound these segments of a message; default 16 MiB each.
	Front, Middle uint32
	// Data bounds the data segment of a message; default 64 MiB.
	Data uint32
}

// The defaults of Limits.
const (
	LimitPreAuth = 64 << 10
	LimitControl = 16 << 20
	LimitFront   = 16 << 20
	LimitMiddle  = 16 << 20
	LimitData    = 64 << 20
)

// WithDefaults is l with its zero fields set to their defaults.
func (l Limits) WithDefaults() Limits {
	def := func(v *uint32, d uint32) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.PreAuth, LimitPreAuth)
	def(&l.Control, LimitControl)
	def(&l.Front, LimitFront)
	def(&l.Middle, LimitMiddle)
	def(&l.Data, LimitData)
	return l
}

// Check decides whether a frame of these lengths is accepted; preAuth says that
// the peer is not yet authenticated.
func (l Limits) Check(p *Preamble, preAuth bool) error {
	l = l.WithDefaults()
	return l.check(p, preAuth)
}

// check is Check for limits whose defaults are set.
func (l *Limits) check(p *Preamble, preAuth bool) error {
	if preAuth {
		sum := uint64(p.Segments[0].Len) + uint64(p.Segments[1].Len) +
			uint64(p.Segments[2].Len) + uint64(p.Segments[3].Len)
		if sum > uint64(l.PreAuth) {
			return &Error{Code: TooLarge, Tag: p.Tag, Len: int(sum), Limit: int(l.PreAuth)}
		}
	}
	if p.Tag != TagMessage {
		return over(p, 0, l.Control)
	}
	if p.NumSegments == 1 {
		return nil
	}
	if err := over(p, 1, l.Front); err != nil {
		return err
	}
	if err := over(p, 2, l.Middle); err != nil {
		return err
	}
	return over(p, 3, l.Data)
}

// over is the error when segment i is longer than limit. A compressed one may be somewhat longer
// than it becomes.
func over(p *Preamble, i int, limit uint32) error {
	if l := p.Segments[i].Len; l > limit {
		if p.Flags&flagCompressed != 0 && uint64(l) <= compress.Bound(limit) {
			return nil
		}
		return &Error{Code: TooLarge, Tag: p.Tag, Segment: i, Len: int(l), Limit: int(limit)}
	}
	return nil
}
