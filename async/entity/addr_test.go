package entity

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func mustAddr(t testing.TB, s string) Addr {
	a, err := ParseAddr(s)
	require.NoError(t, err)
	return a
}

// Addresses recorded from Ceph 16.2.15 daemons and clients.
func TestAddrGolden(t *testing.T) {
	for s, wire := range map[string]string{
		"v2:127.0.0.1:45838/0":       "0101011c000000020000000000000010000000" + "0200b30e7f0000010000000000000000",
		"v2:127.0.0.1:13300/0":       "0101011c000000020000000000000010000000" + "020033f47f0000010000000000000000",
		"any:127.0.0.1:0/1827453280": "0101011c0000000300000060b9ec6c10000000" + "020000007f0000010000000000000000",
		"v2:[::1]:6800/5": "01010128000000020000000500000" + "01c000000" +
			"0a001a9000000000" + "00000000000000000000000000000001" + "00000000",
		"v2:[fe80::1%3]:6800/5": "01010128000000020000000500000" + "01c000000" +
			"0a001a9000000000" + "fe800000000000000000000000000001" + "03000000",
		"v1:[::ffff:1.2.3.4]:6789/257": "01010128000000010000000101000" + "01c000000" +
			"0a001a8500000000" + "00000000000000000000ffff01020304" + "00000000",
		"-": "01010128000000000000000000000" + "01c000000" +
			"00000000000000000000000000000000000000000000000000000000",
		"none:-/7": "01010128000000000000000700000" + "01c000000" +
			"00000000000000000000000000000000000000000000000000000000",
	} {
		a := mustAddr(t, s)
		require.Equal(t, s, a.String())
		require.Equal(t, wire, hex.EncodeToString(a.Append(nil)), s)
		r := denc.NewReader(unhex(wire))
		require.Equal(t, a, ConsumeAddr(&r), s)
		require.NoError(t, r.End(), s)
	}
}

func TestAddrVecGolden(t *testing.T) {
	// From a CLIENT_IDENT.
	wire := unhex("02010000000101011c0000000300000060b9ec6c10000000020000007f0000010000000000000000")
	r := denc.NewReader(wire)
	v := ConsumeAddrVec(&r)
	require.NoError(t, r.End())
	require.Equal(t, "any:127.0.0.1:0/1827453280", v.String())
	require.Equal(t, wire, v.Append(nil))

	// Marker 1: a single address.
	r = denc.NewReader(wire[5:])
	require.Equal(t, v, ConsumeAddrVec(&r))
	require.NoError(t, r.End())

	// An empty one.
	r = denc.NewReader([]byte{2, 0, 0, 0, 0})
	require.Empty(t, ConsumeAddrVec(&r))
	require.NoError(t, r.End())
	require.Equal(t, []byte{2, 0, 0, 0, 0}, AddrVec(nil).Append(nil))
}

// legacy is marker 0 and what follows: the family is big endian.
func legacy(nonce byte, family byte, sockaddr string) []byte {
	p := []byte{0, 0, 0, 0, nonce, 0, 0, 0, 0, family}
	p = append(p, unhex(sockaddr)...)
	return append(p, make([]byte, 1+3+4+128-len(p))...)
}

func TestAddrLegacy(t *testing.T) {
	for _, row := range []struct {
		p    []byte
		want string
	}{
		{legacy(9, 2, "1a857f000001"), "v1:127.0.0.1:6789/9"},
		{legacy(0, 10, "1a850000000000000000000000000000000000000001"), "v1:[::1]:6789/0"},
		{legacy(0, 0, ""), "-"},
	} {
		r := denc.NewReader(row.p)
		require.Equal(t, row.want, ConsumeAddr(&r).String())
		require.NoError(t, r.End())
		r = denc.NewReader(row.p)
		require.Equal(t, row.want, ConsumeAddrVec(&r).String())
		require.NoError(t, r.End())
		for n := range row.p {
			r := denc.NewReader(row.p[:n])
			require.Zero(t, ConsumeAddr(&r))
			require.ErrorIs(t, r.Err(), denc.ErrShort)
		}
	}
	r := denc.NewReader(legacy(0, 1, "00"))
	ConsumeAddr(&r)
	require.ErrorIs(t, r.Err(), denc.ErrValue)
}

