package frame

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
)

// runs is an algorithm for tests: u32 plain length, and then runs of a byte and a u32 count.
type runs struct{}

func (runs) ID() uint32   { return 77 }
func (runs) Name() string { return "runs" }

func (runs) Append(dst, plain []byte) []byte {
	dst = le.AppendUint32(dst, uint32(len(plain)))
	if bytes.Count(plain, plain[:1]) != len(plain) {
		return append(append(dst, 0xff), plain...) // as it is
	}
	return le.AppendUint32(append(dst, plain[0]), uint32(len(plain)))
}

func (runs) PlainLen(p []byte, limit int) (int, error) {
	if len(p) < 5 {
		return 0, compress.ErrCorrupt
	}
	if n := int(le.Uint32(p)); n <= limit {
		return n, nil
	}
	return 0, compress.ErrTooLong
}

func (runs) Decompress(dst, p []byte) error {
	if p = p[4:]; p[0] == 0xff {
		if copy(dst, p[1:]) != len(dst) || len(p)-1 != len(dst) {
			return compress.ErrLength
		}
		return nil
	}
	if len(p) != 5 || int(le.Uint32(p[1:])) != len(dst) {
		return compress.ErrLength
	}
	for i := range dst {
		dst[i] = p[0]
	}
	return nil
}

// packed are the frames of a few messages and control frames, compressed from 64 bytes on.
func packed(m mode, a compress.Algorithm) (stream []byte, want []got, count Packed) {
	var b Batch
	e, _ := m.pair()
	e.SetCompression(a, 64)
	for i, n := range []int{1, 500, 3000, 40, 100_000} {
		h := testHeader
		h.Seq = uint64(i)
		segs := [3][]byte{bytes.Repeat([]byte{'a'}, n), bytes.Repeat([]byte{'b'}, i),
			bytes.Repeat([]byte{'c'}, n*7%1001)}
		e.AppendMessage(&b, &h, segs[0], segs[1], segs[2])
		e.AppendControl(&b, &Ack{Seq: uint64(i)})
		e.AppendControl(&b, everyControl[i])
		want = append(want, got{Header: h, Front: string(segs[0]), Middle: string(segs[1]), Data: string(segs[2])},
			got{Payload: string((&Ack{Seq: uint64(i)}).AppendPayload(nil))},
			got{Payload: string(everyControl[i].AppendPayload(nil))})
	}
	dense, rng := make([]byte, 5000), rand.New(rand.NewPCG(1, 2))
	for i := range dense {
		dense[i] = byte(rng.Uint32())
	}
	e.AppendMessage(&b, &testHeader, nil, nil, dense)
	want = append(want, got{Header: testHeader, Data: string(dense)})
	return b.AppendTo(nil), want, e.Packed()
}

// TestPackedFrames: compressed frames, and those that are too short for it or do not become
// shorter, come out as they went in, however the stream is split.
func TestPackedFrames(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, m := range modes {
		for _, a := range []compress.Algorithm{compress.Zlib{}, runs{}} {
			stream, want, sent := packed(m, a)
			require.Less(t, len(stream), 20_000, "%s %s", m.name, a.Name())
			require.NotZero(t, sent.Frames)
			require.NotZero(t, sent.Left, "what does not become shorter is sent as it is")
			require.Less(t, sent.Wire, sent.Plain)
			for range 50 {
				_, c := m.pair()
				f := newFeeder(c)
				f.d.SetCompression(a)
				f.giveBody, f.direct = rng.IntN(2) == 0, rng.IntN(2) == 0
				require.NoError(t, randomSplit(f, rng, stream))
				require.Len(t, f.frames, len(want))
				for i := range want {
					g := f.frames[i]
					g.Preamble = Preamble{}
					require.Equal(t, want[i], g)
				}
				received := f.d.Packed()
				received.Left = sent.Left
				require.Equal(t, sent, received)
			}
			_, c := m.pair()
			_, err := decodeAll(c, stream) // compression was not agreed on
			requireCode(t, CompressedFrame, err)
		}
	}
}

// TestPackedBitFlips: no flipped bit goes unseen, and none makes the decoder panic.
func TestPackedBitFlips(t *testing.T) {
	for _, m := range modes {
		var b Batch
		e, _ := m.pair()
		e.SetCompression(compress.Zlib{}, 0)
		e.AppendMessage(&b, &testHeader, bytes.Repeat([]byte("ab"), 80), nil, []byte("ccccccccccccccccccccccccccc"))
		stream := b.AppendTo(nil)
		require.EqualValues(t, 1, e.Packed().Frames)
		for bit := range len(stream) * 8 {
			if dontCare(m, stream, bit) {
				continue
			}
			bad := bytes.Clone(stream)
			bad[bit/8] ^= 1 << (bit % 8)
			_, c := m.pair()
			f := newFeeder(c)
			f.d.SetCompression(compress.Zlib{})
			if err := f.feed(bad); err == nil {
				require.Empty(t, f.frames, "%s bit %d", m.name, bit)
			}
		}
	}
}

