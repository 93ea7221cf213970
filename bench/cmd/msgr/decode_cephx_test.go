package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

const recordings20 = "../../../connection/auth/cephx/testdata/"

// TestDecodeCephx: every recorded login is opened, both signatures are verified, and in
// secure mode all units. The figures are those of another decoder.
func TestDecodeCephx(t *testing.T) {
	for _, c := range []struct {
		keyring, file string
		end           string
		signed        [2]int // bytes that the signatures of C and S cover
	}{
		{recordings + "keyring.cephx-crc", recordings + "cephx-crc-ping.0.hex",
			"frames 14, preamble crcs 14 ok, segment crcs 16 ok\ncephx: 1 tickets opened, 2 signatures ok\n",
			[2]int{409, 248}},
		{recordings + "keyring.cephx-secure", recordings + "cephx-secure-ping.0.hex",
			"frames 14, preamble crcs 14 ok, segment crcs 6 ok, sealed units 12 ok\n" +
				"cephx: 1 tickets opened, 2 signatures ok\n", [2]int{473, 248}},
		{recordings + "keyring.cephx-secure", recordings + "cephx-secure-lspools.0.hex",
			"frames 15, preamble crcs 15 ok, segment crcs 6 ok, sealed units 15 ok\n" +
				"cephx: 1 tickets opened, 2 signatures ok\n", [2]int{473, 248}},
		{recordings + "keyring.cephx-secure", recordings + "cephx-secure-lspools.1.hex",
			"frames 15, preamble crcs 15 ok, segment crcs 6 ok, sealed units 15 ok\n" +
				"cephx: 1 tickets opened, 2 signatures ok\n", [2]int{473, 248}},
		{recordings + "keyring.cephx-secure", recordings + "cephx-secure-lspools.2.hex",
			"frames 19, preamble crcs 19 ok, segment crcs 6 ok, sealed units 23 ok\n" +
				"cephx: 4 tickets opened, 2 signatures ok\n", [2]int{1023, 248}},
		{recordings20 + "keyring.cephx256", recordings20 + "cephx256-crc-ping-20.0.hex",
			"frames 16, preamble crcs 16 ok, segment crcs 18 ok\ncephx: 1 tickets opened, 2 signatures ok\n",
			[2]int{554, 248}},
		{recordings20 + "keyring.cephx256", recordings20 + "cephx256-crc-radosput-20.0.hex",
			"frames 21, preamble crcs 21 ok, segment crcs 29 ok\ncephx: 4 tickets opened, 2 signatures ok\n",
			[2]int{1429, 248}},
		{recordings20 + "keyring.mixed", recordings20 + "cephx-mixed-ping-20.0.hex",
			"frames 16, preamble crcs 16 ok, segment crcs 18 ok\ncephx: 1 tickets opened, 2 signatures ok\n",
			[2]int{447, 248}},
	} {
		code, out, errs := decode("-keyring", c.keyring, c.file)
		require.Equal(t, command.ExitOK, code, errs)
		require.Empty(t, errs)
		require.True(t, strings.HasSuffix(out, c.end), out)
		commandtest.Wants(t, out, "    cephx: proof of client.admin ok\n",
			"    cephx: ticket for auth opened: session key of ", ", valid for 72h0m0s\n")
		require.NotContains(t, out, "encrypted")
		for i, side := range sides {
			require.Regexp(t, fmt.Sprintf(`(?m)^%s @\d+ .* AUTH_SIGNATURE .*\n    cephx: signature of %d bytes ok$`,
				side, c.signed[i]), out)
		}
		noSecrets(t, out)
	}
}

// noSecrets: no long run of digits that could be a key is in the output.
func noSecrets(t *testing.T, out string) {
	t.Helper()
	require.Empty(t, regexp.MustCompile(`[0-9a-f]{32}|[A-Za-z0-9+/]{22}==`).FindString(out))
}

