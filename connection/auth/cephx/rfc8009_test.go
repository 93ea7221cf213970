package cephx

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// The examples of RFC 8009, appendix A, for aes256-cts-hmac-sha384-192 and usage 2.

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func rfcKey(t testing.TB) *aes256k {
	k, err := NewKey(TypeAES256K, unhex(t, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52"))
	require.NoError(t, err)
	return k.(*aes256k)
}

func TestRFC8009Keys(t *testing.T) {
	k := rfcKey(t)
	require.Equal(t, unhex(t, "56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49"),
		k.derive(2, labelEncrypt, 32))
	require.Equal(t, unhex(t, "69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F"), k.derive(2, labelIntegrity, 24))
}

func TestRFC8009Encryption(t *testing.T) {
	k := rfcKey(t)
	for _, c := range []struct{ plain, confounder, sealed string }{
		{"", "F764E9FA15C276478B2C7D0C4E5F58E4",
			"41F53FA5BFE7026D91FAF9BE959195A058707273A96A40F0A01960621AC612748B9BBFBE7EB4CE3C"},
		{"000102030405", "B80D3251C1F6471494256FFE712D0B9A",
			"4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9F559C7F664F69EAB7B6092237526EA0D1F61CB20D69D10F2"},
		{"000102030405060708090A0B0C0D0E0F", "53BF8A0D105265D4E276428624CE5E63",
			"BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F6" +
				"8CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266"},
		{"000102030405060708090A0B0C0D0E0F1011121314", "763E65367E864F02F55153C7E3B58AF1",
			"40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2" +
				"B2A602AC86FEF6ECB647D6295FAE077A1FEB517508D2C16B4192E01F62"},
	} {
		plain, want := unhex(t, c.plain), unhex(t, c.sealed)
		got, err := k.seal([]byte("before"), 2, plain, bytes.NewReader(unhex(t, c.confounder)))
		require.NoError(t, err)
		require.Equal(t, append([]byte("before"), want...), got, c.plain)
		back, err := k.open(2, want)
		require.NoError(t, err)
		require.Equal(t, plain, back, c.plain)
	}
}
