package codecs

import (
	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/klauspost/compress/s2"
)

// Snappy is a raw block of snappy: a varint of the plain length, and then the elements; no framing
// format.
type Snappy struct{}

// ID implements compress.Algorithm.
func (Snappy) ID() uint32 { return compress.IDSnappy }

// Name implements compress.Algorithm.
func (Snappy) Name() string { return "snappy" }

// Append implements compress.Algorithm.
func (Snappy) Append(dst, plain []byte) []byte {
	at := len(dst)
	room := s2.MaxEncodedLen(len(plain))
	if cap(dst)-at < room {
		dst = append(make([]byte, 0, at+room), dst...)
	}
	out := s2.EncodeSnappy(dst[at:at+room:at+room], plain)
	return append(dst, out...) // onto itself
}

// PlainLen implements compress.Algorithm.
func (Snappy) PlainLen(packed []byte, limit int) (int, error) {
	n, err := s2.DecodedLen(packed)
	switch {
	case err == s2.ErrTooLarge || err == nil && n > limit:
		return 0, compress.ErrTooLong
	case err != nil:
		return 0, compress.Corrupt(err)
	}
	return n, nil
}

// Decompress implements compress.Algorithm.
func (Snappy) Decompress(dst, packed []byte) error {
	if n, err := s2.DecodedLen(packed); err != nil || n != len(dst) {
		return compress.ErrLength // it would take memory of its own
	}
	out, err := s2.Decode(dst[:len(dst):len(dst)], packed)
	switch {
	case err != nil:
		return compress.Corrupt(err)
	case len(out) != len(dst):
		return compress.ErrLength
	}
	return nil
}