// bomb is a compressed MESSAGE with these segments as they are on the wire.
func bomb(front, data []byte, a compress.Algorithm) []byte {
	var hdr [HeaderLen]byte
	testHeader.put(&hdr)
	segs := [MaxSegments][]byte{a.Append(nil, hdr[:]), front, nil, data}
	var e Encoder
	var lens [MaxSegments]uint32
	wire := 0
	for i := range segs {
		lens[i] = uint32(len(segs[i]))
		wire += len(segs[i])
	}
	putPreamble(&e.preamble, TagMessage, &lens)
	e.preamble[26] |= flagCompressed
	le.PutUint32(e.preamble[28:], preambleCRC(e.preamble[:28]))
	var b Batch
	e.putPacked(&b, lateComplete, wire, &segs)
	return b.AppendTo(nil)
}

// TestBombs: what becomes longer than the limits, by what it says or by what it is, what is not
// as long as it says, and what is cut off, is refused, and the first two before memory is taken
// for it.
func TestBombs(t *testing.T) {
	say := func(n uint32, p ...byte) []byte { return append(le.AppendUint32(nil, n), p...) }
	zeros := make([]byte, 65<<20)
	zip := compress.Zlib{}
	long := zip.Append(nil, zeros)
	require.Less(t, len(long), 1<<20)
	short := zip.Append(nil, zeros[:10_000])
	for _, tc := range []struct {
		name        string
		a           compress.Algorithm
		front, data []byte
		code        Code
	}{
		{"declared", runs{}, say(LimitFront+1, 'a', 1, 0, 0, 1), nil, TooLarge},
		{"declared data", runs{}, nil, say(1<<32-1, 'a', 255, 255, 255, 255), TooLarge},
		{"more than declared", runs{}, say(5, 'a', 255, 255, 255, 255), nil, BadCompression},
		{"less than declared", runs{}, say(5, 'a', 1, 0, 0, 0), nil, BadCompression},
		{"cut", runs{}, say(5), nil, BadCompression},
		{"nothing", runs{}, say(0, 0xff), nil, BadCompression},
		{"actual", zip, nil, long, TooLarge},
		{"actual front", zip, long, nil, TooLarge},
		{"cut", zip, short[:len(short)-1], nil, BadCompression},
		{"not zlib", zip, append([]byte{1}, short[1:]...), nil, BadCompression},
		{"more behind", zip, append(bytes.Clone(short), 0), nil, BadCompression},
	} {
		if testing.Short() && tc.name == "actual" {
			continue // slow under the race detector
		}
		stream := bomb(tc.front, tc.data, tc.a)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f := newFeeder(nil)
		f.d.SetCompression(tc.a)
		err := f.feed(stream)
		runtime.ReadMemStats(&after)
		requireCode(t, tc.code, err)
		require.Empty(t, f.frames, tc.name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), tc.name)
		_, again := f.d.PlainLen()
		require.Equal(t, err, again, "errors stick")
	}
	// The lengths on the wire are bounded too.
	var pre [PreambleLen]byte
	for i, n := range []uint64{HeaderMax, LimitFront, LimitMiddle, LimitData} {
		lens := [MaxSegments]uint32{60, 10, 10, 10}
		lens[i] = uint32(compress.Bound(uint32(n)) + 1)
		putPreamble(&pre, TagMessage, &lens)
		pre[26] = flagCompressed
		le.PutUint32(pre[28:], preambleCRC(pre[:28]))
		f := newFeeder(nil)
		f.d.SetCompression(runs{})
		requireCode(t, TooLarge, f.feed(pre[:]))
	}
	// So are segments of control frames.
	for _, n := range []int{7, 9, 1000} {
		f := newFeeder(nil)
		f.d.SetCompression(zip)
		var e Encoder
		segs := [MaxSegments][]byte{zip.Append(nil, zeros[:n])}
		putPreamble(&e.preamble, TagAck, &[MaxSegments]uint32{uint32(len(segs[0]))})
		e.preamble[26] = flagCompressed
		le.PutUint32(e.preamble[28:], preambleCRC(e.preamble[:28]))
		var b Batch
		e.putPacked(&b, lateComplete, len(segs[0]), &segs)
		code := TooLarge
		if n < 8 {
			code = TooShort
		}
		requireCode(t, code, f.feed(b.AppendTo(nil)))
	}
}

