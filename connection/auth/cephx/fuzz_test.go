package cephx

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// FuzzParse: nothing that is parsed makes it panic, and what is parsed and written again
// is parsed to the same.
func FuzzParse(f *testing.F) {
	for _, file := range []string{
		"testdata/cephx256-crc-radosput-20.0.hex", "testdata/cephx256-crc-radosput-20.1.hex",
		older + "cephx-crc-ping.0.hex",
	} {
		p := readPayloads(f, file, nil)
		for _, b := range [][]byte{p.request, p.challenge, p.more, p.done} {
			f.Add(b)
		}
	}
	k := testKeys(f)[0]
	f.Add(k.Append(nil))
	f.Add(TicketInfo{SessionKey: k}.Append(nil))
	f.Add(ServiceTicket{SessionKey: k}.Append(nil))
	type wire interface{ Append([]byte) []byte }
	parsers := []func(p []byte) (wire, error){
		func(p []byte) (wire, error) { x, err := ParseWho(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseChallenge(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseLoginRequest(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseLoginReply(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseAuthorizer(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseTicketInfo(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseServiceTicket(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseTicketRequest(p); return x, err },
		func(p []byte) (wire, error) { x, err := ParseRotatingSecrets(p); return x, err },
		func(p []byte) (wire, error) { r := denc.NewReader(p); x := ConsumeKey(&r); return x, r.End() },
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, parse := range parsers {
			x, err := parse(p)
			if err != nil {
				continue
			}
			again, err := parse(x.Append(nil))
			require.NoError(t, err)
			require.Equal(t, x.Append(nil), again.Append(nil))
		}
	})
}

// FuzzOpen: nothing that is opened makes it panic, and what opens was sealed.
func FuzzOpen(f *testing.F) {
	keys := testKeys(f)
	for _, k := range keys {
		var random counting
		for _, n := range []int{0, 1, 7, 8, 23, 100} {
			s, err := k.Seal(nil, UsageAuthorize, make([]byte, n), &random)
			require.NoError(f, err)
			f.Add(s, uint32(UsageAuthorize))
		}
	}
	f.Fuzz(func(t *testing.T, sealed []byte, u uint32) {
		for _, k := range keys {
			plain, err := k.Open(nil, Usage(u), sealed)
			if err != nil {
				require.ErrorIs(t, err, ErrOpen)
				continue
			}
			random := counting(0)
			again, err := k.Seal(nil, Usage(u), plain, &random)
			require.NoError(t, err)
			require.Len(t, again, len(sealed))
			if k.Type() == TypeAES {
				require.Equal(t, sealed, again)
			}
		}
	})
}

// FuzzKeyring: no file makes it panic.
func FuzzKeyring(f *testing.F) {
	text, err := os.ReadFile("testdata/keyring.mixed")
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte(keyringText))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ReadKeyring(bytes.NewReader(text))
		if err != nil {
			require.ErrorIs(t, err, ErrKeyring)
			return
		}
		for _, n := range k.Names() {
			key, ok := k.Key(n)
			require.True(t, ok)
			require.NotNil(t, key)
		}
	})
}
