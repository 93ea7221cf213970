package wire

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

const theFSID = "11111111-2222-3333-4444-555555555555"

// realMonMap is the front of the MMonMap that a ceph-mon 16.2.15 at
// v2:127.0.0.1:13300/0 answered MMonGetMap with.
const realMonMap = "a60000000906a00000001111111122223333444455555555555501000000539f026b28dfb20c539f026b28dfb20c" +
	"010108000000ff0000000000000001010800000000000000000000000100000001000000610501350000000100000061" +
	"02010000000101011c000000020000000000000010000000020033f47f0000010000000000000000000000000000000001000000" +
	"010000006110000000000100000000000000000000000000"

func theMonMap(t *testing.T) MonMap {
	fsid, err := ParseUUID(theFSID)
	require.NoError(t, err)
	return MonMap{FSID: fsid, Epoch: 1, Mons: []MonInfo{{Name: "a", Addrs: entity.AddrVec{
		{Type: entity.AddrMsgr2, AddrPort: netip.MustParseAddrPort("127.0.0.1:13300")}}}}}
}

func TestMonMapIsEncodedAsByARealMon(t *testing.T) {
	want, err := hex.DecodeString(realMonMap)
	require.NoError(t, err)
	clear(want[30:46]) // last changed and created, which we leave at 0
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(denc.AppendBL(nil, theMonMap(t).Append(nil))))
}

func TestParseMonMapOfARealMon(t *testing.T) {
	front, err := hex.DecodeString(realMonMap)
	require.NoError(t, err)
	got, err := ParseMonMap(front)
	require.NoError(t, err)
	require.Equal(t, theMonMap(t), got)
	for n := range front { // cut anywhere: an error, no panic
		_, err := ParseMonMap(front[:n])
		require.Error(t, err, "cut after %d bytes", n)
	}
}

func TestCommandRoundTrip(t *testing.T) {
	fsid, err := ParseUUID(theFSID)
	require.NoError(t, err)
	m := Command(fsid, 7, `{"prefix":"fsid"}`, []byte("in"))
	require.Equal(t, uint64(7), m.TID)
	gotID, words, err := ParseCommand(m.Front)
	require.NoError(t, err)
	require.Equal(t, fsid, gotID)
	require.Equal(t, []string{`{"prefix":"fsid"}`}, words)

	a := CommandAck(7, -22, "no", words, []byte("out"))
	code, status, err := ParseCommandAck(a.Front)
	require.NoError(t, err)
	require.Equal(t, int32(-22), code)
	require.Equal(t, "no", status)
	require.Equal(t, uint16(msg.TypeMonCommandAck), a.Type)
}