// TestCompressedRecordings: what a real pair of OSDs of 20.2.4 has compressed
// (testdata/compressed/README.md), opened; what the other algorithms make is read in
// async/compress/codecs.
func TestCompressedRecordings(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata/compressed", "none-crc-osd-zlib-20.0.hex"))
	require.NoError(t, err)
	defer f.Close()
	tr, err := ReadTranscript(f)
	require.NoError(t, err)
	tags := map[Tag]int{}
	sum, err := tr.Walk(WalkOptions{}, func(r *Record) error {
		if r.Compressed == "" {
			return nil
		}
		require.Equal(t, "zlib", r.Compressed)
		require.Contains(t, r.String(), "compressed by zlib")
		require.NotContains(t, r.String(), "bad payload")
		tags[r.Preamble.Tag]++
		if r.Preamble.Tag == TagMessage {
			require.NotZero(t, r.Header.Seq)
			require.Greater(t, len(r.Front)+len(r.Middle)+len(r.Data), 300)
		}
		return nil
	})
	require.NoError(t, err)
	require.Zero(t, sum.Partial)
	require.Equal(t, 1, tags[TagClientIdent])
	require.Equal(t, 1, tags[TagServerIdent])
	require.NotZero(t, tags[TagMessage])

	// An algorithm that is not registered: where it begins is said.
	f, err = os.Open(filepath.Join("testdata/compressed", "none-crc-osd-complist-20.0.hex"))
	require.NoError(t, err)
	defer f.Close()
	tr, err = ReadTranscript(f)
	require.NoError(t, err)
	_, err = tr.Walk(WalkOptions{}, nil)
	requireCode(t, CompressedFrame, err)
	require.ErrorContains(t, err, "C @448")
}

// FuzzPacked: whatever a peer sends after compression is agreed on, no panic, and the same bytes
// split differently give the same frames and the same error.
func FuzzPacked(f *testing.F) {
	for _, m := range modes {
		stream, _, _ := packed(m, compress.Zlib{})
		f.Add(stream[:min(len(stream), 3000)], m.name == "secure", uint64(1))
	}
	f.Add(bomb(compress.Zlib{}.Append(nil, make([]byte, 1<<20)), nil, compress.Zlib{}), false, uint64(2))
	f.Fuzz(func(t *testing.T, stream []byte, secure bool, seed uint64) {
		feeder := func() *feeder {
			var c Cipher
			if secure {
				c = testGCM()
			}
			f := newFeeder(c)
			f.d.SetCompression(compress.Zlib{})
			return f
		}
		whole, split := feeder(), feeder()
		err := whole.feed(stream)
		split.direct = seed&1 != 0
		again := randomSplit(split, rand.New(rand.NewPCG(seed, 4)), stream)
		if errorText(err) != errorText(again) {
			t.Fatalf("seed %d: split: %v, whole: %v", seed, again, err)
		}
		compareFrames(t, whole.frames, split.frames)
	})
}

// TestPackedHasNoShortCut: of two messages that are alike, compressed, the second is not taken at
// a stroke.
func TestPackedHasNoShortCut(t *testing.T) {
	one := bomb(runs{}.Append(nil, []byte("aaaaaaaaaaaaaaaaaaaa")), nil, runs{})
	f := newFeeder(nil)
	f.d.SetCompression(runs{})
	require.NoError(t, f.feed(one))
	_, ok := f.d.WholeMessage(one)
	require.False(t, ok)
	require.NoError(t, f.feed(one))
	require.Len(t, f.frames, 2)
	require.Equal(t, f.frames[0], f.frames[1])
}

// TestPlainAfterCompressed: a message that is not compressed, and has the preamble of the last such one, is
// read as what it is though one that was compressed came between them.
func TestPlainAfterCompressed(t *testing.T) {
	var b Batch
	e, _ := modes[0].pair()
	plain := []byte("abcdefgh")
	e.AppendMessage(&b, &testHeader, plain, nil, nil)
	one := b.AppendTo(nil)
	f := newFeeder(nil)
	f.d.SetCompression(runs{})
	require.NoError(t, f.feed(one))
	require.NoError(t, f.feed(bomb(runs{}.Append(nil, bytes.Repeat([]byte{'a'}, 500)), nil, runs{})))
	require.NoError(t, f.feed(one))
	require.Len(t, f.frames, 3)
	require.Equal(t, f.frames[0], f.frames[2])
}

// TestSegmentsBeforeUnpack: there are none.
func TestSegmentsBeforeUnpack(t *testing.T) {
	var d Decoder
	d.Init(Limits{})
	d.SetCompression(runs{})
	stream := bomb(runs{}.Append(nil, bytes.Repeat([]byte{'a'}, 500)), nil, runs{})
	for {
		n, ev, err := d.Next(stream)
		require.NoError(t, err)
		stream = stream[n:]
		if ev == GotFrame {
			break
		}
	}
	front, middle, data := d.Segments()
	require.Nil(t, front)
	require.Nil(t, middle)
	require.Nil(t, data)
	n, err := d.PlainLen()
	require.NoError(t, err)
	require.NoError(t, d.Unpack(make([]byte, n)))
	front, _, _ = d.Segments()
	require.Len(t, front, 500)
}
