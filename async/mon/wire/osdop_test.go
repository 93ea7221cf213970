package wire

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// What "rados put" of Ceph 16.2.15 sent, and what the OSD answered.
const (
	realOp = "010112000000010100000000000000" + "07000000ffffffffffffdef86c1b00000024004000020215000000" +
		"000000000000000000000000000000000000000000" + "000000000000000000000000000000000000000000000000" + "00000000" +
		"2aa4026b" + "00000000" + "0603" + "1c000000" + "0100000000000000ffffffff0000000000000000ffffffffffffffff" +
		"040000006f626a31" + "01000222000000000000000000000000330000000000000000000000000000000000000033000000" +
		"feffffffffffffff" + "0000000000000000" + "00000000" + "00000000" + "fffffdffbdcf013f"
	realReply = "040000006f626a3101010000000000000007000000ffffffff2500400000000000000000009b030000000000001b000000" +
		"1b00000001000000022200000000000000000000000033000000000000000000000000000000000000000000000000000000" +
		"000000000000009b030000000000001b0000009b0300000000000000000000000000000000000000000000000000000000" +
		"000000"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestOSDOpIsEncodedAsByRados(t *testing.T) {
	const seconds = 0x6b02a42a
	m := OSDOp{TID: 1, Pool: 1, Object: "obj1", Hash: 0x6cf8deff, Seed: 7, Epoch: 27, Op: OpWriteFull, Length: 51,
		Seconds: seconds, Data: make([]byte, 51)}.Message()
	require.Equal(t, uint16(8), m.Version)
	// The recorded nanoseconds are cut out.
	require.Equal(t, realOp, hex.EncodeToString(m.Front))
}

func TestOSDOpReplyOfARealOSD(t *testing.T) {
	front := unhex(t, realReply)
	got, err := ParseOSDOpReply(front)
	require.NoError(t, err)
	require.Equal(t, OSDOpReply{Object: "obj1", Flags: 0x400025, Epoch: 27, Ops: []int32{0}}, got)
	for n := range 102 {
		_, err := ParseOSDOpReply(front[:n])
		require.Error(t, err, "cut after %d bytes", n)
	}
	again, err := ParseOSDOpReply(got.Message(7, nil).Front)
	require.NoError(t, err)
	require.Equal(t, got, again)
}

func TestSubscribeIsEncodedAsByRados(t *testing.T) {
	m := Subscribe([]Sub{{What: "monmap"}, {What: "config"}}, "vm")
	require.Equal(t, "0200000006000000636f6e666967000000000000000000060000006d6f6e6d617000000000000000000002000000766d",
		hex.EncodeToString(m.Front))
	require.Equal(t, uint16(msg.TypeMonSubscribe), m.Type)
	subs, err := ParseSubscribe(m.Front)
	require.NoError(t, err)
	require.Equal(t, []Sub{{What: "config"}, {What: "monmap"}}, subs)
}

func TestOSDMapRoundTrip(t *testing.T) {
	m := OSDMap{FSID: UUID{1, 2}, Incremental: []MapBytes{{8, []byte("eight")}, {9, []byte("nine")}},
		Full: []MapBytes{{7, []byte("seven")}}, Oldest: 1, Newest: 9}
	front := m.Message().Front
	got, err := ParseOSDMap(front)
	require.NoError(t, err)
	require.Equal(t, m, got)
	for n := range len(front) - 4 {
		_, err := ParseOSDMap(front[:n])
		require.Error(t, err, "cut after %d bytes", n)
	}
	m.Incremental[0].Epoch = 9
	_, err = ParseOSDMap(m.Message().Front)
	require.ErrorContains(t, err, "epoch 9 behind 9")
}

// FuzzParse: no input of the network panics, or takes more memory than it is long.
func FuzzParse(f *testing.F) {
	for _, s := range []string{realOp, realReply, realMonMap, realBlock} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(OSDMap{Full: []MapBytes{{7, []byte("seven")}}}.Message().Front)
	f.Fuzz(func(_ *testing.T, front []byte) {
		_, _ = ParseMonMap(front)
		_, _ = ParseOSDMap(front)
		_, _ = ParseOSDOpReply(front)
		_, _ = ParseOSDBackoff(front)
		_, _ = ParseSubscribe(front)
		_, _, _ = ParseCommandAck(front)
		_, _, _ = ParseCommand(front)
		_, _, _, _ = ParseGetVersionReply(front)
	})
}
