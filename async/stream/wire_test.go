package stream

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// headers are one of each kind, with the bytes of its front.
var headers = []struct {
	typ   uint16
	h     header
	front string
}{
	{typeOpen, header{window: 0x40000, service: "files"}, "\x00\x00\x04\x00\x05files"},
	{typeOpen, header{window: 1}, "\x01\x00\x00\x00\x00"},
	{typeOpen, header{window: creditMax, service: strings.Repeat("s", ServiceMax)},
		"\xff\xff\xff\x7f\xff" + strings.Repeat("s", ServiceMax)},
	{typeAccept, header{window: 0x01020304}, "\x04\x03\x02\x01"},
	{typeWindow, header{window: 7}, "\x07\x00\x00\x00"},
	{typeFin, header{}, ""},
	{typeClose, header{code: 5, reason: "no"}, "\x05\x00\x00\x00no"},
	{typeClose, header{code: CodeUnknown}, "\x01\xff\xff\xff"},
	{typeClose, header{reason: strings.Repeat("r", ReasonMax)}, "\x00\x00\x00\x00" + strings.Repeat("r", ReasonMax)},
}

func TestHeaders(t *testing.T) {
	for _, x := range headers {
		m := build(x.typ, streamKey{id: 3, mine: true}, 200, x.h)
		require.Equal(t, x.front, string(m.Front), name(x.typ))
		require.Equal(t, uint64(7), m.TID)
		require.Equal(t, uint8(200), m.Priority)
		h, err := parse(x.typ, m.Front)
		require.NoError(t, err, name(x.typ))
		require.Equal(t, x.h, h)
		m.Release()
	}
	require.Equal(t, "OPEN ACCEPT DATA WINDOW FIN CLOSE type 0xe016 type 0xe00f", strings.Join([]string{
		name(typeOpen), name(typeAccept), name(typeData), name(typeWindow), name(typeFin), name(typeClose),
		name(typeClose + 1), name(typeOpen - 1)}, " "))
}

// TestHeadersCut: a header that is too short or too long is refused, at each length.
func TestHeadersCut(t *testing.T) {
	for _, x := range headers {
		for n := range len(x.front) {
			if x.typ == typeClose && n >= 4 {
				break // a shorter reason
			}
			_, err := parse(x.typ, []byte(x.front[:n]))
			require.ErrorIs(t, err, errHeader, "%s of %d bytes", name(x.typ), n)
		}
		if x.typ != typeClose || len(x.front) == 4+ReasonMax {
			_, err := parse(x.typ, []byte(x.front+"x"))
			require.ErrorIs(t, err, errHeader, name(x.typ))
		}
	}
}

func TestHeadersRefused(t *testing.T) {
	for _, window := range []uint32{0, creditMax + 1, math.MaxUint32} {
		for _, typ := range []uint16{typeOpen, typeAccept, typeWindow} {
			front := binary.LittleEndian.AppendUint32(nil, window)
			if typ == typeOpen {
				front = append(front, 0)
			}
			_, err := parse(typ, front)
			require.ErrorIs(t, err, errHeader, "%s %d", name(typ), window)
		}
	}
	for typ := msg.TypeStreamFirst; typ <= msg.TypeStreamLast; typ++ {
		if typ == int(typeData) || typ > int(typeClose) {
			_, err := parse(uint16(typ), nil)
			require.ErrorIs(t, err, errHeader, "%#x", typ)
		}
	}
}

// FuzzHeader: whatever a peer sends is an error, or means what is built from it.
func FuzzHeader(f *testing.F) {
	for _, x := range headers {
		f.Add(x.typ, []byte(x.front))
	}
	f.Add(typeOpen, []byte{})
	f.Add(typeData, []byte("data"))
	f.Fuzz(func(t *testing.T, typ uint16, front []byte) {
		h, err := parse(typ, front)
		if err != nil {
			require.ErrorIs(t, err, errHeader)
			require.Equal(t, header{}, h)
			return
		}
		if h.reason != cut(h.reason) {
			t.Fatalf("a reason of %d bytes", len(h.reason))
		}
		m := build(typ, streamKey{}, 0, h)
		require.Equal(t, string(front), string(m.Front))
		m.Release()
	})
}

// TestReasonIsCut: in whole characters, and what is no text as it is.
func TestReasonIsCut(t *testing.T) {
	for _, x := range []struct {
		reason string
		want   int
	}{
		{"short", 5},
		{strings.Repeat("x", ReasonMax), ReasonMax},
		{strings.Repeat("x", ReasonMax+1), ReasonMax},
		{strings.Repeat("x", ReasonMax-1) + "ü", ReasonMax - 1},
		{strings.Repeat("x", ReasonMax-3) + "𝄞", ReasonMax - 3},
		{strings.Repeat("\x80", ReasonMax+9), ReasonMax - utf8.UTFMax},
	} {
		require.Len(t, cut(x.reason), x.want)
		require.True(t, strings.HasPrefix(x.reason, cut(x.reason)))
	}
}

// TestKeys: both ends mean the same stream by a tid, and two streams by one number if each
// dialled it.
func TestKeys(t *testing.T) {
	for _, id := range []uint64{0, 1, 1<<63 - 1} {
		mine, theirs := streamKey{id, true}, streamKey{id, false}
		require.Equal(t, theirs, keyOf(mine.tid()))
		require.Equal(t, mine, keyOf(theirs.tid()))
		require.NotEqual(t, mine.tid(), theirs.tid())
	}
}
