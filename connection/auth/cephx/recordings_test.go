package cephx

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// The bytes of real daemons; the README.md of each folder says which.

const older = "../../frame/testdata/recordings/"

// payloads are those of the authentication frames of a recording, in order, and what
// each side had sent until its signature.
type payloads struct {
	request, challenge, more, done []byte
	doneFrame                      frame.AuthDone
	sent                           [2][]byte   // connector, acceptor
	signature                      [2][32]byte // theirs
}

func readPayloads(t testing.TB, file string, secret func(*frame.AuthDone) []byte) (p payloads) {
	t.Helper()
	require.NoError(t, p.read(t, file, secret, nil), file)
	require.NotEmpty(t, p.done, file)
	return p
}

// readAuth reads the payloads alone, as far as they go without the secret of secure mode.
func readAuth(t testing.TB, file string) (p payloads) {
	t.Helper()
	enough := errors.New("enough")
	require.ErrorIs(t, p.read(t, file, func(*frame.AuthDone) []byte { return make([]byte, 64) }, enough), enough, file)
	return p
}

// read reads a recording; it ends with enough, if that is not nil, behind AUTH_DONE.
func (p *payloads) read(t testing.TB, file string, secret func(*frame.AuthDone) []byte, enough error) error {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	tr, err := frame.ReadTranscript(f)
	require.NoError(t, err)
	streams := [2][]byte{tr.Stream(frame.FromConnector), tr.Stream(frame.FromAcceptor)}
	_, err = tr.Walk(frame.WalkOptions{Secret: secret}, func(r *frame.Record) error {
		side := 0
		if r.From == frame.FromAcceptor {
			side = 1
		}
		payload := append([]byte(nil), r.Payload...)
		switch r.Preamble.Tag {
		case frame.TagAuthRequest:
			var f frame.AuthRequest
			require.NoError(t, f.Parse(payload))
			require.EqualValues(t, 2, f.Method)
			p.request = f.Payload
		case frame.TagAuthReplyMore:
			var f frame.AuthReplyMore
			require.NoError(t, f.Parse(payload))
			p.challenge = f.Payload
		case frame.TagAuthRequestMore:
			var f frame.AuthRequestMore
			require.NoError(t, f.Parse(payload))
			p.more = f.Payload
		case frame.TagAuthDone:
			var f frame.AuthDone
			require.NoError(t, f.Parse(payload))
			p.done, p.doneFrame = f.Payload, f
			return enough
		case frame.TagAuthSignature:
			p.sent[side] = streams[side][:r.Offset]
			p.signature[side] = [32]byte(payload)
		}
		return nil
	})
	return err
}

func readKeyring(t testing.TB, file string) *Keyring {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	k, err := ReadKeyring(f)
	require.NoError(t, err, file)
	return k
}

// open opens a login with a monitor as far as the key goes, and writes again what it read.
func (p *payloads) open(t testing.TB, k Key) (tickets map[entity.Type]ServiceTicket, secret []byte) {
	t.Helper()
	who, err := ParseWho(p.request)
	require.NoError(t, err)
	require.Equal(t, p.request, who.Append(nil))
	require.Equal(t, entity.AuthName{Type: entity.TypeClient, ID: "admin"}, who.Name)

	c, err := ParseChallenge(p.challenge)
	require.NoError(t, err)
	require.Equal(t, p.challenge, c.Append(nil))
	q, err := ParseLoginRequest(p.more)
	require.NoError(t, err)
	require.Equal(t, p.more, q.Append(nil))
	require.Equal(t, q.Proof, k.Proof(uint64(c), q.Challenge), "the proof")

	r, err := ParseLoginReply(p.done)
	require.NoError(t, err)
	require.Equal(t, p.done, r.Append(nil))
	require.Len(t, r.Tickets, 1)
	require.Equal(t, entity.TypeAuth, r.Tickets[0].Service)
	tickets = map[entity.Type]ServiceTicket{}
	with := k
	for _, x := range append(r.Tickets, r.Extra...) {
		st, err := x.Open(with)
		require.NoError(t, err, x.Service)
		plain, err := with.Open(nil, UsageServiceTicket, x.Sealed)
		require.NoError(t, err)
		require.Equal(t, plain, st.Append(nil))
		if x.Service == entity.TypeAuth {
			with = st.SessionKey
		}
		tickets[x.Service] = st
		if !x.BlobSealed {
			in := denc.NewReader(x.Blob)
			b := ConsumeTicketBlob(&in)
			require.NoError(t, in.End())
			require.Equal(t, x.Blob, b.Append(nil))
			require.NotEmpty(t, b.Blob)
		}
	}
	secret, err = OpenSecret(with, r.Secret)
	require.NoError(t, err)
	return tickets, secret
}

// signed checks both signatures: each side signs what it received.
func (p *payloads) signed(t testing.TB, k Key) {
	t.Helper()
	require.Equal(t, p.signature[0], k.Sign(p.sent[1]), "the connector's")
	require.Equal(t, p.signature[1], k.Sign(p.sent[0]), "the acceptor's")
	require.NotEqual(t, p.signature[0], k.Sign(p.sent[0]))
	half := len(p.sent[1]) / 2
	require.Equal(t, p.signature[0], k.Sign(p.sent[1][:half], p.sent[1][half:]), "in parts")
}