// The socket address image may be short; it must not be longer than its family's.
func TestAddrImageLengths(t *testing.T) {
	for _, row := range []struct {
		image string
		want  string // "" is an error
	}{
		{"", "v2:-/0"},
		{"00", ""},
		{"0000", "v2:-/0"},
		{"00000000000000000000000000000000", "v2:-/0"},
		{"0200", "v2:0.0.0.0:0/0"},
		{"02000ce401020304", "v2:1.2.3.4:3300/0"},
		{"02000ce4010203040000000000000000", "v2:1.2.3.4:3300/0"},
		{"02000ce401020304000000000000000000", ""},
		{"0a000ce4" + "00000000" + "00000000000000000000000000000001" + "00000000", "v2:[::1]:3300/0"},
		{"0a000ce4" + "00000001" + "00000000000000000000000000000001" + "0000000000", ""},
		{"0a000ce4" + "01020304" + "00000000000000000000000000000001", "v2:[::1]:3300/0"}, // flowinfo is dropped
		{"0100", ""},
		{"ffff", ""},
	} {
		image := unhex(row.image)
		p := denc.AppendStructHeader([]byte{1}, 1, 1, 12+len(image))
		p = append(p, 2, 0, 0, 0, 0, 0, 0, 0)
		p = denc.AppendBL(p, image)
		r := denc.NewReader(p)
		a := ConsumeAddr(&r)
		if row.want == "" {
			require.ErrorIs(t, r.Err(), denc.ErrValue, row.image)
			require.Zero(t, a)
			continue
		}
		require.NoError(t, r.End(), row.image)
		require.Equal(t, row.want, a.String(), row.image)
	}
}

func TestAddrRefused(t *testing.T) {
	good := mustAddr(t, "v2:1.2.3.4:3300/7").Append(nil)
	for n := range good {
		r := denc.NewReader(good[:n])
		require.Zero(t, ConsumeAddr(&r))
		require.ErrorIs(t, r.Err(), denc.ErrShort)
	}
	for name, change := range map[string]func([]byte){
		"marker":     func(p []byte) { p[0] = 2 },
		"compat":     func(p []byte) { p[2] = 2 },
		"struct len": func(p []byte) { p[3]-- },
		"image len":  func(p []byte) { p[15]++ },
	} {
		p := slices.Clone(good)
		change(p)
		r := denc.NewReader(p)
		require.Zero(t, ConsumeAddr(&r), name)
		require.Error(t, r.Err(), name)
	}
	// A newer struct may be longer; what is beyond is skipped.
	p := slices.Clone(good)
	p[1], p[3] = 2, p[3]+3
	r := denc.NewReader(append(p, 1, 2, 3))
	require.Equal(t, "v2:1.2.3.4:3300/7", ConsumeAddr(&r).String())
	require.NoError(t, r.End())
}

func TestAddrVecBounds(t *testing.T) {
	v := make(AddrVec, AddrVecMax)
	r := denc.NewReader(v.Append(nil))
	require.Len(t, ConsumeAddrVec(&r), AddrVecMax)
	require.NoError(t, r.End())
	v = append(v, Addr{})
	require.Panics(t, func() { v.Append(nil) })

	p := AddrVec(v[:AddrVecMax]).Append(nil)
	p[1]++
	p = append(p, Addr{}.Append(nil)...)
	r = denc.NewReader(p)
	require.Nil(t, ConsumeAddrVec(&r))
	require.ErrorIs(t, r.Err(), denc.ErrValue)

	r = denc.NewReader([]byte{2, 40, 0, 0, 0, 1, 1})
	require.Nil(t, ConsumeAddrVec(&r))
	require.ErrorIs(t, r.Err(), denc.ErrShort)
	r = denc.NewReader([]byte{3, 0, 0, 0, 0})
	require.Nil(t, ConsumeAddrVec(&r))
	require.ErrorIs(t, r.Err(), denc.ErrValue)
}

