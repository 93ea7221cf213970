package denc

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGolden(t *testing.T) {
	p := AppendBool(nil, true)
	p = AppendBool(p, false)
	p = AppendBL(p, []byte{9, 8})
	p = AppendString(p, "admin")
	p = AppendU32s(p, []uint32{2, 1})
	p, mark := BeginStruct(p, 3, 2)
	p = le.AppendUint64(p, 7)
	p = EndStruct(p, mark)
	require.Equal(t, []byte{
		1, 0,
		2, 0, 0, 0, 9, 8,
		5, 0, 0, 0, 'a', 'd', 'm', 'i', 'n',
		2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0,
		3, 2, 8, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
	}, p)

	r := NewReader(p)
	require.True(t, r.Bool())
	require.False(t, r.Bool())
	require.Equal(t, []byte{9, 8}, r.BL())
	require.Equal(t, "admin", r.String())
	require.Equal(t, []uint32{2, 1}, r.U32s(2))
	v, body := r.Struct(2)
	require.EqualValues(t, 3, v)
	require.EqualValues(t, 7, body.U64())
	require.NoError(t, body.End())
	r.Join(&body)
	require.NoError(t, r.End())
	require.Equal(t, AppendStructHeader(nil, 1, 1, 28), []byte{1, 1, 28, 0, 0, 0})
}

func TestIntegers(t *testing.T) {
	r := NewReader([]byte{1, 2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1,
		0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	require.EqualValues(t, 1, r.U8())
	require.EqualValues(t, 0x0102, r.U16())
	require.EqualValues(t, 0x01020304, r.U32())
	require.Equal(t, uint64(0x0102030405060708), r.U64())
	require.EqualValues(t, -1, r.S32())
	require.EqualValues(t, -2, r.S64())
	require.NoError(t, r.End())
}

// Every method on an input that is one byte too short fails, and from then on
// all give zero.
func TestShort(t *testing.T) {
	for name, c := range map[string]struct {
		n    int
		read func(*Reader) any
	}{
		"U8":    {1, func(r *Reader) any { return r.U8() }},
		"U16":   {2, func(r *Reader) any { return r.U16() }},
		"U32":   {4, func(r *Reader) any { return r.U32() }},
		"U64":   {8, func(r *Reader) any { return r.U64() }},
		"Bytes": {5, func(r *Reader) any { return len(r.Bytes(5)) }},
		"BL":    {4, func(r *Reader) any { return len(r.BL()) }},
	} {
		r := NewReader(make([]byte, c.n-1))
		require.Zero(t, c.read(&r), name)
		require.ErrorIs(t, r.Err(), ErrShort, name)
		require.Zero(t, r.Len())
		require.Zero(t, r.U64())
		require.Nil(t, r.Bytes(0))
		require.ErrorIs(t, r.End(), ErrShort)
	}
	r := NewReader(make([]byte, 4))
	require.Nil(t, r.Bytes(-1))
	require.Error(t, r.Err())
}

func TestBombs(t *testing.T) {
	// Also where an int has 32 bits.
	huge := le.AppendUint32(nil, math.MaxInt32)
	huge = append(huge, make([]byte, 40)...)
	for name, read := range map[string]func(*Reader){
		"BL":     func(r *Reader) { r.BL() },
		"String": func(r *Reader) { _ = r.String() },
		"U32s":   func(r *Reader) { r.U32s(math.MaxInt32) },
		"Count":  func(r *Reader) { r.Count(1, math.MaxInt32) },
	} {
		require.LessOrEqual(t, testing.AllocsPerRun(10, func() {
			r := NewReader(huge)
			read(&r)
			if !errors.Is(r.Err(), ErrShort) {
				t.Fatal(r.Err())
			}
		}), 8.0, name)
	}
	r := NewReader(huge)
	require.Zero(t, r.Count(1, 10))
	require.ErrorIs(t, r.Err(), ErrValue)
	le.PutUint32(huge, math.MaxUint32)
	r = NewReader(huge)
	require.Nil(t, r.BL())
	require.ErrorIs(t, r.Err(), ErrShort)
	r = NewReader(huge)
	require.Nil(t, r.U32s(math.MaxInt32))
	require.ErrorIs(t, r.Err(), ErrValue)
}

func TestStruct(t *testing.T) {
	p := append(AppendStructHeader(nil, 9, 6, 3), 1, 2, 3, 4)
	r := NewReader(p)
	_, body := r.Struct(5)
	require.ErrorIs(t, r.Err(), ErrCompat)
	require.ErrorIs(t, body.Err(), ErrCompat)

	r = NewReader(p)
	v, body := r.Struct(6)
	require.EqualValues(t, 9, v)
	require.EqualValues(t, 1, body.U8())
	r.Join(&body)
	require.EqualValues(t, 4, r.U8(), "what is left of the body is skipped")
	require.NoError(t, r.End())

	r = NewReader(p)
	_, body = r.Struct(6)
	body.U32()
	require.NoError(t, r.Err())
	r.Join(&body)
	require.ErrorIs(t, r.Err(), ErrShort)

	r = NewReader(p[:8])
	_, body = r.Struct(6)
	require.ErrorIs(t, body.Err(), ErrShort)
}

func TestRest(t *testing.T) {
	r := NewReader([]byte{1, 2, 3})
	r.U8()
	require.Equal(t, []byte{2, 3}, r.Rest())
	require.ErrorIs(t, r.End(), ErrTrailing)
	r = NewReader([]byte{2})
	r.Bool()
	require.ErrorIs(t, r.Err(), ErrValue)
	first := errors.New("first")
	r = Reader{}
	r.Fail(first)
	r.Fail(errors.New("second"))
	require.Equal(t, first, r.Err())
}

// FuzzReader runs a program of reads, one per byte of ops, over any input.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte("\x01\x02\x03\x04\x00\x00\x00abcd\x01\x01\x02\x00\x00\x00xy"))
	f.Fuzz(func(t *testing.T, ops, p []byte) {
		r := NewReader(p)
		total := 0
		for _, op := range ops {
			before := r.Len()
			switch op % 10 {
			case 0:
				r.U8()
			case 1:
				r.U16()
			case 2:
				r.U32()
			case 3:
				r.U64()
			case 4:
				r.Bool()
			case 5:
				total += len(r.BL())
			case 6:
				total += len(r.String())
			case 7:
				total += 4 * len(r.U32s(1000))
			case 8:
				total += len(r.Bytes(int(op)))
			case 9:
				_, body := r.Struct(1)
				total += body.Len()
				r.Join(&body)
			}
			if r.Len() > before {
				t.Fatal("the cursor went back")
			}
		}
		if total > len(p) {
			t.Fatalf("%d bytes out of %d", total, len(p))
		}
	})
}