// TestLogins: everything that is sealed in the recorded logins opens with the keyring, the
// proofs and the signatures are right, and what is written again is the same.
func TestLogins(t *testing.T) {
	services := []entity.Type{entity.TypeMon, entity.TypeOSD, entity.TypeMgr}
	for _, c := range []struct {
		file, keyring string
		typ           KeyType
		secret        int
		services      []entity.Type
	}{
		{older + "cephx-crc-ping.0", older + "keyring.cephx-crc", TypeAES, 0, nil},
		{older + "cephx-secure-ping.0", older + "keyring.cephx-secure", TypeAES, 64, nil},
		{older + "cephx-secure-lspools.2", older + "keyring.cephx-secure", TypeAES, 64, services},
		{"testdata/cephx-mixed-ping-20.0", "testdata/keyring.mixed", TypeAES, 0, nil},
		{"testdata/cephx256-crc-ping-20.0", "testdata/keyring.cephx256", TypeAES256K, 0, nil},
		{"testdata/cephx256-crc-radosput-20.0", "testdata/keyring.cephx256", TypeAES256K, 0, services},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			ring := readKeyring(t, c.keyring)
			k, ok := ring.Key(entity.AuthName{Type: entity.TypeClient, ID: "admin"})
			require.True(t, ok)
			require.Equal(t, c.typ, k.Type())
			var p payloads
			var tickets map[entity.Type]ServiceTicket
			secret := func(done *frame.AuthDone) []byte {
				p.done = done.Payload
				var err error
				r, err := ParseLoginReply(done.Payload)
				require.NoError(t, err)
				st, err := r.Tickets[0].Open(k)
				require.NoError(t, err)
				s, err := OpenSecret(st.SessionKey, r.Secret)
				require.NoError(t, err)
				return s
			}
			p = readPayloads(t, c.file+".hex", secret)
			tickets, s := p.open(t, k)
			require.Len(t, s, c.secret)
			require.Len(t, tickets, 1+len(c.services))
			for _, service := range c.services {
				require.Contains(t, tickets, service)
				require.EqualValues(t, 3600, tickets[service].Validity.Duration().Seconds())
			}
			auth := tickets[entity.TypeAuth]
			require.Equal(t, c.typ, auth.SessionKey.Type(), "the session key is of the client's type")
			require.EqualValues(t, 72, auth.Validity.Duration().Hours())
			p.signed(t, auth.SessionKey)

			// No other key opens any of it.
			other, ok := ring.Key(entity.AuthName{Type: entity.TypeMon})
			require.True(t, ok)
			r, err := ParseLoginReply(p.done)
			require.NoError(t, err)
			_, err = r.Tickets[0].Open(other)
			require.ErrorIs(t, err, ErrOpen)
			_, err = OpenSecret(k, r.Secret)
			require.ErrorIs(t, err, ErrOpen)
		})
	}
}

// TestAuthorizer: a client shows its ticket to an OSD, and both prove that they have the
// session key.
func TestAuthorizer(t *testing.T) {
	k, _ := readKeyring(t, "testdata/keyring.cephx256").Key(entity.AuthName{Type: entity.TypeClient, ID: "admin"})
	login := readPayloads(t, "testdata/cephx256-crc-radosput-20.0.hex", nil)
	tickets, _ := login.open(t, k)
	p := readPayloads(t, "testdata/cephx256-crc-radosput-20.1.hex", nil)
	with := tickets[entity.TypeOSD].SessionKey

	first, err := ParseAuthorizer(p.request)
	require.NoError(t, err)
	require.Equal(t, p.request, first.Append(nil))
	require.Equal(t, entity.TypeOSD, first.Service)
	require.EqualValues(t, 4109, first.GlobalID)
	a, err := OpenAuthorize(with, first.Sealed)
	require.NoError(t, err)
	require.False(t, a.Answered)

	c, err := OpenAuthorizeChallenge(with, p.challenge)
	require.NoError(t, err)
	second, err := ParseAuthorizer(p.more)
	require.NoError(t, err)
	require.Equal(t, first.Ticket, second.Ticket)
	b, err := OpenAuthorize(with, second.Sealed)
	require.NoError(t, err)
	require.Equal(t, Authorize{Nonce: a.Nonce, Answered: true, Answer: uint64(c) + 1}, b)
	plain, err := with.Open(nil, UsageAuthorize, second.Sealed)
	require.NoError(t, err)
	require.Equal(t, plain, b.Append(nil))

	done, err := OpenAuthorizeReply(with, p.done)
	require.NoError(t, err)
	require.Equal(t, AuthorizeReply{NoncePlusOne: a.Nonce + 1}, done)
	p.signed(t, with)

	for what, open := range map[string]func(Key) error{
		"authorize": func(k Key) error { _, err := OpenAuthorize(k, first.Sealed); return err },
		"challenge": func(k Key) error { _, err := OpenAuthorizeChallenge(k, p.challenge); return err },
		"reply":     func(k Key) error { _, err := OpenAuthorizeReply(k, p.done); return err },
	} {
		require.NoError(t, open(with), what)
		require.ErrorIs(t, open(tickets[entity.TypeMgr].SessionKey), ErrOpen, what)
	}
	_, err = with.Open(nil, UsageAuthorizeReply, second.Sealed)
	require.ErrorIs(t, err, ErrOpen, "it was sealed for another usage")
}