func TestParseAddr(t *testing.T) {
	for s, want := range map[string]string{
		"1.2.3.4:3300":      "v2:1.2.3.4:3300",
		"1.2.3.4:3300/0":    "v2:1.2.3.4:3300/0",
		"1.2.3.4:3300/5":    "v2:1.2.3.4:3300/5",
		"[::1]:3300":        "v2:[::1]:3300",
		"v1:1.2.3.4:6789":   "v1:1.2.3.4:6789",
		"cidr:10.0.0.0:0/8": "cidr:10.0.0.0:0/8",
		"any:-/3":           "any:-/3",
	} {
		require.Equal(t, want, mustAddr(t, s).String())
	}
	for _, bad := range []string{"", "v2:", "v2:1.2.3.4", "v3:1.2.3.4:1/0", "v2:1.2.3.4:1/", "v2:1.2.3.4:1/-1",
		"v2:1.2.3.4:1/4294967296", "v2:1.2.3.4:65536/0", "v2:host:1/0", "v2:::1:3300/0"} {
		_, err := ParseAddr(bad)
		require.Error(t, err, bad)
	}
	for s, want := range map[string]string{
		"[v2:1.2.3.4:3300/0,v1:1.2.3.4:6789/0]": "[v2:1.2.3.4:3300/0,v1:1.2.3.4:6789/0]",
		"v2:1.2.3.4:3300/0,v1:1.2.3.4:6789/0":   "[v2:1.2.3.4:3300/0,v1:1.2.3.4:6789/0]",
		"[v2:1.2.3.4:3300/0]":                   "v2:1.2.3.4:3300/0",
		"[v2:[::1]:3300/0,v2:[::2]:3300/0]":     "[v2:[::1]:3300/0,v2:[::2]:3300/0]",
		"[::1]:3300":                            "v2:[::1]:3300",
		"-":                                     "-",
		"[]":                                    "-",
	} {
		v, err := ParseAddrVec(s)
		require.NoError(t, err, s)
		require.Equal(t, want, v.String())
	}
	for _, bad := range []string{"", "[", "[v2:1.2.3.4:1/0,]", "[v2:1.2.3.4:1/0", "v2:1.2.3.4:1/0]"} {
		_, err := ParseAddrVec(bad)
		require.Error(t, err, bad)
	}
	b, err := json.Marshal(AddrVec{mustAddr(t, "v2:1.2.3.4:1/2")})
	require.NoError(t, err)
	require.JSONEq(t, `"v2:1.2.3.4:1/2"`, string(b))
	var v AddrVec
	require.NoError(t, json.Unmarshal(b, &v))
	require.Equal(t, "v2:1.2.3.4:1/2", v.String())
	var a Addr
	require.NoError(t, json.Unmarshal(b, &a))
	require.Equal(t, v[0], a)
}

// The order is that of the bytes in memory, not of the numbers: 256 sorts before
// 1 in a little-endian nonce, and port and address are big endian.
func TestAddrCompare(t *testing.T) {
	sorted := []string{
		"-",
		"v1:1.2.3.4:5/0",
		"v2:-/0",
		"v2:1.2.3.4:5/0",
		"v2:1.2.3.5:5/0",
		"v2:1.2.3.4:6/0",
		"v2:1.2.3.4:256/0",
		"v2:[::1]:5/0",
		"v2:[::2]:5/0",
		"v2:1.2.3.4:5/256",
		"v2:1.2.3.4:5/1",
	}
	for i, x := range sorted {
		for j, y := range sorted {
			a, b := mustAddr(t, x), mustAddr(t, y)
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, a.Compare(b), "%s %s", x, y)
			require.Equal(t, want == 0, a == b)
		}
	}
}

func TestAddrVec(t *testing.T) {
	v, err := ParseAddrVec("[v1:1.2.3.4:6789/0,v2:1.2.3.4:3300/0,v2:1.2.3.4:3301/0]")
	require.NoError(t, err)
	require.Equal(t, "v2:1.2.3.4:3300/0", v.Msgr2().String())
	require.Equal(t, v[0], v.First())
	require.Zero(t, AddrVec{v[0]}.Msgr2())
	require.Zero(t, AddrVec(nil).First())
	require.True(t, v.Contains(v[2]))
	require.False(t, v.Contains(mustAddr(t, "v2:1.2.3.4:3300/1")))
	w := v.Clone()
	require.True(t, v.Equal(w))
	require.Equal(t, v.Key(), w.Key())
	w[0].Nonce++
	require.False(t, v.Equal(w))
	require.NotEqual(t, v.Key(), w.Key())
	require.Empty(t, AddrVec(nil).Key())
	require.NotEmpty(t, AddrVec{{}}.Key())
	require.True(t, Addr{}.IsBlank())
	require.True(t, Addr{Type: AddrAny}.IsBlank())
	require.False(t, v[0].IsBlank())
}

func genAddr() *rapid.Generator[Addr] {
	return rapid.Custom(func(t *rapid.T) Addr {
		a := Addr{Type: AddrType(rapid.Uint32Range(0, 4).Draw(t, "type")), Nonce: rapid.Uint32().Draw(t, "nonce")}
		ip, ok := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "ip"))
		if ok {
			a.AddrPort = netip.AddrPortFrom(ip, rapid.Uint16().Draw(t, "port"))
		}
		return a
	})
}

func TestAddrRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := AddrVec(rapid.SliceOfN(genAddr(), 0, 4).Draw(t, "addrs"))
		r := denc.NewReader(v.Append(nil))
		require.True(t, v.Equal(ConsumeAddrVec(&r)))
		require.NoError(t, r.End())
		for _, a := range v {
			back, err := ParseAddr(a.String())
			require.NoError(t, err)
			require.Equal(t, a, back)
		}
		w := AddrVec(rapid.SliceOfN(genAddr(), 0, 2).Draw(t, "others"))
		require.Equal(t, v.Equal(w), v.Key() == w.Key())
		if len(v) > 0 && len(w) > 0 {
			require.Equal(t, v[0] == w[0], v[0].Compare(w[0]) == 0)
			require.Equal(t, v[0].Compare(w[0]), -w[0].Compare(v[0]))
		}
	})
}

// FuzzAddrVec: any bytes; what is accepted is, encoded again, the same vector.
func FuzzAddrVec(f *testing.F) {
	f.Add(AddrVec{mustAddr(f, "v2:1.2.3.4:3300/0"), mustAddr(f, "v1:[::1]:6789/9")}.Append(nil))
	f.Add(legacy(9, 2, "1a857f000001"))
	f.Add(Addr{}.Append(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		r := denc.NewReader(p)
		v := ConsumeAddrVec(&r)
		if r.Err() != nil {
			if v != nil {
				t.Fatal("a vector and an error")
			}
			return
		}
		if len(v) > AddrVecMax {
			t.Fatalf("%d addresses", len(v))
		}
		again := denc.NewReader(v.Append(nil))
		if w := ConsumeAddrVec(&again); again.End() != nil || !v.Equal(w) {
			t.Fatalf("%v, again: %v %v", v, w, again.Err())
		}
		_ = v.Key()
		for _, a := range v {
			if a.Type > AddrCIDR {
				continue
			}
			if back, err := ParseAddr(a.String()); err != nil || back != a {
				t.Fatalf("%q: %v %v", a, back, err)
			}
		}
	})
}

// FuzzAddrText: what ParseAddrVec accepts, it accepts again as it prints.
func FuzzAddrText(f *testing.F) {
	f.Add("[v2:1.2.3.4:3300/0,v1:[::1]:6789/7]")
	f.Add("any:-/3")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseAddrVec(s)
		if err != nil || len(v) == 1 && v[0] == (Addr{}) {
			return
		}
		w, err := ParseAddrVec(v.String())
		if err != nil || !v.Equal(w) {
			t.Fatalf("%q: %v, again %v %v", s, v, w, err)
		}
	})
}

// TestAddrAnyNonce: an address without a nonce is another one than that with the
// nonce 0, but on the wire.
func TestAddrAnyNonce(t *testing.T) {
	whoever, zero, seven := mustAddr(t, "1.2.3.4:3300"), mustAddr(t, "1.2.3.4:3300/0"), mustAddr(t, "1.2.3.4:3300/7")
	require.NotEqual(t, whoever, zero)
	require.NotEqual(t, AddrVec{whoever}.Key(), AddrVec{zero}.Key())
	require.Equal(t, zero.Append(nil), whoever.Append(nil))
	require.Equal(t, seven, whoever.WithNonce(7))
	require.Equal(t, whoever, seven.WithAnyNonce())
	require.True(t, whoever.Matches(seven))
	require.True(t, seven.Matches(whoever))
	require.False(t, zero.Matches(seven))
	require.Equal(t, whoever, mustAddr(t, whoever.String()))
}

// TestAddrMatches: what is one place, whatever its writing.
func TestAddrMatches(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{"1.2.3.4:1/2", "1.2.3.4:1/2", true},
		{"[::ffff:1.2.3.4]:1/2", "1.2.3.4:1/2", true},
		{"[fe80::1%2]:1/2", "[fe80::1%7]:1/2", true},
		{"[fe80::1%eth0]:1/2", "[fe80::1]:1/2", true},
		{"v1:1.2.3.4:1/2", "1.2.3.4:1/2", false},
		{"1.2.3.4:1/2", "1.2.3.5:1/2", false},
		{"1.2.3.4:1/2", "1.2.3.4:2/2", false},
		{"1.2.3.4:1/2", "1.2.3.4:1/3", false},
	} {
		a, b := mustAddr(t, row.a), mustAddr(t, row.b)
		require.Equal(t, row.want, a.Matches(b), row)
		require.Equal(t, row.want, AddrVec{{}, b}.Contains(a), row)
		require.Equal(t, row.want, b.Normal().Place() == a.Place() && a.Type == b.Type && a.Nonce == b.Nonce, row)
	}
	require.Equal(t, mustAddr(t, "1.2.3.4:1/2"), mustAddr(t, "[::ffff:1.2.3.4]:1/2").Normal())
}
