package frame

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWholeMessageSameAsNext feeds the same bytes, hurt or not, to a decoder that
// takes the short cut wherever it is offered and to one that never does.
func TestWholeMessageSameAsNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Encoder
		b := new(Batch)
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 64, 64, 64, 300, 40000}), 3, 3).Draw(t, "sizes")
		for i := range rapid.IntRange(1, 12).Draw(t, "frames") {
			if rapid.IntRange(0, 3).Draw(t, "other") == 0 {
				sizes[rapid.IntRange(0, 2).Draw(t, "which")] = rapid.IntRange(0, 70).Draw(t, "size")
			}
			if rapid.IntRange(0, 9).Draw(t, "control") == 0 {
				e.AppendControl(b, &Ack{Seq: uint64(i)})
			}
			segs := [3][]byte{}
			for k := range segs {
				segs[k] = make([]byte, sizes[k])
				for j := range segs[k] {
					segs[k][j] = byte(i + j*k)
				}
			}
			late := byte(lateComplete)
			if rapid.IntRange(0, 9).Draw(t, "abort") == 0 {
				late = lateAborted
			}
			e.appendMessage(b, &Header{Seq: uint64(i), TID: uint64(i * 3), Type: uint16(i)}, segs[0],
				segs[1], segs[2], nil, late)
		}
		stream := b.AppendTo(nil)
		if rapid.Bool().Draw(t, "hurt") {
			at := rapid.IntRange(0, len(stream)-1).Draw(t, "at")
			stream[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		stream = stream[:rapid.IntRange(len(stream)/2, len(stream)).Draw(t, "length")]

		type seen struct {
			tag                 Tag
			hdr                 Header
			front, middle, data string
			control             string
			aborted             bool
			preamble            Preamble
		}
		run := func(short bool) (out []seen, err error) {
			var d Decoder
			d.Init(Limits{})
			note := func() {
				s := seen{tag: d.Preamble().Tag, aborted: d.Aborted(), preamble: *d.Preamble()}
				if s.tag == TagMessage {
					s.hdr = *d.Header()
					f, m, x := d.Segments()
					s.front, s.middle, s.data = string(f), string(m), string(x)
				} else {
					s.control = string(d.Payload())
				}
				out = append(out, s)
			}
			for rest, again := stream, false; len(rest) > 0 || again; {
				if short && !again {
					if n, ok := d.WholeMessage(rest); ok {
						k, err := d.TakeMessage(rest, make([]byte, n))
						if err != nil {
							return out, err
						}
						rest = rest[k:]
						note()
						continue
					}
				}
				n, ev, err := d.Next(rest)
				if err != nil {
					return out, err
				}
				rest, again = rest[n:], ev == GotPreamble
				if ev == GotFrame {
					note()
				}
			}
			return out, nil
		}
		want, wantErr := run(false)
		got, gotErr := run(true)
		require.Equal(t, want, got)
		if wantErr == nil {
			require.NoError(t, gotErr)
		} else {
			require.EqualError(t, gotErr, wantErr.Error())
		}
	})
}

// TestWholeMessageIsOffered makes sure that the short cut is taken at all.
func TestWholeMessageIsOffered(t *testing.T) {
	var e Encoder
	var d Decoder
	d.Init(Limits{})
	b := new(Batch)
	for range 3 {
		e.AppendMessage(b, &Header{Seq: 1}, make([]byte, 64), nil, nil)
	}
	stream := b.AppendTo(nil)
	l := len(stream) / 3
	_, ok := d.WholeMessage(stream)
	require.False(t, ok, "no preamble was seen yet")
	for rest := stream[:l]; len(rest) > 0; {
		n, _, err := d.Next(rest)
		require.NoError(t, err)
		rest = rest[n:]
	}
	_, ok = d.WholeMessage(stream[l : 2*l-1])
	require.False(t, ok, "a byte is missing")
	n, ok := d.WholeMessage(stream[l:])
	require.True(t, ok)
	require.Equal(t, 64, n)
	d.SetPreAuth(true)
	_, ok = d.WholeMessage(stream[l:])
	require.False(t, ok, "other limits apply")
}

// TestWholeMessageOneBit: there is no bit of a message whose change is not seen when
// it is taken as a whole: by the preamble's crc, before that, and by those of header,
// segments and epilogue. Only the reserved half of the late status means nothing.
func TestWholeMessageOneBit(t *testing.T) {
	for _, sizes := range [][3]int{{64, 0, 0}, {0, 0, 33}, {16, 8, 40}, {0, 20, 0}, {1, 0, 1}} {
		var e Encoder
		b := new(Batch)
		for i := range 2 {
			e.AppendMessage(b, &Header{Seq: uint64(i + 1), TID: 7, Type: 3, Priority: 127},
				pattern(sizes[0], 1), pattern(sizes[1], 2), pattern(sizes[2], 3))
		}
		stream := b.AppendTo(nil)
		first := len(stream) / 2
		take := func(msg []byte) (ok bool, n int, d *Decoder, err error) {
			d = new(Decoder)
			d.Init(Limits{})
			for rest := stream[:first]; len(rest) > 0; {
				n, _, err := d.Next(rest)
				require.NoError(t, err)
				rest = rest[n:]
			}
			size, ok := d.WholeMessage(msg)
			if !ok {
				return false, 0, d, nil
			}
			require.Equal(t, sizes[0]+sizes[1]+sizes[2], size)
			n, err = d.TakeMessage(msg, make([]byte, size))
			return true, n, d, err
		}
		ok, n, d, err := take(stream[first:])
		require.True(t, ok)
		require.NoError(t, err)
		require.Equal(t, first, n)
		require.EqualValues(t, 2, d.Header().Seq)

		lateStatus := first - EpilogueLen
		for at := range first {
			for bit := range 8 {
				msg := bytes.Clone(stream[first:])
				msg[at] ^= 1 << bit
				ok, n, d, err := take(msg)
				switch {
				case at < PreambleLen:
					require.False(t, ok, "%v: bit %d of byte %d, in the preamble", sizes, bit, at)
					_, _, err = d.Next(msg)
					require.ErrorIs(t, err, ErrCRC)
				case at == lateStatus && bit >= 4:
					require.NoError(t, err)
					require.False(t, d.Aborted())
				default:
					require.True(t, ok)
					require.Error(t, err, "%v: bit %d of byte %d of %d", sizes, bit, at, first)
					var fe *Error
					require.ErrorAs(t, err, &fe)
					require.Equal(t, TagMessage, fe.Tag)
					require.Contains(t, []Code{BadSegmentCRC, BadUnusedCRC, BadLateStatus}, fe.Code)
					require.LessOrEqual(t, n, first)
					front, middle, data := d.Segments()
					require.Zero(t, len(front)+len(middle)+len(data), "nothing is handed over")
					_, _, again := d.Next(nil)
					require.Equal(t, err, again, "the stream is of no more use")
				}
			}
		}
	}
}
