package cephx

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

var admin = entity.AuthName{Type: entity.TypeClient, ID: "admin"}

// someTime is when tests are.
var someTime = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func adminClient(t testing.TB, keyring string, random []byte, services ...entity.Type) *Client {
	t.Helper()
	k, err := readKeyring(t, keyring).Find(admin)
	require.NoError(t, err)
	c, err := NewClient(ClientConfig{Name: admin, Key: k, Services: services, Rand: bytes.NewReader(random),
		Now: func() time.Time { return someTime }})
	require.NoError(t, err)
	return c
}

// typesOf are the types of entities in a mask.
func typesOf(mask uint32) []entity.Type {
	types := []entity.Type{}
	for _, s := range servicesAll {
		if mask&uint32(s) != 0 {
			types = append(types, s)
		}
	}
	return types
}

// TestGoldenLogins: given the random bytes that a real client drew, a Client says to the
// recorded monitor byte for byte what that one said, in crc and in secure mode, with keys of
// both types, and gets the keys under which both ends signed.
func TestGoldenLogins(t *testing.T) {
	for _, c := range []struct {
		file, keyring string
		mode          uint32
	}{
		{older + "cephx-crc-ping.0", older + "keyring.cephx-crc", auth.ModeCRC},
		{older + "cephx-secure-ping.0", older + "keyring.cephx-secure", auth.ModeSecure},
		{older + "cephx-secure-lspools.0", older + "keyring.cephx-secure", auth.ModeSecure},
		{older + "cephx-secure-lspools.1", older + "keyring.cephx-secure", auth.ModeSecure},
		{older + "cephx-secure-lspools.2", older + "keyring.cephx-secure", auth.ModeSecure},
		{"testdata/cephx256-crc-ping-20.0", "testdata/keyring.cephx256", auth.ModeCRC},
		{"testdata/cephx256-crc-radosput-20.0", "testdata/keyring.cephx256", auth.ModeCRC},
		{"testdata/cephx-mixed-ping-20.0", "testdata/keyring.mixed", auth.ModeCRC},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			p := readAuth(t, c.file+".hex")
			q, err := ParseLoginRequest(p.more)
			require.NoError(t, err)
			client := adminClient(t, c.keyring, le.AppendUint64(nil, q.Challenge), typesOf(q.OtherKeys)...)
			x := client.NewExchange(entity.TypeClient, entity.TypeMon)
			first, err := x.Request()
			require.NoError(t, err)
			require.Equal(t, p.request, first.Payload)
			require.EqualValues(t, auth.MethodCephX, first.Method)
			require.Equal(t, []uint32{auth.ModeSecure, auth.ModeCRC}, first.Modes)
			q.OtherKeys |= uint32(entity.TypeAuth)
			more, err := x.More(p.challenge)
			require.NoError(t, err)
			require.Equal(t, q.Append(nil), more)
			r, err := x.Done(p.doneFrame.GlobalID, p.doneFrame.ConMode, p.done)
			require.NoError(t, err)
			require.NoError(t, r.Check())
			require.Equal(t, c.mode, r.Mode)
			require.NotZero(t, r.GlobalID)
			require.Equal(t, r.GlobalID, client.GlobalID())
			require.Len(t, client.tickets.services, len(typesOf(q.OtherKeys)))
			require.Equal(t, someTime.Add(54*time.Hour), client.tickets.auth.renew, "three quarters of 72 h")
			for _, h := range client.tickets.services {
				require.Equal(t, someTime.Add(45*time.Minute), h.renew)
			}
			p = readPayloads(t, c.file+".hex", func(*frame.AuthDone) []byte { return r.ConnectionSecret })
			k, err := newKey(map[int]KeyType{16: TypeAES, 32: TypeAES256K}[len(r.SessionKey)], r.SessionKey, 0)
			require.NoError(t, err)
			p.signed(t, k)
		})
	}
}

// TestGoldenAuthorizer: the same with an OSD. What is sealed has random bytes in it, and is
// compared by what it says; all else byte for byte.
func TestGoldenAuthorizer(t *testing.T) {
	login := readAuth(t, "testdata/cephx256-crc-radosput-20.0.hex")
	p := readAuth(t, "testdata/cephx256-crc-radosput-20.1.hex")
	q, err := ParseLoginRequest(login.more)
	require.NoError(t, err)
	first, err := ParseAuthorizer(p.request)
	require.NoError(t, err)

	k, err := readKeyring(t, "testdata/keyring.cephx256").Find(admin)
	require.NoError(t, err)
	reply, err := ParseLoginReply(login.done)
	require.NoError(t, err)
	st, err := reply.Tickets[0].Open(k)
	require.NoError(t, err)
	var with Key
	for _, x := range reply.Extra {
		if x.Service == entity.TypeOSD {
			got, err := x.Open(st.SessionKey)
			require.NoError(t, err)
			with = got.SessionKey
		}
	}
	a, err := OpenAuthorize(with, first.Sealed)
	require.NoError(t, err)

	random := le.AppendUint64(nil, q.Challenge)
	random = append(le.AppendUint64(random, a.Nonce), make([]byte, 2*confounderLen)...)
	client := adminClient(t, "testdata/keyring.cephx256", random)
	x := client.NewExchange(entity.TypeClient, entity.TypeMon)
	_, err = x.Request()
	require.NoError(t, err)
	_, err = x.More(login.challenge)
	require.NoError(t, err)
	_, err = x.Done(login.doneFrame.GlobalID, login.doneFrame.ConMode, login.done)
	require.NoError(t, err)

	same := func(want, got []byte) {
		t.Helper()
		w, err := ParseAuthorizer(want)
		require.NoError(t, err)
		g, err := ParseAuthorizer(got)
		require.NoError(t, err)
		wa, err := with.Open(nil, UsageAuthorize, w.Sealed)
		require.NoError(t, err)
		ga, err := with.Open(nil, UsageAuthorize, g.Sealed)
		require.NoError(t, err)
		require.Equal(t, wa, ga)
		w.Sealed, g.Sealed = nil, nil
		require.Equal(t, w, g)
	}
	x = client.NewExchange(entity.TypeClient, entity.TypeOSD)
	r, err := x.Request()
	require.NoError(t, err)
	require.Equal(t, []uint32{auth.ModeCRC, auth.ModeSecure}, r.Modes)
	same(p.request, r.Payload)
	more, err := x.More(p.challenge)
	require.NoError(t, err)
	same(p.more, more)
	res, err := x.Done(p.doneFrame.GlobalID, p.doneFrame.ConMode, p.done)
	require.NoError(t, err)
	require.NoError(t, res.Check())
	require.Equal(t, secretOf(with), res.SessionKey)
	readPayloads(t, "testdata/cephx256-crc-radosput-20.1.hex", nil)
}
