package compress

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"
)

// Zlib is Ceph's zlib: a byte 0, and then raw deflate, without the head and the checksum of the
// zlib format:
//
//	+---+-------------------+
//	| 0 | deflate (RFC 1951) |
//	+---+-------------------+
//
// How long it becomes is nowhere said, so PlainLen decompresses into nothing to count, and each
// segment is decompressed twice.
type Zlib struct{}

// ID implements Algorithm.
func (Zlib) ID() uint32 { return IDZlib }

// Name implements Algorithm.
func (Zlib) Name() string { return "zlib" }

// deflater is a writer of deflate with what it writes to: some 600 KiB, so they are used again.
type deflater struct {
	w   *flate.Writer
	out []byte
}

func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.w, _ = flate.NewWriter(d, flate.BestSpeed) // fails for a bad level only
	return d
}}

// Append implements Algorithm.
func (Zlib) Append(dst, plain []byte) []byte {
	d := deflaters.Get().(*deflater)
	d.out = append(dst, 0)
	d.w.Reset(d)
	// Write of d cannot fail.
	_, _ = d.w.Write(plain)
	_ = d.w.Close()
	dst, d.out = d.out, nil
	deflaters.Put(d)
	return dst
}

// inflater is a reader of deflate with what it reads from, and a byte to look for the end with.
type inflater struct {
	in  bytes.Reader
	r   io.ReadCloser
	buf [4 << 10]byte
}

var inflaters = sync.Pool{New: func() any {
	x := new(inflater)
	x.r = flate.NewReader(&x.in)
	return x
}}

// open begins to inflate packed; put ends it.
func open(packed []byte) (*inflater, error) {
	if len(packed) < 2 || packed[0] != 0 {
		return nil, Corrupt(errors.New("zlib segments begin with 0"))
	}
	x := inflaters.Get().(*inflater)
	x.in.Reset(packed[1:])
	_ = x.r.(flate.Resetter).Reset(&x.in, nil) // never fails
	return x, nil
}

func (x *inflater) put() {
	x.in.Reset(nil)
	inflaters.Put(x)
}

// PlainLen implements Algorithm.
func (Zlib) PlainLen(packed []byte, limit int) (int, error) {
	x, err := open(packed)
	if err != nil {
		return 0, err
	}
	defer x.put()
	for n := 0; ; {
		k, err := x.r.Read(x.buf[:])
		if n += k; n > limit {
			return 0, ErrTooLong
		}
		switch {
		case err == io.EOF && x.in.Len() > 0:
			return 0, Corrupt(errors.New("bytes after the end"))
		case err == io.EOF:
			return n, nil
		case err != nil:
			return 0, Corrupt(err)
		}
	}
}

// Decompress implements Algorithm.
func (Zlib) Decompress(dst, packed []byte) error {
	x, err := open(packed)
	if err != nil {
		return err
	}
	defer x.put()
	switch _, err := io.ReadFull(x.r, dst); {
	case err == io.EOF || err == io.ErrUnexpectedEOF && x.in.Len() == 0:
		return ErrLength
	case err != nil:
		return Corrupt(err)
	}
	switch n, err := io.ReadFull(x.r, x.buf[:1]); {
	case n > 0:
		return ErrLength
	case err != io.EOF:
		return Corrupt(err)
	}
	return nil
}
