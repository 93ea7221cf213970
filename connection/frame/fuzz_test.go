package frame

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// FuzzDecoder: whatever the bytes, no panic; the same bytes split differently
// give the same frames and the same error; and what was accepted, encoded again,
// is accepted again.
func FuzzDecoder(f *testing.F) {
	for _, m := range modes {
		for _, stream := range sampleFrames(m) {
			f.Add(stream, m.name == "secure", uint64(1))
		}
	}
	for _, name := range []string{
		"none-crc-ping.0.hex", "none-crc-lossless-reconnect.3.hex", "none-crc-radosput.3.hex",
	} {
		tr := readRecording(f, name)
		f.Add(tr.Stream(FromConnector)[BannerLen:], false, uint64(2))
		f.Add(tr.Stream(FromAcceptor)[BannerLen:], false, uint64(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, secure bool, seed uint64) {
		newCipher := func() Cipher {
			if secure {
				return testGCM()
			}
			return nil
		}
		want, wantErr := decodeAll(newCipher(), stream)

		rng := rand.New(rand.NewPCG(seed, 4))
		again := newFeeder(newCipher())
		again.giveBody, again.direct = seed&1 != 0, seed&2 != 0
		err := randomSplit(again, rng, stream)
		if errorText(err) != errorText(wantErr) {
			t.Fatalf("seed %d: split: %v, whole: %v", seed, err, wantErr)
		}
		compareFrames(t, want, again.frames)

		var b Batch
		var e Encoder
		for i := range want {
			g := &want[i]
			if g.Preamble.Tag == TagMessage {
				e.AppendMessage(&b, &g.Header, []byte(g.Front), []byte(g.Middle), []byte(g.Data))
			} else if c, err := ParseControl(g.Preamble.Tag, []byte(g.Payload)); err == nil {
				_ = c.String()
				e.AppendControl(&b, c)
			}
		}
		if _, err := decodeAll(nil, b.AppendTo(nil)); err != nil {
			t.Fatalf("encoded again: %v", err)
		}
	})
}

func compareFrames(t *testing.T, a, b []got) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d frames and %d", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("frame %d: %v and %v", i, a[i], b[i])
		}
	}
}

// FuzzControl: each control payload parses or not, without a panic; the fields,
// encoded, parse again to the same encoding.
func FuzzControl(f *testing.F) {
	for _, c := range everyControl {
		f.Add(byte(c.Tag()), c.AppendPayload(nil))
	}
	f.Fuzz(func(t *testing.T, tag byte, p []byte) {
		c, err := ParseControl(Tag(tag), p)
		if err != nil {
			return
		}
		_ = c.String()
		enc := c.AppendPayload(nil)
		again, err := ParseControl(Tag(tag), enc)
		if err != nil {
			t.Fatalf("%v does not parse again: %v", c, err)
		}
		if !bytes.Equal(enc, again.AppendPayload(nil)) || c.String() != again.String() {
			t.Fatalf("%v is %v when parsed again", c, again)
		}
	})
}

// FuzzBanner: a prefix never has another result than the whole, save to ask for
// more.
func FuzzBanner(f *testing.F) {
	f.Add(Banner{Supported: 3, Required: 1}.Append(nil))
	f.Add([]byte("ceph v027"))
	f.Add([]byte("ceph v2\n\x20\x00                                "))
	f.Fuzz(func(t *testing.T, p []byte) {
		b, n, err := ParseBanner(p)
		for cut := range p {
			pb, pn, perr := ParseBanner(p[:cut])
			switch {
			case perr != nil:
				if errorText(perr) != errorText(err) {
					t.Fatalf("%d bytes: %v, all: %v", cut, perr, err)
				}
			case pn != 0:
				if pn != n || pb != b || err != nil {
					t.Fatalf("%d bytes: %v %d, all: %v %d %v", cut, pb, pn, b, n, err)
				}
			}
		}
		if err == nil && n > 0 && n < BannerLen {
			t.Fatalf("banner of %d bytes", n)
		}
	})
}

// FuzzTranscript: reading and walking any text does not panic.
func FuzzTranscript(f *testing.F) {
	f.Add("C 0 26 0.0 636570682076320a100001000000000000000000000000000000\nS 0 1 0.1 63\n")
	f.Add("# comment\nC 0 1 NaN 00")
	for _, name := range []string{"none-crc-traps.13.hex"} {
		text, err := os.ReadFile(filepath.Join("testdata/recordings", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		tr, err := ReadTranscript(bytes.NewReader([]byte(text)))
		if err != nil {
			return
		}
		_, _ = tr.Walk(WalkOptions{Secret: func(*AuthDone) []byte { return make([]byte, 40) }}, func(r *Record) error {
			_ = r.String()
			return nil
		})
	})
}