// TestDecodeAuthorizer: a session with an OSD opens with the ticket of an earlier file.
func TestDecodeAuthorizer(t *testing.T) {
	login, session := recordings20+"cephx256-crc-radosput-20.0.hex", recordings20+"cephx256-crc-radosput-20.1.hex"
	code, out, errs := decode("-keyring", recordings20+"keyring.cephx256", login, session)
	require.Equal(t, command.ExitOK, code, errs)
	commandtest.Wants(t, out, "    cephx: authorizer for osd of global id 4109 opened\n",
		"    cephx: challenge answered\n",
		"    cephx: osd has shown that it could open the ticket; connection secret of 0 bytes\n",
		"    cephx: signature of 706 bytes ok\n", "    cephx: signature of 310 bytes ok\n",
		"frames 14, preamble crcs 14 ok, segment crcs 17 ok\ncephx: 0 tickets opened, 2 signatures ok\n")

	code, out, errs = decode("-keyring", recordings20+"keyring.cephx256", session, login)
	require.Equal(t, command.ExitOK, code, errs)
	commandtest.Wants(t, out, "    cephx: the ticket for osd of global id 4109 is not known: "+
		"decode the recording of its login with the monitor before this one\n",
		"    cephx: signature not verified: the session key is not known\n",
		"cephx: 0 tickets opened, 0 signatures ok\n")
}

// TestDecodeWithoutTheKey: what is not in the keyring is said, and stays as it is.
func TestDecodeWithoutTheKey(t *testing.T) {
	ring := filepath.Join(t.TempDir(), "keyring")
	require.NoError(t,
		os.WriteFile(ring, []byte("[client.other]\nkey = AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIA==\n"), 0o600))
	code, out, errs := decode("-keyring", ring, recordings+"cephx-secure-ping.0.hex", recordings+"cephx-crc-ping.0.hex",
		recordings+"none-crc-ping.0.hex")
	require.Equal(t, command.ExitOK, code, errs)
	commandtest.Wants(t, out, "    cephx: there is no key of client.admin in "+ring+
		": nothing of this login is opened\n",
		"C encrypted from here: 480 bytes\nS encrypted from here: 4496 bytes\nframes 6, ",
		"cephx: 0 tickets opened, 0 signatures ok\n",
		"    cephx: signature not verified: the session key is not known\n")
	require.NotContains(t, out[strings.Index(out, "none-crc-ping"):], "cephx:")
}

// TestDecodeWrongKeyring: another cluster's keys fail, and the error says which one failed
// at what.
func TestDecodeWrongKeyring(t *testing.T) {
	other := filepath.Join(t.TempDir(), "keyring")
	require.NoError(t,
		os.WriteFile(other, []byte("[client.admin]\nkey = AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==\n"), 0o600))
	for _, ring := range []string{other, recordings20 + "keyring.cephx256"} {
		for _, file := range []string{"cephx-secure-ping.0.hex", "cephx-crc-ping.0.hex"} {
			code, out, errs := decode("-keyring", ring, recordings+file)
			require.Equal(t, command.ExitFault, code)
			commandtest.Wants(t, out, "    cephx: proof of client.admin is not by its key in "+ring+"\n")
			require.Equal(t, "msgr decode: "+recordings+file+
				": S @147: the ticket for auth does not open with the key of client.admin in "+ring+
				": the keyring is of another cluster, or the key is another one now: cephx: "+
				"does not open with this key\n", errs)
		}
	}
}

// TestDecodeKeyringRefused: what is not a keyring is said to be none.
func TestDecodeKeyringRefused(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "keyring")
	require.NoError(t, os.WriteFile(empty, []byte("[client.admin]\n"), 0o600))
	for ring, want := range map[string]string{
		filepath.Join(t.TempDir(), "absent"): "no such file or directory; give the name of a keyring",
		t.TempDir():                          "is a directory; give the name of a keyring",
		empty:                                "there is no key in it; give a file such as ceph.client.admin.keyring",
		recordings + "cephx-secure-ping.0.hex": "line 2: neither a section nor an option with its value, " +
			"such as key = AQ...==",
	} {
		code, out, errs := decode("-keyring", ring, recordings+"cephx-secure-ping.0.hex")
		require.Equal(t, command.ExitFault, code)
		require.Empty(t, out)
		commandtest.Wants(t, errs, want)
		require.Equal(t, 1, strings.Count(errs, "\n"))
	}
}

