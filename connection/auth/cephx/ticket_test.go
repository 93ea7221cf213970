package cephx

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// TestTicketInfo compares with an OSD ticket that a real monitor made and its rotating
// secret opened (docs/PROTOCOL.md 2.5); the key is another one.
func TestTicketInfo(t *testing.T) {
	wire := unhex(t, "01"+"02"+"08000000"+"05000000"+"61646d696e"+"1810000000000000"+"ffffffffffffffff"+
		"15270b6b78e4f800"+"25350b6b78e4f800"+"01"+"00"+"0b000000"+"07000000"+"616c6c6f77202a"+"00000000"+
		"0100"+"15270b6bf1e6f800"+"1000"+"000102030405060708090a0b0c0d0e0f")
	info, err := ParseTicketInfo(wire)
	require.NoError(t, err)
	require.Equal(t, wire, info.Append(nil))
	require.Equal(t, "client.admin", info.Name.String())
	require.EqualValues(t, 4120, info.GlobalID)
	require.Equal(t, SecretMon, info.OldAUID)
	require.Equal(t, time.Hour, info.Expires.Moment().Sub(info.Created.Moment()))
	require.Equal(t, TypeAES, info.SessionKey.Type())
	require.False(t, info.AllowAll)
	r := denc.NewReader(info.Caps)
	require.Equal(t, "allow *", r.String())
	for n := range wire {
		_, err := ParseTicketInfo(wire[:n])
		require.ErrorIs(t, err, denc.ErrShort, n)
	}
	_, err = ParseTicketInfo(append(wire, 0))
	require.ErrorIs(t, err, denc.ErrTrailing)
	for _, at := range []int{0, 1} {
		for _, v := range []byte{0, 3} {
			bad := append([]byte(nil), wire...)
			bad[at] = v
			_, err = ParseTicketInfo(bad)
			require.ErrorIs(t, err, denc.ErrValue)
		}
	}
}

// TestOurSide: what this package writes and seals, for an exchange that was not recorded:
// secure mode towards a daemon, and a relogin.
func TestOurSide(t *testing.T) {
	var random counting
	for _, k := range testKeys(t) {
		seal := func(u Usage, p []byte) []byte {
			s, err := k.Seal(nil, u, p, &random)
			require.NoError(t, err)
			return s
		}
		secret := make([]byte, 64)
		reply := AuthorizeReply{NoncePlusOne: 5, Secret: secret}
		got, err := OpenAuthorizeReply(k, denc.AppendBL(nil, seal(UsageAuthorizeReply, reply.Append(nil))))
		require.NoError(t, err)
		require.Equal(t, reply, got)

		blob := TicketBlob{SecretID: 7, Blob: []byte("blob")}
		login := LoginReply{
			Tickets: []Ticket{{
				Service: entity.TypeAuth, Sealed: seal(UsageServiceTicket, ServiceTicket{k, Time{3600, 0}}.Append(nil)),
				Blob: blob.Append(nil), BlobSealed: true,
			}},
			Secret:   seal(UsageConnectionSecret, denc.AppendBL(nil, secret)),
			HasExtra: true,
		}
		parsed, err := ParseLoginReply(login.Append(nil))
		require.NoError(t, err)
		require.Equal(t, login.Append(nil), parsed.Append(nil))
		require.True(t, parsed.Tickets[0].BlobSealed)
		s, err := OpenSecret(k, parsed.Secret)
		require.NoError(t, err)
		require.Equal(t, secret, s)

		for _, q := range []LoginRequest{
			{Version: 1, Challenge: 1, Proof: 2}, {Version: 3, Challenge: 1, Proof: 2, Old: blob, OtherKeys: 0x35},
		} {
			got, err := ParseLoginRequest(q.Append(nil))
			require.NoError(t, err)
			require.Equal(t, q.Append(nil), got.Append(nil))
		}
	}
	// A login for no other keys has neither secret nor extra tickets.
	bare := LoginReply{Status: -13}
	parsed, err := ParseLoginReply(bare.Append(nil))
	require.NoError(t, err)
	require.Equal(t, bare, parsed)
	r := denc.NewReader(le.AppendUint32([]byte{1}, ticketsMax+1))
	require.Nil(t, ConsumeTickets(&r))
	require.ErrorIs(t, r.Err(), denc.ErrValue)
}
