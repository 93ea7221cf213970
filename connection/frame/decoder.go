package frame

import (
	"fmt"
)

// Event is what a call of Next has come to.
type Event uint8

// The events.
const (
	// NeedMore: all bytes were consumed and the frame is not complete.
	NeedMore Event = iota
	// GotPreamble: Preamble is valid; the payload has yet to come.
	GotPreamble
	// GotFrame: the frame is complete and verified.
	GotFrame
)

// String is the event's name.
func (e Event) String() string {
	switch e {
	case NeedMore:
		return "NeedMore"
	case GotPreamble:
		return "GotPreamble"
	case GotFrame:
		return "GotFrame"
	}
	return fmt.Sprintf("Event(%d)", uint8(e))
}

type decoderState uint8

const (
	atHead  decoderState = iota // collecting the preamble, or the sealed first block
	atFirst                     // collecting what is left of segment 0
	atBody                      // filling segments 1..3, or the sealed last unit that has them
	atTail                      // collecting the epilogue, or a sealed last unit that is short
	atEnd                       // the frame is complete
)

// Decoder takes a stream of bytes apart into frames. It is pulled: the owner
// calls Next with the bytes it has, again and again until NeedMore. How the
// bytes are split between calls makes no difference. Nothing of a frame is seen
// before it was verified, save the preamble. The first error sticks.
//
// Not safe for concurrent use. Init must be called before use. It is some 430
// bytes and holds no other memory while it waits for a preamble, except up to
// 4 KiB in secure mode after a long control frame.
type Decoder struct {
	limits  Limits
	state   decoderState
	preAuth bool
	aborted bool
	hasBody bool // body came from SetBody
	cipher  Cipher
	err     error

	pre  Preamble
	have int32 // bytes collected of the current unit
	hdr  Header
	// rawPre are the bytes that pre was read from, if it was acceptable: messages
	// of one size come in runs, and need no second look. rawPre[1] is 0 while
	// there are none.
	rawPre  [PreambleLen]byte
	payload []byte // segment 0 of a control frame

	small [smallMax]byte // short units are collected here
	acc   []byte         // and long ones here

	body    []byte                  // segments 1..3; when it is ours, as much as is allocated
	bodyLen int                     // what body is to hold: see BodyRoom
	bodyOff int                     // bytes of it that have arrived
	segEnd  int                     // where seg ends
	crc     [MaxSegments - 1]uint32 // of segments 1..3
	seg     uint8                   // the segment that bodyOff is in
	padded  bool                    // body is a sealed last unit, opened in place

	pack *unpacker // nil: no frame may be compressed
}

// Init makes d ready for a new byte stream, after its banner, in crc mode and
// not before authentication (see SetPreAuth).
func (d *Decoder) Init(l Limits) { *d = Decoder{limits: l.WithDefaults()} }

// Reset forgets the frame in progress and drops the references to its buffers.
// Limits, cipher and SetPreAuth stay; for another byte stream there is Init.
func (d *Decoder) Reset() {
	d.begin()
	d.state, d.err = atHead, nil
}

// SetCipher switches to secure mode from the next frame on; nil back to crc
// mode. It panics inside a frame.
func (d *Decoder) SetCipher(c Cipher) {
	if (d.state != atHead || d.have > 0) && d.state != atEnd {
		panic("frame: Decoder.SetCipher inside a frame")
	}
	if c != nil && c.Overhead() > overheadMax {
		panic(fmt.Sprintf("frame: cipher adds %d bytes, at most %d", c.Overhead(), overheadMax))
	}
	d.cipher = c
}

// Used is how many units were opened with this key, and their bytes; see Encoder.Used.
func (d *Decoder) Used() (units, bytes uint64) { return used(d.cipher) }

// SetPreAuth says whether Limits.PreAuth applies.
func (d *Decoder) SetPreAuth(on bool) {
	d.preAuth = on
	d.rawPre = [PreambleLen]byte{} // other limits apply
}