// TestDecodeChanged: a byte that was changed on its way, where no checksum is.
func TestDecodeChanged(t *testing.T) {
	change := func(file string, line int, old, new string) string {
		lines := recorded(t, recordings+file)
		require.Contains(t, lines[line], old)
		lines[line] = strings.Replace(lines[line], old, new, 1)
		return record(t, strings.Join(lines, ""))
	}
	const banner, other = "636570682076320a10000100", "636570682076320a10000300"
	for _, c := range []struct {
		line int
		want string
	}{
		// The banner of the acceptor, which the connector signs, and the other way round.
		{1, "C @248: the signature is not that of the 473 bytes which C received from S: "},
		{2, "S @473: the signature is not that of the 248 bytes which S received from C: "},
	} {
		code, _, errs := decode("-keyring", recordings+"keyring.cephx-secure",
			change("cephx-secure-ping.0.hex", c.line, banner, other))
		require.Equal(t, command.ExitFault, code)
		commandtest.Wants(t, errs, c.want)
	}
	// A sealed frame.
	lines := recorded(t, recordings+"cephx-secure-ping.0.hex")
	last := len(lines) - 2
	digits := strings.TrimSpace(lines[last])
	lines[last] = digits[:len(digits)-1] + map[bool]string{true: "1", false: "0"}[digits[len(digits)-1] == '0'] + "\n"
	code, _, errs := decode("-keyring", recordings+"keyring.cephx-secure", record(t, strings.Join(lines, "")))
	require.Equal(t, command.ExitFault, code)
	commandtest.Wants(t, errs, "frame: frame does not authenticate")
}

// exchange is a recorded session with a daemon, made here: of one in secure mode, or
// between monitors, there is no recording.
type exchange struct {
	t     *testing.T
	text  strings.Builder
	sent  [2][]byte
	enc   [2]frame.Encoder
	batch frame.Batch
}

func (x *exchange) raw(side int, b []byte) {
	fmt.Fprintf(&x.text, "%s %d %d 0.0 %s\n", sides[side], len(x.sent[side]), len(b), hex.EncodeToString(b))
	x.sent[side] = append(x.sent[side], b...)
}

func (x *exchange) frame(side int, f frame.Control) {
	x.batch.Reset()
	x.enc[side].AppendControl(&x.batch, f)
	x.raw(side, x.batch.AppendTo(nil))
}

func (x *exchange) secure(secret []byte) {
	for side, nonce := range [2][]byte{secret[28:40], secret[16:28]} {
		g, err := frame.NewGCM(secret[:16], nonce)
		require.NoError(x.t, err)
		x.enc[side].SetCipher(g)
	}
}

