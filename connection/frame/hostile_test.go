package frame

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// dontCare are the bits whose flip goes unseen: in crc mode the upper nibble of
// the late status, which is reserved. Nothing else protects the epilogue's first
// byte but the distance between its two values.
func dontCare(m mode, stream []byte, bit int) bool {
	return m.name == "crc" && stream[0] == byte(TagMessage) && stream[1] > 1 &&
		bit/8 == len(stream)-EpilogueLen && bit%8 >= 4
}

// Every bit of every kind of frame, flipped, is seen, save those of dontCare.
func TestEveryBitFlipped(t *testing.T) {
	for _, m := range modes {
		flips, unseen := 0, 0
		for name, stream := range sampleFrames(m) {
			_, c := m.pair()
			want, err := decodeAll(c, stream)
			require.NoError(t, err, name)
			require.Len(t, want, 1, name)
			for bit := range len(stream) * 8 {
				bad := append([]byte(nil), stream...)
				bad[bit/8] ^= 1 << (bit % 8)
				_, c := m.pair()
				frames, err := decodeAll(c, bad)
				flips++
				if dontCare(m, stream, bit) {
					unseen++
					require.NoError(t, err, "%s %s bit %d", m.name, name, bit)
					require.Equal(t, want, frames)
					continue
				}
				require.Error(t, err, "%s %s bit %d", m.name, name, bit)
				require.Empty(t, frames, "%s %s bit %d", m.name, name, bit)
			}
		}
		t.Logf("%s: %d flips, %d of reserved bits", m.name, flips, unseen)
		require.Equal(t, m.name == "crc", unseen > 0)
	}
}

// The flips of the wire that a crc of 32 bits must see: two and three at once.
func TestBitBursts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	stream := sampleFrames(modes[0])["MESSAGE 111"]
	for range 20000 {
		bad := append([]byte(nil), stream...)
		for range 2 + rng.IntN(2) {
			// Not in the late status: its two values are four bits apart.
			i := rng.IntN(len(bad) - EpilogueLen)
			bad[i] ^= 1 << rng.IntN(8)
		}
		if string(bad) == string(stream) {
			continue
		}
		_, err := decodeAll(nil, bad)
		require.Error(t, err)
	}
}

// A stream that ends anywhere is no error and no frame; the rest completes it.
func TestEveryTruncation(t *testing.T) {
	for _, m := range modes {
		for name, stream := range sampleFrames(m) {
			_, c := m.pair()
			want, err := decodeAll(c, stream)
			require.NoError(t, err)
			for cut := range len(stream) {
				_, c := m.pair()
				f := newFeeder(c)
				require.NoError(t, f.feed(stream[:cut]), "%s %s cut %d", m.name, name, cut)
				require.Empty(t, f.frames, "%s %s cut %d", m.name, name, cut)
				require.NoError(t, f.feed(stream[cut:]), "%s %s cut %d", m.name, name, cut)
				require.Equal(t, want, f.frames, "%s %s cut %d", m.name, name, cut)
			}
		}
	}
}

// manyFrames is a stream of all kinds of frames, some of them large if so asked.
func manyFrames(m mode, large bool) []byte {
	var b Batch
	e, _ := m.pair()
	for _, c := range everyControl {
		e.AppendControl(&b, c)
	}
	for _, s := range sampleMessages() {
		e.AppendMessage(&b, &testHeader, s[0], s[1], s[2])
	}
	e.AppendAborted(&b, &testHeader, nil, pattern(3, 1), nil)
	if large {
		e.AppendMessage(&b, &testHeader, pattern(5000, 1), nil, pattern(70000, 2))
		e.AppendControl(&b, &AuthReplyMore{Payload: pattern(20000, 3)})
		e.AppendMessage(&b, &testHeader, nil, nil, pattern(200000, 2))
	}
	e.AppendControl(&b, &Wait{})
	return b.AppendTo(nil)
}

// However the bytes are split and wherever the body is received, the frames are
// the same.
func TestSplits(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	for _, m := range modes {
		for i := range 24 {
			large := i >= 4
			stream := manyFrames(m, large)
			_, c := m.pair()
			want, err := decodeAll(c, stream)
			require.NoError(t, err)
			require.True(t, want[len(everyControl)+8].Aborted)

			_, c = m.pair()
			f := newFeeder(c)
			f.giveBody, f.direct = i&1 != 0, i&2 != 0
			if large {
				require.NoError(t, randomSplit(f, rng, stream))
			} else {
				for j := range stream { // byte by byte
					require.NoError(t, f.feed(stream[j:j+1]))
				}
			}
			require.Equal(t, want, f.frames, "%s %d", m.name, i)
		}
	}
}

