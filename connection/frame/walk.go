package frame

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
)

// Record is a banner or a frame of a transcript. Its slices are valid during the
// visit.
type Record struct {
	// From is the side that sent it.
	From Direction
	// Offset and Len say where it is in the side's stream.
	Offset, Len int
	// At is when its last chunk was recorded.
	At time.Duration
	// Banner is set for a banner; the rest is about frames.
	Banner *Banner
	// Preamble is the frame's; Payload is segment 0 of a control frame.
	Preamble Preamble
	Payload  []byte
	// Header and the segments are a MESSAGE's.
	Header              Header
	Front, Middle, Data []byte
	// Aborted says that the late status was so.
	Aborted bool
	// Sealed says that it was in secure mode.
	Sealed bool
	// Compressed names the algorithm that the segments were compressed with, "" for none. The
	// lengths in Preamble are of the compressed ones; Payload, Header and the segments are
	// decompressed.
	Compressed string
}

// String is the record in one line: side, offset, length, and the frame.
func (r *Record) String() string {
	s := fmt.Sprintf("%c @%d len %d ", r.From.letter(), r.Offset, r.Len)
	if r.Banner != nil {
		return s + r.Banner.String()
	}
	s += Describe(&r.Preamble, r.Payload, &r.Header)
	if r.Compressed != "" {
		s += " compressed by " + r.Compressed
		if r.Preamble.Tag == TagMessage {
			s += fmt.Sprintf(" from %d/%d/%d", len(r.Front), len(r.Middle), len(r.Data))
		}
	}
	if r.Aborted {
		s += " aborted"
	}
	return s
}

// Summary is what a walk has counted.
type Summary struct {
	// Frames are the complete frames, banners not among them. Each has a preamble
	// crc, which matched.
	Frames int
	// SegmentCRCs are the segment crcs that matched: one for each segment that is
	// not empty, of the frames in crc mode.
	SegmentCRCs int
	// Units are the units of secure mode that were opened.
	Units int
	// Partial is, for the connector's and the acceptor's stream, how many bytes
	// are left after the last complete frame.
	Partial [2]int
	// Encrypted is how many bytes of each stream are in secure mode and were not
	// looked at, for want of the secret.
	Encrypted [2]int
}

// WalkError is where a walk found something that does not verify.
type WalkError struct {
	// From and Offset say where the frame begins.
	From   Direction
	Offset int
	Err    error
}

// Error names the side, the offset and the reason.
func (e *WalkError) Error() string {
	return fmt.Sprintf("%c @%d: %v", e.From.letter(), e.Offset, e.Err)
}

// Unwrap is the reason.
func (e *WalkError) Unwrap() error { return e.Err }

// WalkOptions are the choices of a walk. The zero value will do.
type WalkOptions struct {
	// Secret returns the connection secret (docs/PROTOCOL.md 1.4) when the sides agree
	// on secure mode, at least 40 bytes, or nil if it is not known. If it is not
	// set, what is encrypted is skipped.
	Secret func(*AuthDone) []byte
	// Limits bound the frames.
	Limits Limits
}

// walker is one side's stream.
type walker struct {
	from      Direction
	dec       Decoder
	banner    []byte // as long as it is incomplete
	hasBanner bool
	encrypted bool
	start     int // of the current frame
	off       int // bytes consumed
}

// Walk takes both streams apart, in the order of the wire, verifies everything
// and visits each banner and frame. It stops with a *WalkError at the first frame
// that does not verify, or with visit's error; the Summary is of what came before.
func (t *Transcript) Walk(o WalkOptions, visit func(*Record) error) (Summary, error) {
	var sum Summary
	sides := [2]walker{{from: FromConnector}, {from: FromAcceptor}}
	for i := range sides {
		sides[i].dec.Init(o.Limits)
	}
	var err error
	for _, c := range t.Chunks {
		w := &sides[c.From.side()]
		if err = w.feed(&sides, c, &o, &sum, visit); err != nil {
			break
		}
	}
	for i := range sides {
		if w := &sides[i]; !w.encrypted {
			sum.Partial[i] = w.off - w.start
		}
	}
	return sum, err
}

