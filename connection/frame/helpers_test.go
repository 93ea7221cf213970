package frame

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

func addr(s string) entity.Addr {
	a, err := entity.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

var (
	testAddr  = addr("v2:127.0.0.1:3300/7")
	testAddr6 = entity.Addr{Type: entity.AddrMsgr2, Nonce: 9, AddrPort: netip.MustParseAddrPort("[fe80::1%3]:6800")}
	testVec   = entity.AddrVec{testAddr, addr("v1:127.0.0.1:6789/7")}
)

// everyControl is one of each control frame.
var everyControl = []Control{
	&Hello{EntityType: entity.TypeOSD, PeerAddr: testAddr},
	&AuthRequest{Method: 2, Modes: []uint32{2, 1}, Payload: []byte("request")},
	&AuthBadMethod{Method: 1, Result: -95, Methods: []uint32{2}, Modes: []uint32{2, 1}},
	&AuthReplyMore{Payload: []byte("challenge")},
	&AuthRequestMore{Payload: []byte("proof")},
	&AuthDone{GlobalID: 4123, ConMode: 1, Payload: []byte("tickets")},
	&AuthSignature{Signature: [32]byte{1, 2, 3}},
	&ClientIdent{Addrs: testVec, Target: testAddr6, GID: -1, GlobalSeq: 3, FeaturesSupported: 7, FeaturesRequired: 5,
		Flags: FlagLossy, Cookie: 0xabc},
	&ServerIdent{Addrs: testVec, GID: 0, GlobalSeq: 3, FeaturesSupported: 7, FeaturesRequired: 5, Cookie: 0xabc},
	&IdentMissingFeatures{Features: 1 << 59},
	&SessionReconnect{Addrs: testVec, ClientCookie: 1, ServerCookie: 2, GlobalSeq: 3, ConnectSeq: 4, MsgSeq: 5},
	&SessionReset{Full: true},
	&SessionRetry{ConnectSeq: 8},
	&SessionRetryGlobal{GlobalSeq: 9},
	&SessionReconnectOK{MsgSeq: 10},
	&Wait{},
	&Keepalive{Stamp: Stamp{Sec: 1, Nsec: 2}},
	&KeepaliveAck{Stamp: Stamp{Sec: 3, Nsec: 4}},
	&Ack{Seq: 77},
	&CompressionRequest{Compress: true, Methods: []uint32{1, 2}},
	&CompressionDone{Compress: true, Method: 2},
}

var testHeader = Header{
	Seq: 1, TID: 2, Type: 42, Priority: 127, Version: 8, DataOff: 16, AckSeq: 5,
	Flags: FlagComplete | FlagNoCRC, CompatVersion: 3,
}

// pattern is n bytes that differ.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i)*31 + seed
	}
	return p
}

// mode is a way to protect frames; pair makes both ends of it.
type mode struct {
	name string
	pair func() (Encoder, Cipher)
}

var modes = []mode{
	{"crc", func() (Encoder, Cipher) { return Encoder{}, nil }},
	{"secure", func() (Encoder, Cipher) {
		var e Encoder
		e.SetCipher(testGCM())
		return e, testGCM()
	}},
}

func testGCM() *GCM {
	g, err := NewGCM(pattern(GCMKeyLen, 1), pattern(GCMNonceLen, 2))
	if err != nil {
		panic(err)
	}
	return g
}

// got is what was decoded, copied out of the decoder.
type got struct {
	Preamble            Preamble
	Payload             string
	Header              Header
	Front, Middle, Data string
	Aborted             bool
}

// feeder gives a stream to a decoder in pieces, the way a connection does.
type feeder struct {
	d      Decoder
	frames []got
	giveBody,
	direct bool // use SetBody, ReadInto
}

func newFeeder(c Cipher) *feeder {
	f := &feeder{}
	f.d.Init(Limits{})
	f.d.SetCipher(c)
	return f
}

// feed gives one piece and takes what comes.
func (f *feeder) feed(b []byte) error {
	for {
		if f.direct {
			if room := f.d.ReadInto(); room != nil && len(b) > 0 {
				n := copy(room, b)
				b = b[n:]
				ev, err := f.d.DidRead(n)
				if err != nil {
					return err
				}
				if ev == GotFrame {
					if err := f.unpack(); err != nil {
						return err
					}
					f.take()
				}
				continue
			}
		}
		n, ev, err := f.d.Next(b)
		if err != nil {
			return err
		}
		b = b[n:]
		switch ev {
		case NeedMore:
			if len(b) != 0 {
				return fmt.Errorf("NeedMore with %d bytes left", len(b))
			}
			return nil
		case GotPreamble:
			if f.giveBody && f.d.Preamble().Tag == TagMessage && !f.d.Compressed() {
				f.d.SetBody(make([]byte, f.d.BodyRoom()))
			}
		case GotFrame:
			if err := f.unpack(); err != nil {
				return err
			}
			f.take()
		}
	}
}

func (f *feeder) take() {
	g := got{Preamble: *f.d.Preamble(), Payload: string(f.d.Payload()), Aborted: f.d.Aborted()}
	if g.Preamble.Tag == TagMessage {
		g.Header = *f.d.Header()
		front, middle, data := f.d.Segments()
		g.Front, g.Middle, g.Data = string(front), string(middle), string(data)
	}
	f.frames = append(f.frames, g)
}

// unpack decompresses what was completed.
func (f *feeder) unpack() error {
	if !f.d.Compressed() || f.d.Preamble().Tag != TagMessage {
		return nil
	}
	n, err := f.d.PlainLen()
	if err != nil {
		return err
	}
	return f.d.Unpack(make([]byte, n))
}

// errorText is the error without its pointers, to compare with.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// decodeAll decodes a stream in one piece.
func decodeAll(c Cipher, stream []byte) ([]got, error) {
	f := newFeeder(c)
	err := f.feed(stream)
	return f.frames, err
}

// randomSplit feeds the stream in pieces of random lengths.
func randomSplit(f *feeder, rng *rand.Rand, stream []byte) error {
	for len(stream) > 0 {
		n := 1 + rng.IntN(len(stream))
		if rng.IntN(2) == 0 {
			n = min(n, 1+rng.IntN(40))
		}
		if err := f.feed(stream[:n]); err != nil {
			return err
		}
		stream = stream[n:]
	}
	return nil
}

// sampleMessages are messages of every combination of segments.
func sampleMessages() [][3][]byte {
	var out [][3][]byte
	for bits := range 8 {
		var m [3][]byte
		for i, n := range [...]int{33, 16, 70} {
			if bits&(1<<i) != 0 {
				m[i] = pattern(n, byte(i+1))
			}
		}
		out = append(out, m)
	}
	return out
}

// sampleFrames are the wire forms of all kinds of frames, each by an encoder of
// its own.
func sampleFrames(m mode) map[string][]byte {
	out := map[string][]byte{}
	for _, c := range everyControl {
		var b Batch
		e, _ := m.pair()
		e.AppendControl(&b, c)
		out[c.Tag().String()] = b.AppendTo(nil)
	}
	for i, s := range sampleMessages() {
		var b Batch
		e, _ := m.pair()
		e.AppendMessage(&b, &testHeader, s[0], s[1], s[2])
		out[fmt.Sprintf("MESSAGE %03b", i)] = b.AppendTo(nil)
	}
	return out
}

func requireCode(t *testing.T, want Code, err error) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Code, "%v", err)
	require.True(t, errors.Is(err, codes[want].class))
}