// preamble is one with a good crc.
func preamble(tag Tag, segments byte, lens ...uint32) []byte {
	var b [PreambleLen]byte
	b[0], b[1] = byte(tag), segments
	for i, l := range lens {
		le.PutUint32(b[2+6*i:], l)
	}
	le.PutUint32(b[28:], preambleCRC(b[:28]))
	return b[:]
}

func TestPreambleRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		p    []byte
		code Code
	}{
		{"tag 0", preamble(0, 1), UnknownTag},
		{"tag 23", preamble(23, 1), UnknownTag},
		{"tag 255", preamble(255, 1), UnknownTag},
		{"no segments", preamble(TagMessage, 0, 41), BadSegmentCount},
		{"five segments", preamble(TagMessage, 5, 41, 1, 1, 1), BadSegmentCount},
		{"control of two segments", preamble(TagAck, 2, 8, 8), BadSegmentCount},
		{"length beyond the segments", preamble(TagMessage, 1, 41, 1), BadSegmentCount},
		{"empty last", preamble(TagMessage, 3, 41, 1, 0), EmptyLastSegment},
		{"ack too short", preamble(TagAck, 1, 7), TooShort},
		{"ack too long", preamble(TagAck, 1, 9), TooLarge},
		{"wait with payload", preamble(TagWait, 1, 1), TooLarge},
		{"short header", preamble(TagMessage, 1, 40), TooShort},
		{"no header", preamble(TagMessage, 2, 0, 5), TooShort},
		{"long header", preamble(TagMessage, 1, HeaderMax+1), TooLarge},
		{"hello of 4 GiB", preamble(TagHello, 1, math.MaxUint32), TooLarge},
		{"front of 4 GiB", preamble(TagMessage, 2, 41, math.MaxUint32), TooLarge},
		{"front too long", preamble(TagMessage, 2, 41, LimitFront+1), TooLarge},
		{"middle too long", preamble(TagMessage, 3, 41, 0, LimitMiddle+1), TooLarge},
		{"data too long", preamble(TagMessage, 4, 41, 0, 0, LimitData+1), TooLarge},
		{"all of 4 GiB", preamble(TagMessage, 4, math.MaxUint32, math.MaxUint32, math.MaxUint32, math.MaxUint32),
			TooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFeeder(nil)
			err := f.feed(row.p)
			requireCode(t, row.code, err)
			require.ErrorIs(t, f.feed([]byte{0}), err, "the error sticks")
			require.Nil(t, f.d.ReadInto())
		})
	}
	compressed := preamble(TagAck, 1, 8)
	compressed[26] = 1
	le.PutUint32(compressed[28:], preambleCRC(compressed[:28]))
	_, err := decodeAll(nil, compressed)
	requireCode(t, CompressedFrame, err)
}

func TestLimits(t *testing.T) {
	check := func(l Limits, preAuth bool, p []byte) error {
		var pre Preamble
		require.NoError(t, pre.parse((*[PreambleLen]byte)(p)))
		return l.Check(&pre, preAuth)
	}
	full := preamble(TagMessage, 4, 41, LimitFront, LimitMiddle, LimitData)
	require.NoError(t, check(Limits{}, false, full))
	requireCode(t, TooLarge, check(Limits{}, true, full))
	require.NoError(t, check(Limits{}, true, preamble(TagAuthDone, 1, LimitPreAuth)))
	requireCode(t, TooLarge, check(Limits{PreAuth: 100}, true, preamble(TagAuthDone, 1, 101)))
	requireCode(t, TooLarge, check(Limits{Control: 100}, false, preamble(TagAuthDone, 1, 101)))
	requireCode(t, TooLarge, check(Limits{Data: 100}, false, preamble(TagMessage, 4, 41, 0, 0, 101)))

	var d Decoder
	d.Init(Limits{PreAuth: 50})
	d.SetPreAuth(true)
	_, _, err := d.Next(preamble(TagMessage, 2, 41, 10))
	requireCode(t, TooLarge, err)
}

// What a preamble declares is not believed: memory follows what arrives.
func TestLengthBomb(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) { lengthBomb(t, m, false) })
		t.Run(m.name+", in place", func(t *testing.T) { lengthBomb(t, m, true) })
	}
}