// TestDecodeMonitors: a monitor shows another one a ticket that it made, in secure mode.
func TestDecodeMonitors(t *testing.T) {
	for _, typ := range []cephx.KeyType{cephx.TypeAES, cephx.TypeAES256K} {
		n := map[cephx.KeyType]int{cephx.TypeAES: 16, cephx.TypeAES256K: 32}[typ]
		mon, err := cephx.NewKey(typ, bytes.Repeat([]byte{1}, n))
		require.NoError(t, err)
		session, err := cephx.NewKey(typ, bytes.Repeat([]byte{2}, n))
		require.NoError(t, err)
		random := bytes.NewReader(make([]byte, 1000))
		seal := func(k cephx.Key, u cephx.Usage, p []byte) []byte {
			s, err := k.Seal(nil, u, p, random)
			require.NoError(t, err)
			return s
		}
		play := func(answer, nonce uint64) string {
			x := &exchange{t: t}
			x.raw(0, frame.Banner{Supported: 1}.Append(nil))
			x.raw(1, frame.Banner{Supported: 1}.Append(nil))
			info := cephx.TicketInfo{Name: entity.AuthName{Type: entity.TypeMon}, OldAUID: ^uint64(0), AllowAll: true,
				SessionKey: session}
			a := cephx.Authorizer{Service: entity.TypeMon, Ticket: cephx.TicketBlob{SecretID: cephx.SecretMon,
				Blob: seal(mon, cephx.UsageTicketInfo, info.Append(nil))}}
			a.Sealed = seal(session, cephx.UsageAuthorize, cephx.Authorize{Nonce: 5}.Append(nil))
			x.frame(0,
				frame.AuthRequest{Method: auth.MethodCephX, Modes: []uint32{auth.ModeSecure}, Payload: a.Append(nil)})
			x.frame(1, frame.AuthReplyMore{Payload: seal(session, cephx.UsageAuthorizeChallenge,
				cephx.Challenge(7).Append(nil))})
			a.Sealed = seal(session, cephx.UsageAuthorize,
				cephx.Authorize{Nonce: 5, Answered: true, Answer: answer}.Append(nil))
			x.frame(0, frame.AuthRequestMore{Payload: a.Append(nil)})
			secret := []byte("0123456789abcdef0123456789ab0123456789cd0123456789abcdef01234567")
			reply := seal(session, cephx.UsageAuthorizeReply,
				cephx.AuthorizeReply{NoncePlusOne: nonce, Secret: secret}.Append(nil))
			x.frame(1, frame.AuthDone{ConMode: auth.ModeSecure, Payload: denc.AppendBL(nil, reply)})
			signed := [2][32]byte{session.Sign(x.sent[1]), session.Sign(x.sent[0])}
			x.secure(secret)
			x.frame(0, frame.AuthSignature{Signature: signed[0]})
			x.frame(1, frame.AuthSignature{Signature: signed[1]})
			x.frame(0, frame.Ack{Seq: 77})
			return record(t, x.text.String())
		}
		ring := filepath.Join(t.TempDir(), "keyring")
		write := func(name string, k cephx.Key) {
			text := "[" + name + "]\nkey = " + base64.StdEncoding.EncodeToString(k.Append(nil)) + "\n"
			require.NoError(t, os.WriteFile(ring, []byte(text), 0o600))
		}
		write("mon.", mon)
		code, out, errs := decode("-keyring", ring, play(8, 6))
		require.Equal(t, command.ExitOK, code, "%s%s", out, errs)
		commandtest.Wants(t, out, "    cephx: ticket of mon. opened with the key of mon.\n",
			"    cephx: authorizer for mon of global id 0 opened\n",
			"    cephx: challenge answered\n", "connection secret of 64 bytes\n", " ACK seq=77\n",
			", sealed units 3 ok\ncephx: 1 tickets opened, 2 signatures ok\n")
		noSecrets(t, out)

		for _, c := range []struct {
			answer, nonce uint64
			want          string
		}{
			{7, 6, "the authorizer does not answer the challenge"},
			{8, 5, "the reply does not have the nonce of the authorizer plus one"},
		} {
			code, _, errs = decode("-keyring", ring, play(c.answer, c.nonce))
			require.Equal(t, command.ExitFault, code)
			commandtest.Wants(t, errs, c.want)
		}
		write("mon.", session)
		code, _, errs = decode("-keyring", ring, play(8, 6))
		require.Equal(t, command.ExitFault, code)
		commandtest.Wants(t, errs, "the ticket does not open with the key of mon. in "+ring)
		write("osd.0", mon)
		code, out, errs = decode("-keyring", ring, play(8, 6))
		require.Equal(t, command.ExitOK, code, errs)
		commandtest.Wants(t, out, "there is no key of mon. in "+ring, "C encrypted from here")
	}
}
