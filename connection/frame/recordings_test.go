package frame

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// The bytes of real daemons; testdata/recordings/README.md says which.

func recordings(t testing.TB) []string {
	files, err := filepath.Glob("testdata/recordings/*.hex")
	require.NoError(t, err)
	require.Len(t, files, 80)
	return files
}

func readRecording(t testing.TB, name string) *Transcript {
	f, err := os.Open(filepath.Join("testdata/recordings", filepath.Base(name)))
	require.NoError(t, err)
	defer f.Close()
	tr, err := ReadTranscript(f)
	require.NoError(t, err, name)
	require.NotEmpty(t, tr.Chunks)
	return tr
}

// broken are the recordings with a frame that must not verify. All of them are
// the test peer's, and the daemon closed the connection on each.
var broken = map[string]Error{
	"none-crc-traps.43.hex": {Code: EmptyLastSegment, Segment: 1},
	"none-crc-traps.44.hex": {Code: BadSegmentCount},
	"none-crc-traps.45.hex": {Code: BadSegmentCount},
	"none-crc-traps.46.hex": {Code: BadLateStatus},
	"none-crc-traps.48.hex": {Code: BadSegmentCRC, Segment: 0},
	"none-crc-traps.49.hex": {Code: BadSegmentCRC, Segment: 1},
}

// odd are frames that verify but that we would not write like this; they are at
// the connector's offset 399.
var odd = map[string]string{
	"none-crc-traps.39.hex": "alignment 0",
	"none-crc-traps.40.hex": "alignment 7",
	"none-crc-traps.41.hex": "flags 0x80",
	"none-crc-traps.42.hex": "reserved 1",
	"none-crc-traps.47.hex": "aborted",
	"none-crc-traps.56.hex": "header of 44 bytes",
}

// misparsed has, at the connector's offset 399, a message header under the tag of
// COMPRESSION_REQUEST: no frame of that kind, though it verifies.
const misparsed = "none-crc-traps.54.hex"

func TestRecordingsVerify(t *testing.T) {
	total := Summary{}
	for _, file := range recordings(t) {
		name := filepath.Base(file)
		tr := readRecording(t, name)
		secret := func(done *AuthDone) []byte { return cephxSecret(t, "keyring.cephx-secure", done) }
		frames := 0
		sum, err := tr.Walk(WalkOptions{Secret: secret}, func(r *Record) error {
			if r.Banner == nil {
				frames++
				require.Equal(t, name == misparsed && r.Offset == 399,
					strings.Contains(r.String(), "bad payload"), "%s: %v", name, r)
			}
			return nil
		})
		require.Equal(t, frames, sum.Frames, name)
		require.Zero(t, sum.Encrypted, name)
		want, isBroken := broken[name]
		if !isBroken {
			require.NoError(t, err, name)
			require.Zero(t, sum.Partial, name)
		} else {
			var we *WalkError
			require.ErrorAs(t, err, &we, name)
			require.Equal(t, FromConnector, we.From)
			require.Equal(t, 399, we.Offset, name)
			var fe *Error
			require.ErrorAs(t, err, &fe)
			require.Equal(t, want.Code, fe.Code, name)
			require.Equal(t, want.Segment, fe.Segment, name)
			require.True(t, fe.Peer())
		}
		total.Frames += sum.Frames
		total.SegmentCRCs += sum.SegmentCRCs
		total.Units += sum.Units
	}
	t.Logf("%d frames, %d segment crcs, %d sealed units", total.Frames, total.SegmentCRCs, total.Units)
	require.Equal(t, Summary{Frames: 835, SegmentCRCs: 888, Units: 65}, total)
}

// Every frame of the recordings, encoded again, is the same byte for byte.
func TestRecordingsReencode(t *testing.T) {
	same := 0
	for _, file := range recordings(t) {
		name := filepath.Base(file)
		tr := readRecording(t, name)
		var secret []byte
		var enc [2]Encoder
		streams := [2][]byte{tr.Stream(FromConnector), tr.Stream(FromAcceptor)}
		var b Batch
		_, err := tr.Walk(WalkOptions{Secret: func(done *AuthDone) []byte {
			secret = cephxSecret(t, "keyring.cephx-secure", done)
			return secret
		}}, func(r *Record) error {
			side := r.From.side()
			raw := streams[side][r.Offset : r.Offset+r.Len]
			e := &enc[side]
			if r.Sealed && e.cipher == nil {
				nonces := [2][]byte{secret[28:40], secret[16:28]}
				g, err := NewGCM(secret[:16], nonces[side])
				require.NoError(t, err)
				e.SetCipher(g)
			}
			b.Reset()
			if name == misparsed && r.From == FromConnector && r.Offset == 399 {
				return nil
			}
			switch {
			case r.Banner != nil:
				b.AppendRaw(r.Banner.Append(nil))
			case r.Preamble.Tag == TagMessage:
				e.AppendMessage(&b, &r.Header, r.Front, r.Middle, r.Data)
			default:
				c, err := ParseControl(r.Preamble.Tag, r.Payload)
				require.NoError(t, err, "%s %v", name, r)
				e.AppendControl(&b, c)
			}
			if why, ok := odd[name]; ok && r.From == FromConnector && r.Offset == 399 {
				require.NotEqual(t, raw, b.AppendTo(nil), "%s: %s", name, why)
				return nil
			}
			require.Equal(t, raw, b.AppendTo(nil), "%s: %v", name, r)
			same++
			return nil
		})
		if _, isBroken := broken[name]; !isBroken {
			require.NoError(t, err, name)
		}
	}
	t.Logf("%d banners and frames are the same", same)
}

