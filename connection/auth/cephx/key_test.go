package cephx

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// counting is random bytes that are not.
type counting byte

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(*c)
		*c++
	}
	return len(p), nil
}

func testKeys(t testing.TB) []Key {
	t.Helper()
	a, err := NewKey(TypeAES, []byte("0123456789abcdef"))
	require.NoError(t, err)
	b, err := NewKey(TypeAES256K, []byte("0123456789abcdefghijklmnopqrstuv"))
	require.NoError(t, err)
	return []Key{a, b}
}

// TestSeal: what is sealed opens, of all lengths, behind what is there; and not when a
// byte of it is another one, or with another key.
func TestSeal(t *testing.T) {
	for _, k := range testKeys(t) {
		other, err := NewKey(k.Type(), bytes.Repeat([]byte{7}, map[KeyType]int{TypeAES: 16, TypeAES256K: 32}[k.Type()]))
		require.NoError(t, err)
		var random counting
		for n := range 70 {
			plain := bytes.Repeat([]byte{byte(n + 1)}, n)
			sealed, err := k.Seal([]byte("x"), UsageAuthorize, plain, &random)
			require.NoError(t, err)
			require.Equal(t, byte('x'), sealed[0])
			sealed = sealed[1:]
			switch k.Type() {
			case TypeAES:
				require.Equal(t, (9+n)/16*16+16, len(sealed))
			case TypeAES256K:
				require.Equal(t, 16+9+n+24, len(sealed))
			}
			got, err := k.Open([]byte("y"), UsageAuthorize, sealed)
			require.NoError(t, err)
			require.Equal(t, append([]byte("y"), plain...), got, "%v %d", k, n)
			got, err = other.Open([]byte("y"), UsageAuthorize, sealed)
			require.ErrorIs(t, err, ErrOpen)
			require.Equal(t, []byte("y"), got)
			for _, cut := range [][]byte{nil, sealed[:1], sealed[:len(sealed)-1], sealed[:min(len(sealed)-1, 39)]} {
				_, err = k.Open(nil, UsageAuthorize, cut)
				require.ErrorIs(t, err, ErrOpen)
			}
			if k.Type() != TypeAES256K {
				continue
			}
			_, err = k.Open(nil, UsageAuthorizeReply, sealed)
			require.ErrorIs(t, err, ErrOpen, "another usage")
			for i := range sealed {
				sealed[i] ^= 0x10
				_, err = k.Open(nil, UsageAuthorize, sealed)
				require.ErrorIs(t, err, ErrOpen, "byte %d of %d", i, len(sealed))
				sealed[i] ^= 0x10
			}
		}
	}
	k := testKeys(t)[1]
	a, err := k.Seal(nil, 1, nil, strings.NewReader("only 15 bytes.."))
	require.Error(t, err, "too little randomness")
	require.Nil(t, a)
}

// TestAESPadding: a last byte that is no length of a padding.
func TestAESPadding(t *testing.T) {
	k := testKeys(t)[0].(*aesKey)
	for _, last := range []byte{0, 17, 0xff} {
		p := append(appendHeader(nil), bytes.Repeat([]byte{last}, 7+16)...)
		cipher.NewCBCEncrypter(k.block, []byte(aesIV)).CryptBlocks(p, p)
		_, err := k.Open(nil, UsageAuthorize, p)
		require.ErrorIs(t, err, ErrOpen, last)
	}
}

// TestProof compares with real clients' (docs/PROTOCOL.md 9.3); recordings_test.go has more.
func TestProof(t *testing.T) {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = byte(0x41 + i)
	}
	k, err := NewKey(TypeAES256K, secret)
	require.NoError(t, err)
	le := func(s string) uint64 { return le.Uint64(unhex(t, s)) }
	require.Equal(t, le("f55f402054a68d68"), k.Proof(le("8c2d730c32fcc99f"), le("12b704ac185fc6d8")))
}

func TestKeyRefused(t *testing.T) {
	for _, c := range []struct {
		t   KeyType
		len int
	}{{TypeAES, 0}, {TypeAES, 15}, {TypeAES, 32}, {TypeAES256K, 16}, {TypeAES256K, 33}} {
		_, err := NewKey(c.t, make([]byte, c.len))
		require.Error(t, err, "%v of %d", c.t, c.len)
		require.NotErrorIs(t, err, ErrKeyType)
	}
	for _, typ := range []KeyType{0, 3, 0xffff} {
		_, err := NewKey(typ, make([]byte, 16))
		require.ErrorIs(t, err, ErrKeyType)
		require.ErrorContains(t, err, fmt.Sprint(uint16(typ)))
	}
	wire := testKeys(t)[0].Append(nil)
	for n := range wire {
		_, err := ParseKey(base64.StdEncoding.EncodeToString(wire[:n]))
		require.ErrorIs(t, err, denc.ErrShort, n)
	}
	_, err := ParseKey(base64.StdEncoding.EncodeToString(append(wire, 0)))
	require.ErrorIs(t, err, denc.ErrTrailing)
	_, err = ParseKey("AQ=secret")
	require.EqualError(t, err, "cephx: a key that is not base64")
	r := denc.NewReader(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, make([]byte, 0xffff)...))
	require.Nil(t, ConsumeKey(&r))
	require.ErrorIs(t, r.Err(), denc.ErrValue)
}

