package frame

import (
	"fmt"
	"math"
)

// Encoder appends frames to a Batch. The zero value encodes in crc mode. Not
// safe for concurrent use: the frames of a connection have an order.
type Encoder struct {
	cipher Cipher
	pack   *packer // nil: nothing is compressed

	// The preamble of the last MESSAGE: messages of one size come in runs, and
	// its crc costs more than a copy. lens[0] is 0 while there is none.
	lens     [MaxSegments]uint32
	preamble [PreambleLen]byte

	spent bool // there are no nonces left: nothing is encoded any more
}

// segments is how many segments that preamble has.
func (e *Encoder) segments() int { return int(e.preamble[1]) }

// controlRoom is the payload that a control frame is given room for before a
// new chunk is begun.
const controlRoom = 256

// SetCipher switches to secure mode from the next frame on; nil back to crc mode.
func (e *Encoder) SetCipher(c Cipher) {
	if c != nil && c.Overhead() > overheadMax {
		panic(fmt.Sprintf("frame: cipher adds %d bytes, at most %d", c.Overhead(), overheadMax))
	}
	e.cipher = c
}

// Err is the reason why frames are no longer encoded, or nil: an *Error with
// code OutOfNonces, which takes 2^64 units. The connection must then be failed
// without writing what the batch holds.
func (e *Encoder) Err() error {
	if e.spent {
		return &Error{Code: OutOfNonces}
	}
	return nil
}

// Used is how many units were sealed with this key, and their bytes: a control frame is one
// or two, a message two. 0 in crc mode.
func (e *Encoder) Used() (units, bytes uint64) { return used(e.cipher) }

// AppendControl appends a control frame. c is not kept.
func (e *Encoder) AppendControl(b *Batch, c Control) {
	if e.pack != nil && e.packControl(b, c) {
		return
	}
	if e.cipher != nil {
		b.tmp = c.AppendPayload(b.tmp[:0])
		e.sealFrame(b, c.Tag(), lateComplete, b.tmp, nil, nil, nil)
		return
	}
	room := b.room(PreambleLen + controlRoom + crcLen)
	space := room[PreambleLen:PreambleLen:len(room)]
	p := c.AppendPayload(space)
	lens := [MaxSegments]uint32{segmentLen(p)}
	switch {
	case len(p) == 0:
		putPreamble((*[PreambleLen]byte)(b.take(PreambleLen)), c.Tag(), &lens)
	case len(p)+crcLen <= cap(space):
		dst := b.take(PreambleLen + len(p) + crcLen)
		putPreamble((*[PreambleLen]byte)(dst), c.Tag(), &lens)
		if &p[0] != &dst[PreambleLen] {
			copy(dst[PreambleLen:], p)
		}
		le.PutUint32(dst[PreambleLen+len(p):], segmentCRC(p))
	default: // it has outgrown the chunk into memory of its own
		p = append([]byte(nil), p...)
		putPreamble((*[PreambleLen]byte)(b.take(PreambleLen)), c.Tag(), &lens)
		b.ref(p)
		le.PutUint32(b.small(crcLen), segmentCRC(p))
	}
}

// AppendMessage appends a MESSAGE. Segments longer than 2 KiB are referenced and
// must stay as they are until written; h is not kept.
func (e *Encoder) AppendMessage(b *Batch, h *Header, front, middle, data []byte) {
	e.appendMessage(b, h, front, middle, data, nil, lateComplete)
}

// Sums are the crcs of front, middle and data, as SegmentCRC computes them: with the same
// seed each, and of nothing else, so that they are the same in every connection's frame.
type Sums = [MaxSegments - 1]uint32

// WantsSums says whether AppendSummed looks at the sums: in secure mode there are none, and
// with compression they are of other bytes.
func (e *Encoder) WantsSums() bool { return e.cipher == nil && e.pack == nil }

// AppendSummed is AppendMessage for who knows the sums of the segments.
func (e *Encoder) AppendSummed(b *Batch, h *Header, front, middle, data []byte, sums *Sums) {
	e.appendMessage(b, h, front, middle, data, sums, lateComplete)
}

// AppendAborted appends a MESSAGE whose late status says that the sender gave up
// on it, for tests: the receiver drops it. One of the segments must not be
// empty, for a frame without them has no late status.
func (e *Encoder) AppendAborted(b *Batch, h *Header, front, middle, data []byte) {
	if len(front)+len(middle)+len(data) == 0 {
		panic("frame: AppendAborted of a message without payload")
	}
	e.appendMessage(b, h, front, middle, data, nil, lateAborted)
}

func (e *Encoder) appendMessage(b *Batch, h *Header, front, middle, data []byte, sums *Sums, late byte) {
	if e.pack != nil && e.packMessage(b, h, front, middle, data, late) {
		return
	}
	if e.cipher != nil {
		var hdr [HeaderLen]byte
		h.put(&hdr)
		b.tmp = append(b.tmp[:0], hdr[:]...)
		e.sealFrame(b, TagMessage, late, b.tmp, front, middle, data)
		return
	}
	lens := [MaxSegments]uint32{HeaderLen, segmentLen(front), segmentLen(middle), segmentLen(data)}
	if lens != e.lens {
		putPreamble(&e.preamble, TagMessage, &lens)
		e.lens = lens
	}
	body := len(front) + len(middle) + len(data)
	if body > 0 && body <= copyMax {
		// All of it in one piece.
		dst := b.small(headLen + body + EpilogueLen)
		e.putHead(dst, h)
		n := headLen + copy(dst[headLen:], front)
		n += copy(dst[n:], middle)
		n += copy(dst[n:], data)
		e.putEpilogue((*[EpilogueLen]byte)(dst[n:]), late, front, middle, data, sums)
		return
	}
	e.putHead(b.small(headLen), h)
	if e.segments() == 1 {
		return
	}
	b.payload(front)
	b.payload(middle)
	b.payload(data)
	e.putEpilogue((*[EpilogueLen]byte)(b.small(EpilogueLen)), late, front, middle, data, sums)
}

// headLen is what stands before segment 1 of a MESSAGE.
const headLen = PreambleLen + HeaderLen + crcLen

// putHead writes the preamble of e.lens, and the header with its crc.
func (e *Encoder) putHead(dst []byte, h *Header) {
	dst = dst[:headLen]
	*(*[PreambleLen]byte)(dst) = e.preamble
	hdr := (*[HeaderLen]byte)(dst[PreambleLen:])
	h.put(hdr)
	le.PutUint32(dst[PreambleLen+HeaderLen:], segmentCRC(hdr[:]))
}

// putEpilogue writes the late status and the crcs of the segments after the first; sums
// has them, or is nil.
func (e *Encoder) putEpilogue(ep *[EpilogueLen]byte, late byte, front, middle, data []byte, sums *Sums) {
	*ep = [EpilogueLen]byte{late}
	if sums != nil {
		for i, sum := range sums[:e.segments()-1] {
			le.PutUint32(ep[1+crcLen*i:], sum)
		}
		return
	}
	le.PutUint32(ep[1:], segmentCRC(front))
	if e.segments() > 2 {
		le.PutUint32(ep[1+crcLen:], segmentCRC(middle))
	}
	if e.segments() > 3 {
		le.PutUint32(ep[1+2*crcLen:], segmentCRC(data))
	}
}

// segmentLen is the length of a segment. Ours to keep in range.
func segmentLen(p []byte) uint32 {
	if int64(len(p)) > math.MaxUint32 {
		panic(fmt.Sprintf("frame: segment of %d bytes", len(p)))
	}
	return uint32(len(p))
}
