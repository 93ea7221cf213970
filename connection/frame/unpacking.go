package frame

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
)

// Decompression of what is received. Segment 0 is decompressed by the Decoder, since its tag
// bounds it; segments 1 to 3 of a MESSAGE are left as they came until the owner asks how long they
// become (PlainLen) and has found room for that (Unpack).

// unpacker is a Decoder's with compression.
type unpacker struct {
	alg   compress.Algorithm
	head  [HeaderMax]byte     // segment 0 of a MESSAGE
	lens  [MaxSegments]int    // of the current MESSAGE's segments, decompressed; set by PlainLen
	parts [MaxSegments][]byte // they, compressed
	raw   bool                // Segments are to be as they came
	known bool                // lens are there
	done  bool                // the body is decompressed
	count Packed
}

// SetCompression accepts compressed frames from the next one on; nil refuses them. It panics
// inside a frame.
func (d *Decoder) SetCompression(a compress.Algorithm) {
	if (d.state != atHead || d.have > 0) && d.state != atEnd {
		panic("frame: Decoder.SetCompression inside a frame")
	}
	if d.pack = nil; a != nil {
		d.pack = &unpacker{alg: a}
	}
}

// Packed is what was decompressed since SetCompression.
func (d *Decoder) Packed() Packed {
	if d.pack == nil {
		return Packed{}
	}
	return d.pack.count
}

// Compressed says whether the current frame is. Then SetBody is not called, and before Segments
// come PlainLen and Unpack.
func (d *Decoder) Compressed() bool { return d.pre.Flags&flagCompressed != 0 }

// PlainLen is how long segments 1 to 3 of a compressed MESSAGE become together, after GotFrame.
// A segment beyond its limit is refused here, before memory is taken for it.
func (d *Decoder) PlainLen() (int, error) {
	u := d.pack
	if d.err != nil {
		return 0, d.err
	}
	if d.state != atEnd || u == nil || !d.Compressed() {
		panic("frame: Decoder.PlainLen other than after a compressed MESSAGE")
	}
	if !u.known {
		parts, body := [MaxSegments][]byte{}, d.body
		u.raw = true
		parts[1], parts[2], parts[3] = d.Segments()
		d.body, u.raw = body, false
		limits := [MaxSegments]uint32{0, d.limits.Front, d.limits.Middle, d.limits.Data}
		for i := 1; i < MaxSegments; i++ {
			if u.lens[i] = 0; len(parts[i]) == 0 {
				continue
			}
			n, err := d.plainLen(i, parts[i], limits[i])
			if err != nil {
				return 0, d.fail(err)
			}
			u.lens[i] = n
		}
		u.parts, u.known = parts, true
	}
	return u.lens[1] + u.lens[2] + u.lens[3], nil
}

// plainLen is how long a segment becomes, limit at most.
func (d *Decoder) plainLen(i int, packed []byte, limit uint32) (int, error) {
	n, err := d.pack.alg.PlainLen(packed, int(limit))
	switch {
	case errors.Is(err, compress.ErrTooLong) || err == nil && (n > int(limit) || n < 0): // 32 bits
		return 0, &Error{Code: TooLarge, Tag: d.pre.Tag, Segment: i, Len: n, Limit: int(limit), Err: err}
	case err == nil && n == 0:
		err = errors.New("nothing, compressed")
	}
	if err != nil {
		return 0, d.badPacked(i, packed, err)
	}
	return n, nil
}

func (d *Decoder) badPacked(i int, packed []byte, err error) error {
	return &Error{Code: BadCompression, Tag: d.pre.Tag, Segment: i, Len: len(packed),
		Err: fmt.Errorf("%s: %w", d.pack.alg.Name(), err)}
}

// Unpack decompresses segments 1 to 3 into buf, whose length is PlainLen. Segments are then slices
// of it.
func (d *Decoder) Unpack(buf []byte) error {
	want, err := d.PlainLen()
	if err != nil {
		return err
	}
	if len(buf) != want {
		panic(fmt.Sprintf("frame: Decoder.Unpack into %d bytes, want %d", len(buf), want))
	}
	u, off := d.pack, 0
	for i := 1; i < MaxSegments; i++ {
		if u.lens[i] == 0 {
			continue
		}
		if err := u.alg.Decompress(buf[off:off+u.lens[i]:off+u.lens[i]], u.parts[i]); err != nil {
			return d.fail(d.badPacked(i, u.parts[i], err))
		}
		off += u.lens[i]
	}
	u.count.Plain += uint64(want)
	u.parts = [MaxSegments][]byte{}
	d.body, u.done = buf, true
	return nil
}

// unpacked are the segments that Unpack has made.
func (d *Decoder) unpacked() (front, middle, data []byte) {
	u, body := d.pack, d.body
	if d.state != atEnd || u == nil || !u.done || body == nil {
		return nil, nil, nil
	}
	d.body = nil
	cut := func(i int) (p []byte) {
		if n := u.lens[i]; n > 0 {
			p, body = body[:n:n], body[n:]
		}
		return p
	}
	return cut(1), cut(2), cut(3)
}

// unpackFirst decompresses segment 0.
func (d *Decoder) unpackFirst(packed []byte) ([]byte, error) {
	info := &tags[d.pre.Tag]
	n, err := d.plainLen(0, packed, min(info.max, d.limits.Control))
	if err != nil {
		return nil, err
	}
	if n < int(info.min) {
		return nil, &Error{Code: TooShort, Tag: d.pre.Tag, Len: n, Limit: int(info.min)}
	}
	u := d.pack
	var dst []byte
	if n <= len(u.head) {
		dst = u.head[:n:n]
	} else {
		dst = make([]byte, n)
	}
	if err := u.alg.Decompress(dst, packed); err != nil {
		return nil, d.badPacked(0, packed, err)
	}
	u.known, u.done = false, false
	u.count.Frames++
	u.count.Plain += uint64(n)
	u.count.Wire += uint64(len(packed) + d.pre.BodyLen())
	return dst, nil
}