// Next consumes the first n bytes of b. After NeedMore that is all of them;
// after GotPreamble and GotFrame the owner looks at the frame and calls Next
// with the rest, even if it is empty. b is not modified, nor kept beyond the
// Payload of the frame. After an error, nothing more can be read.
func (d *Decoder) Next(b []byte) (n int, ev Event, err error) {
	if d.err != nil {
		return 0, NeedMore, d.err
	}
	if d.state == atEnd {
		d.begin()
		d.state = atHead
	}
	switch d.state {
	case atHead:
		unit, n, ok := d.collect(b, d.headLen())
		if !ok {
			return n, NeedMore, nil
		}
		if err := d.head(unit); err != nil {
			return n, NeedMore, d.fail(err)
		}
		d.state = atFirst
		return n, GotPreamble, nil
	case atFirst:
		unit, k, ok := d.collect(b, d.firstLen())
		n += k
		if !ok {
			return n, NeedMore, nil
		}
		if err := d.first(unit); err != nil {
			return n, NeedMore, d.fail(err)
		}
		if d.state == atEnd {
			return n, GotFrame, nil
		}
	}
	if d.state == atBody && d.cipher != nil {
		k, ok, err := d.fillSealed(b[n:])
		n += k
		switch {
		case err != nil:
			return n, NeedMore, d.fail(err)
		case !ok:
			return n, NeedMore, nil
		}
		return n, GotFrame, nil
	}
	if d.state == atBody {
		n += d.fill(b[n:])
		if d.bodyOff < d.bodyLen {
			return n, NeedMore, nil
		}
		d.state = atTail
	}
	unit, k, ok := d.collect(b[n:], d.tailLen())
	n += k
	if !ok {
		return n, NeedMore, nil
	}
	if err := d.tail(unit); err != nil {
		return n, NeedMore, d.fail(err)
	}
	d.state = atEnd
	return n, GotFrame, nil
}

// Preamble is the current frame's, from GotPreamble until the next frame.
func (d *Decoder) Preamble() *Preamble { return &d.pre }

// BodyRoom is the length that SetBody's buffer must have, after GotPreamble:
// Preamble().BodyLen(), and in secure mode some more, since what is long is opened
// where it was received.
func (d *Decoder) BodyRoom() int { return d.bodyLen }

// SetBody gives the buffer that segments 1 to 3 of a MESSAGE are received into,
// one after the other. Its length must be BodyRoom(). It is called
// between GotPreamble and the next Next, or not at all; then the Decoder
// allocates, little by little as the bytes arrive.
func (d *Decoder) SetBody(buf []byte) {
	if d.state != atFirst || d.have > 0 || d.pre.Tag != TagMessage {
		panic("frame: Decoder.SetBody other than after GotPreamble of a MESSAGE")
	}
	if len(buf) != d.bodyLen {
		panic(fmt.Sprintf("frame: Decoder.SetBody of %d bytes, want %d", len(buf), d.bodyLen))
	}
	d.body, d.hasBody = buf, true
}

// Payload is segment 0 of a control frame, after GotFrame. It may alias the
// bytes given to Next and is valid until the next call.
func (d *Decoder) Payload() []byte { return d.payload }

// Header is that of a MESSAGE, after GotFrame.
func (d *Decoder) Header() *Header { return &d.hdr }

// Segments hands over the segments of a MESSAGE, after GotFrame: slices of
// SetBody's buffer, or of memory that is the caller's now. The Decoder forgets
// them; a second call returns nothing.
func (d *Decoder) Segments() (front, middle, data []byte) {
	if d.pack != nil && d.Compressed() && !d.pack.raw {
		return d.unpacked()
	}
	if d.state != atEnd || d.body == nil {
		return nil, nil, nil
	}
	body, off := d.body, 0
	d.body = nil
	cut := func(i int) []byte {
		l := int(d.pre.Segments[i].Len)
		if l == 0 {
			return nil
		}
		at := off
		off += l
		if d.padded {
			off = at + pad(l)
		}
		return body[at : at+l : at+l]
	}
	return cut(1), cut(2), cut(3)
}

// Aborted reports, after GotFrame, that the sender gave up on the frame. It was
// verified but is to be dropped (docs/PROTOCOL.md 1.4).
func (d *Decoder) Aborted() bool { return d.aborted }

// ReadInto is where the rest of a large payload can be received directly, or
// nil when Next is to be called. After a read into it comes DidRead. It is valid
// until the next call of any method.
func (d *Decoder) ReadInto() []byte {
	if d.err != nil {
		return nil
	}
	if d.state == atBody && d.bodyLen-d.bodyOff > readIntoMin {
		d.growBody(1)
		return d.body[d.bodyOff:]
	}
	return nil
}

// DidRead tells that the first n bytes of ReadInto's slice were received.
func (d *Decoder) DidRead(n int) (ev Event, err error) {
	if n < 0 || n > len(d.ReadInto()) {
		panic(fmt.Sprintf("frame: Decoder.DidRead(%d) of %d bytes", n, len(d.ReadInto())))
	}
	if d.cipher == nil {
		d.account(n)
		return NeedMore, nil
	}
	if d.bodyOff += n; d.bodyOff < d.bodyLen {
		return NeedMore, nil
	}
	if err := d.openBody(d.body); err != nil {
		return NeedMore, d.fail(err)
	}
	return GotFrame, nil
}

