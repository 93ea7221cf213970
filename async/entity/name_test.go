package entity

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

func TestTypeText(t *testing.T) {
	for i := range 256 {
		typ := Type(i)
		back, err := ParseType(typ.String())
		require.NoError(t, err)
		require.Equal(t, typ, back)
	}
	require.Equal(t, "osd mon client mgr mds auth any type3",
		TypeOSD.String()+" "+TypeMon.String()+" "+TypeClient.String()+" "+TypeMgr.String()+" "+
			TypeMDS.String()+" "+TypeAuth.String()+" "+TypeAny.String()+" "+Type(3).String())
	for _, bad := range []string{"", "OSD", "type", "type4", "type256", "type03", "type-1"} {
		_, err := ParseType(bad)
		require.Error(t, err, bad)
	}
}

func TestNameText(t *testing.T) {
	for _, row := range []struct {
		n Name
		s string
	}{
		{OSD(3), "osd.3"}, {Mon(0), "mon.0"}, {MDS(1), "mds.1"}, {Mgr(2), "mgr.2"}, {Client(4123), "client.4123"},
		{Client(NumNew), "client.?"}, {OSD(math.MaxInt64), "osd.9223372036854775807"}, {Name{Type(7), -2}, "type7.-2"},
	} {
		require.Equal(t, row.s, row.n.String())
		back, err := ParseName(row.s)
		require.NoError(t, err)
		require.Equal(t, row.n, back)
	}
	for _, bad := range []string{"", "osd", "osd.", "osd.x", "disk.1", "osd.9223372036854775808"} {
		_, err := ParseName(bad)
		require.Error(t, err, bad)
	}
	b, err := json.Marshal(map[Name]Type{OSD(3): TypeMon})
	require.NoError(t, err)
	require.JSONEq(t, `{"osd.3":"mon"}`, string(b))
	var back map[Name]Type
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, map[Name]Type{OSD(3): TypeMon}, back)
}

func TestNameWire(t *testing.T) {
	p := Client(-1).Append(nil)
	require.Equal(t, []byte{8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, p)
	r := denc.NewReader(p)
	require.Equal(t, Client(-1), ConsumeName(&r))
	require.NoError(t, r.End())
}

func TestAuthName(t *testing.T) {
	admin := AuthName{TypeClient, "admin"}
	require.Equal(t, "client.admin", admin.String())
	p := admin.Append(nil)
	require.Equal(t, []byte("\x08\x00\x00\x00\x05\x00\x00\x00admin"), p)
	r := denc.NewReader(p)
	require.Equal(t, admin, ConsumeAuthName(&r))
	require.NoError(t, r.End())
	p[1] = 1
	r = denc.NewReader(p)
	require.Zero(t, ConsumeAuthName(&r))
	require.ErrorIs(t, r.Err(), denc.ErrValue)

	for s, want := range map[string]AuthName{"client.rgw.a.b": {TypeClient, "rgw.a.b"}, "mon.": {TypeMon, ""}} {
		a, err := ParseAuthName(s)
		require.NoError(t, err)
		require.Equal(t, want, a)
		require.Equal(t, s, a.String())
	}
	for _, bad := range []string{"admin", "disk.0"} {
		_, err := ParseAuthName(bad)
		require.Error(t, err)
	}
	b, err := json.Marshal(admin)
	require.NoError(t, err)
	var back AuthName
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, admin, back)
}