// TestKeysAreNotPrinted: however one prints a key, or what has one, the secret is not in it.
func TestKeysAreNotPrinted(t *testing.T) {
	for i, k := range testKeys(t) {
		ring, err := ReadKeyring(strings.NewReader("[mon.]\nkey = " +
			base64.StdEncoding.EncodeToString(k.Append(nil)) + "\n"))
		require.NoError(t, err)
		st := ServiceTicket{SessionKey: k}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%U"} {
			for _, v := range []any{k, &k, ring, *ring, st, &st, []Key{k}, TicketInfo{SessionKey: k}} {
				text := fmt.Sprintf(verb, v)
				for _, leak := range []string{
					"0123456789", "efgh", hex.EncodeToString([]byte("0123456789")),
					"[48 49", "0x30, 0x31", "[60 61", "110000 110001",
				} {
					require.NotContains(t, strings.ToLower(text), leak, "%s of %T", verb, v)
				}
			}
		}
		require.Equal(t, "(a key of "+[]string{"aes", "aes256k"}[i]+")", fmt.Sprint(k))
	}
	require.Equal(t, "type 9", KeyType(9).String())
}

const keyringText = `# a comment
[client.admin]
	key = AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIA==
	caps mon = "allow *"
; another one

[mon.]
key="AgAAAAAAAAAAACAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
[osd.0]
	caps = none
`

func TestReadKeyring(t *testing.T) {
	k, err := ReadKeyring(strings.NewReader(keyringText))
	require.NoError(t, err)
	require.Equal(t, []entity.AuthName{{Type: entity.TypeClient, ID: "admin"}, {Type: entity.TypeMon}}, k.Names())
	for name, want := range map[string]KeyType{
		"client.admin": TypeAES, "mon.": TypeAES256K, "mon.a": TypeAES256K, "osd.0": 0, "client.x": 0,
	} {
		n, err := entity.ParseAuthName(name)
		require.NoError(t, err)
		key, ok := k.Key(n)
		require.Equal(t, want != 0, ok, name)
		if ok {
			require.Equal(t, want, key.Type())
		}
	}
	empty, err := ReadKeyring(strings.NewReader(""))
	require.NoError(t, err)
	require.Empty(t, empty.Names())
	_, ok := new(Keyring).Key(entity.AuthName{})
	require.False(t, ok)
}

func TestReadKeyringRefuses(t *testing.T) {
	const key = "AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIA=="
	many := &strings.Builder{}
	for i := range keyringEntitiesMax + 1 {
		fmt.Fprintf(many, "[osd.%d]\nkey = %s\n", i, key)
	}
	for text, want := range map[string]string{
		"key = " + key:             "line 1: an option before the first section",
		"[global]\n":               "line 1: a section that is not the name of an entity",
		"[client.a\n":              "line 1: a section that is not the name of an entity",
		"[client.a]\nkey " + key:   "line 2: neither a section nor an option with its value",
		"[client.a]\n= x\n":        "line 2: neither a section nor an option",
		"[client.a]\nkey\n":        "line 2: neither a section nor an option",
		"\n[client.a]\nkey = @@\n": "line 3: client.a: cephx: a key that is not base64",
		"[client.a]\nkey = AQAA\n": "line 2: client.a: cephx: a key that cannot be read: denc: input too short",
		"[client.a]\nkey = CQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIA==": "line 2: client.a: cephx: unknown type of key: 9",
		"[client.a]\nkey = " + key + "\n[client.a]\nkey=" + key:      "line 4: client.a has a key already",
		"[client.a]\n" + strings.Repeat("x", keyringLineMax+1):       "line 2: bufio.Scanner: token too long",
		many.String(): "more than 10000 entities",
	} {
		_, err := ReadKeyring(strings.NewReader(text))
		require.ErrorIs(t, err, ErrKeyring, "%.40q", text)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), key)
	}
	broken := errors.New("broken")
	_, err := ReadKeyring(&failing{broken})
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
