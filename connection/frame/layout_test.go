package frame

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// rawFrame is a frame of any lengths, for segment 0 of a real MESSAGE is always
// a header. It takes the encoder's own paths.
func rawFrame(e *Encoder, lens [MaxSegments]int) []byte {
	var b Batch
	segs := [MaxSegments][]byte{}
	for i, n := range lens {
		segs[i] = pattern(n, byte(i))
	}
	if e.cipher != nil {
		e.sealFrame(&b, TagMessage, lateComplete, segs[0], segs[1], segs[2], segs[3])
		return b.AppendTo(nil)
	}
	var pre [PreambleLen]byte
	segments := putPreamble(&pre, TagMessage,
		&[MaxSegments]uint32{uint32(lens[0]), uint32(lens[1]), uint32(lens[2]), uint32(lens[3])})
	out := append(pre[:], segs[0]...)
	if lens[0] > 0 {
		out = le.AppendUint32(out, segmentCRC(segs[0]))
	}
	if segments > 1 {
		out = append(out, segs[1]...)
		out = append(out, segs[2]...)
		out = append(out, segs[3]...)
		out = append(out, make([]byte, EpilogueLen)...)
	}
	return out
}

// The lengths on the wire, the table of docs/PROTOCOL.md 1.4, columns "crc mode"
// and "secure mode".
func TestWireLengths(t *testing.T) {
	for _, row := range []struct {
		lens        [4]int
		segments    byte
		crc, secure int
	}{
		{[4]int{0, 0, 0, 0}, 1, 32, 96},
		{[4]int{0, 0, 0, 303}, 4, 32 + 303 + 13, 96 + 304 + 32},
		{[4]int{0, 101, 0, 0}, 2, 32 + 101 + 13, 96 + 112 + 32},
		{[4]int{1, 0, 0, 0}, 1, 32 + 5, 96},
		{[4]int{1, 101, 202, 303}, 4, 32 + 5 + 101 + 202 + 303 + 13, 96 + 112 + 208 + 304 + 32},
		{[4]int{48, 0, 0, 0}, 1, 32 + 52, 96},
		{[4]int{48, 0, 202, 0}, 3, 32 + 52 + 202 + 13, 96 + 208 + 32},
		{[4]int{49, 0, 0, 0}, 1, 32 + 53, 96 + 32},
		{[4]int{49, 101, 202, 303}, 4, 32 + 53 + 101 + 202 + 303 + 13, 96 + 32 + 112 + 208 + 304 + 32},
	} {
		t.Run(fmt.Sprint(row.lens), func(t *testing.T) {
			crc, _ := modes[0].pair()
			secure, _ := modes[1].pair()
			require.Len(t, rawFrame(&crc, row.lens), row.crc)
			require.Equal(t, row.segments, rawFrame(&crc, row.lens)[1])
			require.Len(t, rawFrame(&secure, row.lens), row.secure)

			p := Preamble{NumSegments: row.segments}
			for i, n := range row.lens {
				p.Segments[i].Len = uint32(n)
			}
			want := secureHeadLen + 16 + secureRestLen(row.lens[0], 16)
			if row.segments > 1 {
				want += secureTailLen(&p, 16)
			}
			require.Equal(t, row.secure, want)
		})
	}
}

// The same through AppendMessage and AppendControl.
func TestWireLengthsOfFrames(t *testing.T) {
	for _, row := range []struct {
		lens        [3]int
		crc, secure int
	}{
		{[3]int{0, 0, 0}, 77, 96},
		{[3]int{101, 202, 303}, 77 + 606 + 13, 96 + 112 + 208 + 304 + 32},
		{[3]int{0, 202, 0}, 77 + 202 + 13, 96 + 208 + 32},
		{[3]int{0, 0, 4096}, 77 + 4096 + 13, 96 + 4096 + 32},
		{[3]int{20000, 0, 3}, 77 + 20003 + 13, 96 + 20000 + 16 + 32},
	} {
		for i, want := range []int{row.crc, row.secure} {
			var b Batch
			e, _ := modes[i].pair()
			e.AppendMessage(&b, &testHeader, pattern(row.lens[0], 0), pattern(row.lens[1], 0), pattern(row.lens[2], 0))
			require.Equal(t, want, b.Len(), "%s %v", modes[i].name, row.lens)
			require.Len(t, b.AppendTo(nil), want)
		}
	}
	for _, row := range []struct {
		n, crc, secure int
	}{{0, 36 + 4, 96}, {44, 36 + 48, 96}, {45, 36 + 49, 96 + 32}, {30000, 36 + 30004, 96 + 30016 - 48 + 16}} {
		for i, want := range []int{row.crc, row.secure} {
			var b Batch
			e, _ := modes[i].pair()
			e.AppendControl(&b, AuthReplyMore{Payload: make([]byte, row.n)})
			require.Equal(t, want, b.Len(), "%s %d", modes[i].name, row.n)
			require.Len(t, b.AppendTo(nil), want)
		}
	}
}

// The preamble of the origin, from a recorded HELLO.
func TestPreambleBytes(t *testing.T) {
	var pre [PreambleLen]byte
	putPreamble(&pre, TagHello, &[MaxSegments]uint32{36})
	require.Equal(t, "010124000000080000000000000000000000000000000000000000003fbd6b06", fmt.Sprintf("%x", pre))

	// Alignments, and no descriptors beyond the last segment.
	var p Preamble
	putPreamble(&pre, TagMessage, &[MaxSegments]uint32{HeaderLen, 0, 5, 7})
	require.NoError(t, p.parse(&pre))
	require.Equal(t, [4]Segment{{41, 8}, {0, 8}, {5, 8}, {7, 4096}}, p.Segments)
	putPreamble(&pre, TagMessage, &[MaxSegments]uint32{HeaderLen, 5})
	require.NoError(t, p.parse(&pre))
	require.Equal(t, [4]Segment{{41, 8}, {5, 8}}, p.Segments)
	require.Equal(t, "MESSAGE segments=2 lens=41/5/0/0", p.String())
}