// A recording's sealed frames do not open with another key.
func TestRecordingsWrongKey(t *testing.T) {
	tr := readRecording(t, "cephx-secure-ping.0.hex")
	_, err := tr.Walk(WalkOptions{Secret: func(*AuthDone) []byte { return make([]byte, 64) }}, nil)
	require.ErrorIs(t, err, ErrCipher)
	sum, err := tr.Walk(WalkOptions{}, nil)
	require.NoError(t, err)
	require.Equal(t, [2]int{480, 4496}, sum.Encrypted)
}

// cephxSecret derives the connection secret from a client.admin's AUTH_DONE, as
// the client does (docs/PROTOCOL.md 2). It returns nil without cephx.
func cephxSecret(t testing.TB, keyring string, done *AuthDone) []byte {
	r := denc.NewReader(done.Payload)
	r.U16() // response type
	require.Zero(t, r.S32(), "status")
	r.U8()
	require.EqualValues(t, 1, r.U32(), "tickets")
	r.U32() // service
	r.U8()
	ticket := denc.NewReader(cephxDecrypt(t, clientAdminKey(t, keyring), r.BL()))
	r.U8()
	r.BL() // the ticket itself
	sealed := denc.NewReader(r.BL())
	require.NoError(t, r.Err())
	ticket.U8()
	ticket.U16()
	ticket.Bytes(8)
	sessionKey := ticket.Bytes(int(ticket.U16()))
	require.NoError(t, ticket.Err())
	plain := denc.NewReader(cephxDecrypt(t, sessionKey, sealed.BL()))
	secret := plain.BL()
	require.NoError(t, plain.Err())
	require.Len(t, secret, 64)
	return secret
}

// cephxDecrypt undoes AES-128-CBC and the header of u8 version and u64 magic.
func cephxDecrypt(t testing.TB, key, sealed []byte) []byte {
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	require.NotEmpty(t, sealed)
	require.Zero(t, len(sealed)%aes.BlockSize)
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, []byte("cephsageyudagreg")).CryptBlocks(plain, sealed)
	plain = plain[:len(plain)-int(plain[len(plain)-1])]
	require.EqualValues(t, uint64(0xff009cad8826aa55), le.Uint64(plain[1:]))
	return plain[9:]
}

func clientAdminKey(t testing.TB, keyring string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata/recordings", keyring))
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(b), "[client.admin]")
	require.True(t, ok)
	_, text, ok := strings.Cut(section, "key = ")
	require.True(t, ok)
	text, _, _ = strings.Cut(text, "\n")
	raw, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return raw[12:] // u16 type, 8 bytes of time, u16 length
}

func TestReadTranscriptRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"C 0 1 0.0":                  "line 1: 4 fields, want 5",
		"X 0 1 0.0 00":               `line 1: side "X"`,
		"C 1 1 0.0 00":               "line 1: offset 1, want 0",
		"# one\nC 0 2 0.0 00":        "line 2: length 2 of 1 bytes",
		"C 0 0 0.0 ":                 "line 1: 4 fields",
		"C 0 1 zero 00":              "line 1: strconv.ParseFloat",
		"C 0 1 0.0 0g":               "line 1: encoding/hex",
		"C 0 1 0.0 00\nC 0 1 0.0 00": "line 2: offset 0, want 1",
		"C a 1 0.0 00":               "line 1: strconv.Atoi",
		"C 0 b 0.0 00":               "line 1: strconv.Atoi",
	} {
		_, err := ReadTranscript(strings.NewReader(text))
		require.ErrorContains(t, err, says, text)
	}
	tr, err := ReadTranscript(strings.NewReader("# one\n\nC 0 1 0.5 63\nS 0 2 0.6 6365\nC 1 1 0.7 65\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, tr.Comments)
	require.Equal(t, []byte("ce"), tr.Stream(FromConnector))
	sum, err := tr.Walk(WalkOptions{}, nil)
	require.NoError(t, err)
	require.Equal(t, [2]int{2, 2}, sum.Partial)

	stop := errors.New("stop")
	_, err = readRecording(t, "none-crc-ping.0.hex").Walk(WalkOptions{}, func(*Record) error { return stop })
	require.ErrorIs(t, err, stop)
}