func lengthBomb(t *testing.T, m mode, direct bool) {
	const arrives = 100 << 10
	e, c := m.pair()
	var b Batch
	head := PreambleLen + HeaderLen + crcLen
	if c == nil {
		e.AppendMessage(&b, &testHeader, nil, nil, make([]byte, LimitData))
	} else {
		head = secureHeadLen + 16
		dst := b.small(head)
		putPreamble((*[PreambleLen]byte)(dst), TagMessage, &[MaxSegments]uint32{HeaderLen, 0, 0, LimitData})
		e.seal(dst, PreambleLen, testHeader.Append(nil))
		b.ref(make([]byte, arrives))
	}
	stream := b.AppendTo(nil)[:head+arrives]
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := newFeeder(c)
	f.direct = direct
	for off := 0; off < len(stream); off += 1000 {
		require.NoError(t, f.feed(stream[off:min(off+1000, len(stream))]))
	}
	runtime.ReadMemStats(&after)
	total := after.TotalAlloc - before.TotalAlloc
	t.Logf("%s: declared %d, arrived %d, allocated %d in all", m.name, LimitData, arrives, total)
	require.Less(t, total, uint64(8*arrives), "all allocations of growing together")
	require.LessOrEqual(t, max(cap(f.d.body), cap(f.d.acc)), 2*arrives+allocStep)
}

// A control frame whose payload does not come is not believed either.
func TestLengthBombControl(t *testing.T) {
	f := newFeeder(nil)
	require.NoError(t, f.feed(preamble(TagAuthDone, 1, authPayloadMax)))
	require.NoError(t, f.feed(make([]byte, 200)))
	require.LessOrEqual(t, cap(f.d.acc), 1024)
	require.NoError(t, f.feed(make([]byte, authPayloadMax-200)))
	require.Error(t, f.feed(make([]byte, 4)))
}

// Epilogue slots of segments that the frame does not have hold 0 or all ones.
func TestUnusedSlots(t *testing.T) {
	good := sampleFrames(modes[0])["MESSAGE 001"]
	for _, row := range []struct {
		v  uint32
		ok bool
	}{{0, true}, {crcEmpty, true}, {1, false}, {0xfffffffe, false}} {
		bad := append([]byte(nil), good...)
		le.PutUint32(bad[len(bad)-4:], row.v)
		_, err := decodeAll(nil, bad)
		if row.ok {
			require.NoError(t, err)
		} else {
			requireCode(t, BadUnusedCRC, err)
		}
	}
}

// The crc is verified before the late status, so that an aborted frame is
// believed only whole.
func TestLateStatus(t *testing.T) {
	good := sampleFrames(modes[0])["MESSAGE 111"]
	at := len(good) - EpilogueLen
	for s := range 256 {
		bad := append([]byte(nil), good...)
		bad[at] = byte(s)
		frames, err := decodeAll(nil, bad)
		switch s & 0x0f {
		case lateComplete:
			require.NoError(t, err)
			require.False(t, frames[0].Aborted)
		case lateAborted:
			require.NoError(t, err)
			require.True(t, frames[0].Aborted)
			bad[at-1] ^= 1
			_, err = decodeAll(nil, bad)
			requireCode(t, BadSegmentCRC, err)
		default:
			requireCode(t, BadLateStatus, err)
		}
	}
}

// Trailing bytes and short payloads of every control frame.
func TestControlPayloadLengths(t *testing.T) {
	for _, c := range everyControl {
		p := c.AppendPayload(nil)
		_, err := ParseControl(c.Tag(), p)
		require.NoError(t, err)
		for n := range len(p) {
			_, err := ParseControl(c.Tag(), p[:n])
			requireCode(t, BadPayload, err)
		}
		_, err = ParseControl(c.Tag(), append(p, 0))
		requireCode(t, BadPayload, err)
		require.GreaterOrEqual(t, uint32(len(p)), tags[c.Tag()].min)
		require.LessOrEqual(t, uint32(len(p)), tags[c.Tag()].max)
	}
	_, err := ParseControl(TagMessage, nil)
	requireCode(t, BadPayload, err)
	_, err = ParseControl(99, nil)
	requireCode(t, UnknownTag, err)
}

// A list or vector in a payload cannot claim more than the payload holds.
func TestControlCountBombs(t *testing.T) {
	p := le.AppendUint32(nil, 2)
	p = le.AppendUint32(p, math.MaxUint32)
	p = append(p, make([]byte, 100)...)
	_, err := ParseControl(TagAuthRequest, p)
	requireCode(t, BadPayload, err)
	p = append([]byte{2}, 0xff, 0xff, 0xff, 0xff)
	p = append(p, make([]byte, 200)...)
	_, err = ParseControl(TagClientIdent, p)
	requireCode(t, BadPayload, err)
	_, err = ParseControl(TagSessionReset, []byte{2})
	requireCode(t, BadPayload, err)
}
