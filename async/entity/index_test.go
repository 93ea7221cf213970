package entity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func vec(t testing.TB, s string) AddrVec {
	v, err := ParseAddrVec(s)
	require.NoError(t, err)
	return v
}

// TestIndexFinds lists who is found under what.
func TestIndexFinds(t *testing.T) {
	var x Index[string]
	_, ok := x.Lookup(vec(t, "1.2.3.4:1/2"))
	require.False(t, ok, "nobody is in")

	x.Put(vec(t, "[v2:10.0.0.1:7001/5,v1:10.0.0.1:7002/5]"), "two")
	x.Put(vec(t, "10.0.0.2:7001/5"), "old")
	x.Put(vec(t, "10.0.0.2:7001/6"), "new")
	x.Put(vec(t, "10.0.0.3:7001"), "any")
	x.Put(vec(t, "any:10.0.0.4:0/9"), "client")
	x.Put(vec(t, "[fe80::1%3]:7001/5"), "local")
	for at, want := range map[string]string{
		"[v2:10.0.0.1:7001/5,v1:10.0.0.1:7002/5]": "two",
		"v2:10.0.0.1:7001/5":                      "two",
		"v1:10.0.0.1:7002/5":                      "two",
		"[v2:10.0.0.1:7001/5,v2:10.9.9.9:1/1]":    "two",
		"10.0.0.1:7001":                           "two",
		"[::ffff:10.0.0.1]:7001/5":                "two",
		"v1:10.0.0.1:7001/5":                      "",
		"10.0.0.1:7001/6":                         "",
		"10.0.0.2:7001/5":                         "old",
		"10.0.0.2:7001/6":                         "new",
		"10.0.0.2:7001":                           "new",
		"10.0.0.3:7001":                           "any",
		"10.0.0.3:7001/77":                        "any",
		"10.0.0.3:7002/77":                        "",
		"any:10.0.0.4:0/9":                        "client",
		"any:10.0.0.4:0/8":                        "",
		"any:10.0.0.4:0":                          "",
		"[fe80::1%3]:7001":                        "local",
		"[fe80::1%4]:7001":                        "",
		"-":                                       "",
	} {
		got, ok := x.Lookup(vec(t, at))
		require.Equal(t, want, got, at)
		require.Equal(t, want != "", ok, at)
	}
}

// TestIndexLeavesOthersAlone: an address belongs to who had it first, and goes with
// who it belongs to.
func TestIndexLeavesOthersAlone(t *testing.T) {
	var x Index[string]
	a, ab := vec(t, "10.0.0.1:1/1"), vec(t, "[v2:10.0.0.1:1/1,v2:10.0.0.2:1/1]")
	x.Put(a, "a")
	x.Put(ab, "ab")
	got, _ := x.Lookup(a)
	require.Equal(t, "a", got)
	x.Remove(ab, "ab")
	got, _ = x.Lookup(ab)
	require.Equal(t, "a", got, "what a had is a's still")
	x.Remove(a, "a")
	require.Zero(t, x.Len())
	_, ok := x.Lookup(vec(t, "10.0.0.1:1"))
	require.False(t, ok)

	// Blank addresses stand for nobody.
	x.Put(AddrVec{{}, {Type: AddrAny}}, "blank")
	require.Zero(t, x.Len())
}
