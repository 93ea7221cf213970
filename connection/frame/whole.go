package frame

// wholeMax is the longest body that TakeMessage handles: beyond it, copy and crc
// go in steps (see fillStep), which Next does.
const wholeMax = fillStep

// WholeMessage is the short cut for the common case: b begins with a complete
// MESSAGE in crc mode whose preamble is the same as the last frame's. Then ok is
// true and body is the length of segments 1 to 3 together; TakeMessage takes it.
// Otherwise nothing has happened, and Next is to be called. For a message to
// which both apply they give the same result.
func (d *Decoder) WholeMessage(b []byte) (body int, ok bool) {
	if d.state != atHead && d.state != atEnd || d.have != 0 || d.cipher != nil || d.err != nil || len(b) < PreambleLen {
		return 0, false
	}
	if d.rawPre[1] < 2 || *(*[PreambleLen]byte)(b) != d.rawPre || d.pre.Tag != TagMessage {
		return 0, false
	}
	body = d.pre.BodyLen()
	if body > wholeMax || len(b) < PreambleLen+int(d.pre.Segments[0].Len)+crcLen+body+EpilogueLen {
		return 0, false
	}
	return body, true
}

// TakeMessage consumes the first n bytes of b, the message that WholeMessage
// found, and copies its segments into body, which has the length that was
// announced. It does what Next does up to GotFrame.
func (d *Decoder) TakeMessage(b, body []byte) (n int, err error) {
	d.begin()
	d.state = atFirst
	l := int(d.pre.Segments[0].Len)
	seg := b[PreambleLen : PreambleLen+l : PreambleLen+l]
	n = PreambleLen + l + crcLen
	if got, want := le.Uint32(b[n-crcLen:]), segmentCRC(seg); got != want {
		return n, d.fail(&Error{Code: BadSegmentCRC, Tag: TagMessage, Len: l, Got: uint64(got), Want: uint64(want)})
	}
	if err := d.hdr.Parse(seg); err != nil {
		return n, d.fail(err)
	}
	copy(body, b[n:])
	d.body, d.hasBody, d.bodyLen = body, true, len(body)
	off := 0
	for i := 1; i < int(d.pre.NumSegments); i++ {
		end := off + int(d.pre.Segments[i].Len)
		d.crc[i-1] = segmentCRC(body[off:end])
		off = end
	}
	n += len(body) + EpilogueLen
	if err := d.tail(b[n-EpilogueLen : n]); err != nil {
		return n, d.fail(err)
	}
	d.state = atEnd
	return n, nil
}
