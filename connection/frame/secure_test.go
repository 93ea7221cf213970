package frame

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestGCMNonces(t *testing.T) {
	nonce := []byte{1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	g, err := NewGCM(make([]byte, GCMKeyLen), nonce)
	require.NoError(t, err)
	require.Len(t, g.Seal(nil, []byte("one")), 3+g.Overhead())
	require.Equal(t, [12]byte{1, 2, 3, 4}, g.nonce, "the counter wraps, the fixed part stays")
	require.False(t, g.spent())

	// As if 2^64 units had gone by.
	copy(g.nonce[:], nonce)
	require.Nil(t, g.Seal(nil, []byte("two")))
	_, err = g.Open(nil, make([]byte, 40))
	require.ErrorIs(t, err, ErrOutOfNonces)

	_, err = NewGCM(make([]byte, 15), nonce)
	require.Error(t, err)
	_, err = NewGCM(make([]byte, 16), nonce[1:])
	require.Error(t, err)
}

// An encoder without nonces says so, writes no plaintext, and writes no more.
func TestOutOfNonces(t *testing.T) {
	g := testGCM()
	var e Encoder
	e.SetCipher(g)
	g.begun = true
	var b Batch
	e.AppendControl(&b, &AuthReplyMore{Payload: []byte("secret secret secret")})
	requireCode(t, OutOfNonces, e.Err())
	require.NotContains(t, string(b.AppendTo(nil)), "secret")
	n := b.Len()
	e.AppendMessage(&b, &testHeader, nil, nil, []byte("data"))
	require.Equal(t, n, b.Len())

	g = testGCM()
	g.begun = true
	_, err := decodeAll(g, make([]byte, 96))
	requireCode(t, OutOfNonces, err)
}

// The same in the middle of a frame.
func TestOutOfNoncesInside(t *testing.T) {
	g := testGCM()
	g.nonce[4]-- // one nonce is left
	g.begun = true
	var e Encoder
	e.SetCipher(g)
	var b Batch
	segs := []byte(strings.Repeat("secret", 40))
	e.sealFrame(&b, TagMessage, lateComplete, segs, segs, nil, segs)
	requireCode(t, OutOfNonces, e.Err())
	require.NotContains(t, string(b.AppendTo(nil)), "secret")
}

// Units out of order, replayed or of the other direction do not open.
func TestSecureOrder(t *testing.T) {
	m := modes[1]
	e, _ := m.pair()
	var one, two Batch
	e.AppendControl(&one, &Ack{Seq: 1})
	e.AppendControl(&two, &Ack{Seq: 2})
	a, b := one.AppendTo(nil), two.AppendTo(nil)
	for _, stream := range [][]byte{b, append(append([]byte(nil), a...), a...)} {
		_, err := decodeAll(testGCM(), stream)
		requireCode(t, BadCipher, err)
		require.ErrorIs(t, err, ErrCipher)
	}
	frames, err := decodeAll(testGCM(), append(append([]byte(nil), a...), b...))
	require.NoError(t, err)
	require.Len(t, frames, 2)
}

// Until the tag of the last unit was checked, no byte of the body is in the
// buffer it will be received into.
func TestSecureBodyUnseen(t *testing.T) {
	e, c := modes[1].pair()
	var b Batch
	e.AppendMessage(&b, &testHeader, pattern(100, 1), nil, pattern(20000, 2))
	stream := b.AppendTo(nil)
	stream[len(stream)-1] ^= 1
	var d Decoder
	d.Init(Limits{})
	d.SetCipher(c)
	n, ev, err := d.Next(stream)
	require.NoError(t, err)
	require.Equal(t, GotPreamble, ev)
	body := make([]byte, d.BodyRoom())
	d.SetBody(body)
	sealed := append([]byte(nil), stream...)
	_, _, err = d.Next(stream[n:])
	requireCode(t, BadCipher, err)
	require.Equal(t, make([]byte, len(body)), body)
	require.Equal(t, sealed, stream, "the input is not modified")
	front, _, _ := d.Segments()
	require.Nil(t, front)
}

// A body that is received in place is not copied in crc mode.
func TestReadIntoIsBody(t *testing.T) {
	var e Encoder
	var b Batch
	data := pattern(100000, 1)
	e.AppendMessage(&b, &testHeader, nil, nil, data)
	stream := b.AppendTo(nil)
	var d Decoder
	d.Init(Limits{})
	n, _, err := d.Next(stream[:5000])
	require.NoError(t, err)
	require.Nil(t, d.ReadInto(), "the header has yet to come")
	body := make([]byte, d.BodyRoom())
	d.SetBody(body)
	k, ev, err := d.Next(stream[n:5000])
	require.NoError(t, err)
	require.Equal(t, NeedMore, ev)
	n += k
	room := d.ReadInto()
	require.Same(t, &body[n-77], &room[0])
	require.Len(t, room, len(body)-(n-77))
	copy(room, stream[n:])
	require.Panics(t, func() { _, _ = d.DidRead(len(room) + 1) })
	ev, err = d.DidRead(len(room))
	require.NoError(t, err)
	require.Equal(t, NeedMore, ev)
	require.Nil(t, d.ReadInto())
	k, ev, err = d.Next(stream[n+len(room):])
	require.NoError(t, err)
	require.Equal(t, EpilogueLen, k)
	require.Equal(t, GotFrame, ev)
	front, middle, got := d.Segments()
	require.Nil(t, front)
	require.Nil(t, middle)
	require.Equal(t, data, got)
	require.Same(t, &body[0], &got[0])
	_, _, again := d.Segments()
	require.Nil(t, again, "they were handed over")
}

// A frame without payload is complete with its preamble, even if there are no
// more bytes to give.
func TestNextWithoutBytes(t *testing.T) {
	for _, m := range modes {
		e, c := m.pair()
		var b Batch
		e.AppendControl(&b, &Wait{})
		var d Decoder
		d.Init(Limits{})
		d.SetCipher(c)
		_, ev, err := d.Next(b.AppendTo(nil))
		require.NoError(t, err)
		require.Equal(t, GotPreamble, ev)
		n, ev, err := d.Next(nil)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, GotFrame, ev)
		require.Empty(t, d.Payload())
		_, ev, err = d.Next(nil)
		require.NoError(t, err)
		require.Equal(t, NeedMore, ev)
	}
	var d Decoder
	t.Logf("%d bytes", unsafe.Sizeof(d))
	require.Less(t, unsafe.Sizeof(d), uintptr(512), "idle connections hold one")
}

func TestDecoderMisuse(t *testing.T) {
	var d Decoder
	d.Init(Limits{})
	require.Panics(t, func() { d.SetBody(nil) })
	_, ev, err := d.Next(preamble(TagMessage, 2, 41, 5))
	require.NoError(t, err)
	require.Equal(t, GotPreamble, ev)
	require.Panics(t, func() { d.SetBody(make([]byte, 4)) })
	require.Panics(t, func() { d.SetCipher(testGCM()) })
	d.Reset()
	d.SetCipher(testGCM())
	require.Equal(t, "NeedMore GotPreamble GotFrame Event(9)",
		NeedMore.String()+" "+GotPreamble.String()+" "+GotFrame.String()+" "+Event(9).String())
}