// feed takes one chunk.
func (w *walker) feed(sides *[2]walker, c Chunk, o *WalkOptions, sum *Summary, visit func(*Record) error) error {
	b := c.Data
	if !w.hasBanner {
		var err error
		if b, err = w.feedBanner(b, c.At, visit); err != nil || !w.hasBanner {
			return err
		}
	}
	for !w.encrypted {
		n, ev, err := w.dec.Next(b)
		b = b[n:]
		w.off += n
		if err != nil {
			return &WalkError{From: w.from, Offset: w.start, Err: err}
		}
		if ev == NeedMore {
			return nil
		}
		if ev == GotPreamble {
			continue
		}
		r, err := w.record(c.At)
		if err != nil {
			return &WalkError{From: w.from, Offset: w.start, Err: err}
		}
		sum.count(r, w.dec.cipher)
		w.start = w.off
		if visit != nil {
			if err := visit(r); err != nil {
				return err
			}
		}
		if err := w.switchMode(sides, r, o); err != nil {
			return &WalkError{From: w.from, Offset: r.Offset, Err: err}
		}
	}
	sum.Encrypted[w.from.side()] += len(b)
	return nil
}

func (w *walker) feedBanner(b []byte, at time.Duration, visit func(*Record) error) (rest []byte, err error) {
	before := len(w.banner)
	w.banner = append(w.banner, b...)
	banner, n, err := ParseBanner(w.banner)
	if err != nil {
		return nil, &WalkError{From: w.from, Err: err}
	}
	if n == 0 {
		w.off += len(b)
		return nil, nil
	}
	w.hasBanner, w.banner = true, nil
	w.off, w.start = n, n
	if visit != nil {
		err = visit(&Record{From: w.from, Len: n, At: at, Banner: &banner})
	}
	return b[n-before:], err
}

// record is the frame that the decoder has completed.
func (w *walker) record(at time.Duration) (*Record, error) {
	d := &w.dec
	r := &Record{
		From: w.from, Offset: w.start, Len: w.off - w.start, At: at,
		Preamble: *d.Preamble(), Payload: d.Payload(), Aborted: d.Aborted(), Sealed: d.cipher != nil,
	}
	if d.Compressed() {
		r.Compressed = d.pack.alg.Name()
	}
	if r.Preamble.Tag == TagMessage {
		if d.Compressed() {
			n, err := d.PlainLen()
			if err != nil {
				return nil, err
			}
			if err := d.Unpack(make([]byte, n)); err != nil {
				return nil, err
			}
		}
		r.Header = *d.Header()
		r.Front, r.Middle, r.Data = d.Segments()
	}
	return r, nil
}

func (s *Summary) count(r *Record, c Cipher) {
	s.Frames++
	if c != nil {
		s.Units++
		if r.Preamble.Segments[0].Len > secureInlineLen {
			s.Units++
		}
		if r.Preamble.NumSegments > 1 {
			s.Units++
		}
		return
	}
	for _, seg := range r.Preamble.Segments {
		if seg.Len > 0 {
			s.SegmentCRCs++
		}
	}
}

// switchMode follows an AUTH_DONE into secure mode, and a COMPRESSION_DONE into compression, which
// begin with the next frame of both sides.
func (w *walker) switchMode(sides *[2]walker, r *Record, o *WalkOptions) error {
	if w.from == FromAcceptor && r.Preamble.Tag == TagCompressionDone {
		return compressBoth(sides, r)
	}
	if w.from != FromAcceptor || r.Preamble.Tag != TagAuthDone {
		return nil
	}
	var done AuthDone
	if err := done.Parse(r.Payload); err != nil || done.ConMode != conModeSecure {
		return err
	}
	var secret []byte
	if o.Secret != nil {
		secret = o.Secret(&done)
	}
	for i := range sides {
		if sides[i].start != sides[i].off {
			return fmt.Errorf("frame: secure mode begins inside a frame of the %c side", sides[i].from.letter())
		}
		if secret == nil {
			sides[i].encrypted = true
			continue
		}
		if len(secret) < 40 {
			return fmt.Errorf("frame: connection secret of %d bytes, want 40", len(secret))
		}
		nonce := secret[28:40] // the connector's
		if sides[i].from == FromAcceptor {
			nonce = secret[16:28]
		}
		c, err := NewGCM(secret[:16], nonce)
		if err != nil {
			return err
		}
		sides[i].dec.SetCipher(c)
	}
	return nil
}

// compressBoth follows a COMPRESSION_DONE.
func compressBoth(sides *[2]walker, r *Record) error {
	var done CompressionDone
	if err := done.Parse(r.Payload); err != nil || !done.Compress {
		return err
	}
	a := compress.ByID(done.Method)
	if a == nil {
		return nil // a compressed frame, should one come, is refused
	}
	for i := range sides {
		if sides[i].start != sides[i].off {
			return fmt.Errorf("frame: compression begins inside a frame of the %c side", sides[i].from.letter())
		}
		sides[i].dec.SetCompression(a)
	}
	return nil
}

// conModeSecure is the connection mode of AES-GCM (docs/PROTOCOL.md 1.7).
const conModeSecure = 2