// begin forgets the last frame.
func (d *Decoder) begin() {
	d.payload, d.body, d.hasBody, d.padded, d.aborted = nil, nil, false, false, false
	d.have, d.bodyLen, d.bodyOff = 0, 0, 0
	if cap(d.acc) > accKept {
		d.acc = nil
	}
	d.acc = d.acc[:0]
}

func (d *Decoder) fail(err error) error {
	d.begin()
	d.err = err
	return err
}

// headLen is the length of the first unit.
func (d *Decoder) headLen() int {
	if d.cipher == nil {
		return PreambleLen
	}
	return secureHeadLen + d.cipher.Overhead()
}

// head reads the preamble and decides whether the frame is acceptable.
func (d *Decoder) head(unit []byte) error {
	if d.cipher != nil {
		var err error
		if unit, err = d.open(d.small[:0], unit); err != nil {
			return err
		}
	}
	if raw := (*[PreambleLen]byte)(unit); d.rawPre[1] == 0 || *raw != d.rawPre {
		d.rawPre[1] = 0
		if err := d.pre.parse(raw); err != nil {
			return err
		}
		if d.Compressed() && d.pack == nil {
			return &Error{Code: CompressedFrame, Tag: d.pre.Tag}
		}
		if err := d.limits.check(&d.pre, d.preAuth); err != nil {
			return err
		}
		if !d.Compressed() { // what is has no short cut
			d.rawPre = *raw
		}
	}
	d.bodyLen = d.pre.BodyLen()
	if d.cipher != nil && d.tailLen() > smallMax {
		d.bodyLen, d.padded = d.tailLen(), d.pre.NumSegments > 1
	}
	d.seg, d.segEnd = 1, int(d.pre.Segments[1].Len)
	d.crc = [MaxSegments - 1]uint32{crcEmpty, crcEmpty, crcEmpty}
	if d.cipher != nil && d.pre.Segments[0].Len > secureInlineLen {
		d.acc = append(d.acc[:0], unit[PreambleLen:]...)
	}
	return nil
}

// firstLen is the length of what is left of segment 0 after the first unit.
func (d *Decoder) firstLen() int {
	l := int(d.pre.Segments[0].Len)
	switch {
	case d.cipher != nil:
		return secureRestLen(l, d.cipher.Overhead())
	case l == 0:
		return 0
	}
	return l + crcLen
}

// first takes segment 0.
func (d *Decoder) first(unit []byte) error {
	l := int(d.pre.Segments[0].Len)
	seg := unit
	switch {
	case d.cipher != nil:
		var err error
		if seg, err = d.openFirst(unit, l); err != nil {
			return err
		}
	case l > 0:
		seg = unit[:l:l]
		if got, want := le.Uint32(unit[l:]), segmentCRC(seg); got != want {
			return &Error{Code: BadSegmentCRC, Tag: d.pre.Tag, Len: l, Got: uint64(got), Want: uint64(want)}
		}
	}
	if d.Compressed() {
		var err error
		if seg, err = d.unpackFirst(seg); err != nil {
			return err
		}
	}
	if d.pre.Tag != TagMessage {
		d.payload = seg
		d.state = atEnd
		return nil
	}
	if err := d.hdr.Parse(seg); err != nil {
		return err
	}
	switch {
	case d.pre.NumSegments == 1:
		d.state = atEnd
	case d.cipher != nil && !d.padded:
		d.state = atTail
	default:
		d.state = atBody
	}
	return nil
}

// tailLen is the length of the last unit.
func (d *Decoder) tailLen() int {
	if d.cipher == nil {
		return EpilogueLen
	}
	return secureTailLen(&d.pre, d.cipher.Overhead())
}

// tail verifies segments 1 to 3.
func (d *Decoder) tail(unit []byte) error {
	if d.cipher != nil {
		return d.openTail(unit)
	}
	for i := 1; i < MaxSegments; i++ {
		got := le.Uint32(unit[1+crcLen*(i-1):])
		if i < int(d.pre.NumSegments) {
			if want := d.crc[i-1]; got != want {
				return &Error{Code: BadSegmentCRC, Tag: d.pre.Tag, Segment: i, Len: int(d.pre.Segments[i].Len),
					Got: uint64(got), Want: uint64(want)}
			}
		} else if got != 0 && got != crcEmpty {
			return &Error{Code: BadUnusedCRC, Tag: d.pre.Tag, Segment: i, Got: uint64(got)}
		}
	}
	return d.lateStatus(unit[0])
}

// lateStatus reads the late status; the upper nibble is reserved.
func (d *Decoder) lateStatus(s byte) error {
	switch s & lateMask {
	case lateComplete:
	case lateAborted:
		d.aborted = true
	default:
		return &Error{Code: BadLateStatus, Tag: d.pre.Tag, Got: uint64(s)}
	}
	return nil
}
