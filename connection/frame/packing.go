package frame

import "github.com/asyncmsgr/asyncmsgr/async/compress"

// Compression of what is sent (docs/PROTOCOL.md 9.2): each segment by itself, the frame as a whole
// or not at all, and the preamble's flag says which.

// Packed is what was compressed, or decompressed, in one direction.
type Packed struct {
	// Frames are those with the flag, Plain their bytes of segments before they were
	// compressed, and Wire after.
	Frames, Plain, Wire uint64
	// Left are frames that were compressed in vain and sent as they are, for they did not get
	// shorter.
	Left uint64
}

// Sub is p less q.
func (p Packed) Sub(q Packed) Packed {
	return Packed{p.Frames - q.Frames, p.Plain - q.Plain, p.Wire - q.Wire, p.Left - q.Left}
}

// Add adds q to p.
func (p *Packed) Add(q Packed) {
	p.Frames += q.Frames
	p.Plain += q.Plain
	p.Wire += q.Wire
	p.Left += q.Left
}

// packer is an Encoder's with compression.
type packer struct {
	alg   compress.Algorithm
	min   int
	count Packed
}

// SetCompression compresses from the next frame on, those whose segments have minSize bytes
// together; nil ends it. Frames that do not become shorter are sent as they are.
func (e *Encoder) SetCompression(a compress.Algorithm, minSize int) {
	if e.pack = nil; a != nil {
		e.pack = &packer{alg: a, min: minSize}
	}
}

// Packed is what was compressed since SetCompression.
func (e *Encoder) Packed() Packed {
	if e.pack == nil {
		return Packed{}
	}
	return e.pack.count
}

// Compressing says whether frames are compressed, if they are long enough.
func (e *Encoder) Compressing() bool { return e.pack != nil }

// packControl appends a control frame in compressed form, if that is to be and helps.
func (e *Encoder) packControl(b *Batch, c Control) bool {
	b.tmp = c.AppendPayload(b.tmp[:0])
	return e.packFrame(b, c.Tag(), lateComplete, [MaxSegments][]byte{b.tmp})
}

// packMessage appends a MESSAGE in compressed form, if that is to be and helps.
func (e *Encoder) packMessage(b *Batch, h *Header, front, middle, data []byte, late byte) bool {
	if HeaderLen+len(front)+len(middle)+len(data) < e.pack.min {
		return false
	}
	var hdr [HeaderLen]byte
	h.put(&hdr)
	b.tmp = append(b.tmp[:0], hdr[:]...)
	return e.packFrame(b, TagMessage, late, [MaxSegments][]byte{b.tmp, front, middle, data})
}

// packFrame appends a frame of these segments, unless it is too short or does not become
// shorter.
func (e *Encoder) packFrame(b *Batch, t Tag, late byte, segs [MaxSegments][]byte) bool {
	if e.spent {
		return true // nothing is encoded any more
	}
	plain, bound := 0, 0
	for _, s := range segs {
		plain += len(s)
		bound += int(compress.Bound(segmentLen(s)))
	}
	if plain == 0 || plain < e.pack.min {
		return false
	}
	scratch := b.Blocks.take(bound)
	defer b.Blocks.give(scratch)
	out, wire := scratch[:0], 0
	var lens [MaxSegments]uint32
	for i, s := range segs {
		if len(s) == 0 {
			continue
		}
		at := len(out)
		out = e.pack.alg.Append(out, s)
		segs[i] = out[at:len(out):len(out)]
		lens[i] = segmentLen(segs[i])
		wire += len(segs[i])
	}
	if wire >= plain {
		e.pack.count.Left++
		return false
	}
	e.pack.count.Frames++
	e.pack.count.Plain += uint64(plain)
	e.pack.count.Wire += uint64(wire)
	e.lens[0] = 0 // the preamble is no use to the next MESSAGE
	putPreamble(&e.preamble, t, &lens)
	e.preamble[26] |= flagCompressed
	le.PutUint32(e.preamble[28:], preambleCRC(e.preamble[:28]))
	if e.cipher != nil {
		e.sealUnits(b, late, &lens, segs[0], segs[1], segs[2], segs[3])
		return true
	}
	e.putPacked(b, late, wire, &segs)
	return true
}

// putPacked appends a frame in crc mode whose preamble is in e, all of it copied.
func (e *Encoder) putPacked(b *Batch, late byte, wire int, segs *[MaxSegments][]byte) {
	n := PreambleLen + wire + crcLen
	if e.segments() > 1 {
		n += EpilogueLen
	}
	dst := b.block(n)
	off := copy(dst, e.preamble[:])
	off += copy(dst[off:], segs[0])
	le.PutUint32(dst[off:], segmentCRC(segs[0]))
	off += crcLen
	if e.segments() == 1 {
		return
	}
	for _, s := range segs[1:] {
		off += copy(dst[off:], s)
	}
	e.putEpilogue((*[EpilogueLen]byte)(dst[off:]), late, segs[1], segs[2], segs[3], nil)
}
