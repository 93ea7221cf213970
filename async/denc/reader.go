package denc

import (
	"errors"
	"fmt"
)

// What a Reader's error wraps.
var (
	// ErrShort: the input ended inside a value.
	ErrShort = errors.New("denc: input too short")
	// ErrCompat: a versioned struct asks for a newer decoder.
	ErrCompat = errors.New("denc: struct needs a newer decoder")
	// ErrValue: a value that its type does not have, or beyond its bound.
	ErrValue = errors.New("denc: value out of range")
	// ErrTrailing: bytes are left after the last value.
	ErrTrailing = errors.New("denc: trailing bytes")
)

// Reader is a cursor over an encoding. The first failure sticks: from then on
// every method returns zero values, so that a decoder checks Err once, at its
// end. Slices it returns alias the input. The zero Reader is over nothing.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a Reader over b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Len is the number of bytes not yet consumed; 0 after a failure.
func (r *Reader) Len() int { return len(r.b) }

// Rest is the bytes not yet consumed. It consumes nothing.
func (r *Reader) Rest() []byte { return r.b }

// Err is the first failure, or nil.
func (r *Reader) Err() error { return r.err }

// Fail makes err the Reader's failure unless it has failed already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// End is Err, with ErrTrailing when everything decoded but bytes are left.
func (r *Reader) End() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail(fmt.Errorf("%w: %d", ErrTrailing, len(r.b)))
	}
	return r.err
}

// short is out of line so that the integer readers inline.
func (r *Reader) short(n int) {
	if r.err == nil {
		r.Fail(fmt.Errorf("%w: want %d bytes, have %d", ErrShort, n, len(r.b)))
	}
}

// Bytes consumes n bytes and returns them without a copy, capacity n.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.short(n)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// U8 consumes a byte.
func (r *Reader) U8() uint8 {
	if len(r.b) < 1 {
		r.short(1)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// U16 consumes a little-endian u16.
func (r *Reader) U16() uint16 {
	if len(r.b) < 2 {
		r.short(2)
		return 0
	}
	v := le.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

// U32 consumes a little-endian u32.
func (r *Reader) U32() uint32 {
	if len(r.b) < 4 {
		r.short(4)
		return 0
	}
	v := le.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// U64 consumes a little-endian u64.
func (r *Reader) U64() uint64 {
	if len(r.b) < 8 {
		r.short(8)
		return 0
	}
	v := le.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// S32 consumes a little-endian s32.
func (r *Reader) S32() int32 { return int32(r.U32()) }

// S64 consumes a little-endian s64.
func (r *Reader) S64() int64 { return int64(r.U64()) }

// Bool consumes a byte that is 0 or 1; any other value is ErrValue.
func (r *Reader) Bool() bool {
	v := r.U8()
	if v > 1 {
		r.Fail(fmt.Errorf("%w: bool %d", ErrValue, v))
		return false
	}
	return v == 1
}

// BL consumes a bufferlist (u32 length, bytes), without a copy.
func (r *Reader) BL() []byte {
	n := r.U32()
	if uint64(n) > uint64(len(r.b)) {
		r.short(int(n))
		return nil
	}
	return r.Bytes(int(n))
}

// String consumes a string (u32 length, bytes). It copies.
func (r *Reader) String() string { return string(r.BL()) }

// Count consumes the u32 count of a vector whose items take at least itemLen
// bytes each. It fails when the rest of the input cannot hold so many or when
// there are more than max, so a slice of the count can be made safely.
func (r *Reader) Count(itemLen, max int) int {
	n := r.U32()
	if uint64(n) > uint64(max) {
		r.Fail(fmt.Errorf("%w: %d items, at most %d", ErrValue, n, max))
		return 0
	}
	if uint64(n)*uint64(itemLen) > uint64(len(r.b)) {
		r.short(int(n) * itemLen)
		return 0
	}
	return int(n)
}

// U32s consumes a vector of at most max u32. An empty one is nil.
func (r *Reader) U32s(max int) []uint32 {
	n := r.Count(4, max)
	if n == 0 {
		return nil
	}
	v := make([]uint32, n)
	for i := range v {
		v[i] = r.U32()
	}
	return v
}

// Struct consumes a versioned struct (Ceph's ENCODE_START) and returns its
// version and a Reader over its body. It fails with ErrCompat when the struct
// needs a decoder newer than maxCompat. Bytes of the body that are left unread
// belong to newer versions and are skipped. What goes wrong in the body is seen
// by r only after Join.
func (r *Reader) Struct(maxCompat uint8) (version uint8, body Reader) {
	version = r.U8()
	compat := r.U8()
	p := r.BL()
	if r.err == nil && compat > maxCompat {
		r.Fail(fmt.Errorf("%w: version %d compat %d, this one knows %d", ErrCompat, version, compat, maxCompat))
	}
	if r.err != nil {
		return 0, Reader{err: r.err}
	}
	return version, Reader{b: p}
}

// Join makes a failure of body, a Reader got from Struct, r's own.
func (r *Reader) Join(body *Reader) {
	if body.err != nil {
		r.Fail(body.err)
	}
}
