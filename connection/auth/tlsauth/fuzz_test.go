package tlsauth

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzPEM: whatever is in files, they are a pair, and then written and read again the same
// one, or an error of one line that has none of the key.
func FuzzPEM(f *testing.F) {
	ca := newCA(f, "ca")
	cert, key, err := EncodePEM(issue(f, ca, osd3))
	require.NoError(f, err)
	caCert, caKey, err := ca.PEM()
	require.NoError(f, err)
	f.Add(cert, key)
	f.Add(caCert, caKey)
	f.Add(append(cert, caCert...), key)
	f.Add(cert[:len(cert)/2], key[:20])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"),
		[]byte("-----BEGIN EC PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		one := func(err error) {
			if err == nil {
				return
			}
			text := err.Error()
			require.NotContains(t, text, "\n")
			for line := range strings.Lines(string(key)) {
				if line = strings.TrimSpace(line); len(line) >= 32 && !strings.HasPrefix(line, "---") {
					require.NotContains(t, text, line[:32])
					require.NotContains(t, text, hex.EncodeToString([]byte(line[:16])))
				}
			}
		}
		_, err := ParseCertificates(cert)
		one(err)
		_, err = ParseAuthority(cert, key)
		one(err)
		pair, err := ParsePair(cert, key)
		one(err)
		if err != nil {
			return
		}
		cert2, key2, err := EncodePEM(pair)
		require.NoError(t, err)
		again, err := ParsePair(cert2, key2)
		require.NoError(t, err)
		require.Equal(t, pair.Certificate, again.Certificate)
		_, err = Identify(pair.Leaf)
		one(err)
	})
}

// FuzzClient: whatever a server answers, in one step or two, the client does not take it for
// one, and nothing is left of it.
func FuzzClient(f *testing.F) {
	clk, ca := newClock(), newCA(f, "ca")
	client, server := newGivenAuth(f, clk, issue(f, ca, admin), ca), newGivenAuth(f, clk, issue(f, ca, osd3), ca)
	o := script{}.run(client.Client(), server.Server())
	wantDone(f, o, admin, osd3)
	f.Add(o.payloads[1], []byte(nil))
	f.Add(o.payloads[1], o.payloads[1])
	f.Add(o.payloads[0], o.payloads[2])
	f.Add(appendChunk(nil, 0, []byte{2, 0, 0, 1, 0}), appendChunk(nil, 2, []byte{8, 0, 0, 2, 0, 0}))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := client.Client().NewExchange(0, 0)
		defer closeExchange(c)
		_, err := c.Request()
		require.NoError(t, err)
		if _, err = c.More(first); err == nil {
			_, err = c.More(second)
		}
		r, done := c.Done(1, 2, nil)
		require.Error(t, done)
		require.Empty(t, r.SessionKey)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
		}
	})
}
