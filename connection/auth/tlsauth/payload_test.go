package tlsauth

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPayloadLayout(t *testing.T) {
	p := appendChunk(nil, tls.QUICEncryptionLevelInitial, []byte("ab"))
	p = appendChunk(p, tls.QUICEncryptionLevelHandshake, []byte("c"))
	require.Equal(t, []byte{1, 0, 2, 0, 0, 0, 'a', 'b', 2, 1, 0, 0, 0, 'c'}, p)
	chunks, err := parsePayload(p)
	require.NoError(t, err)
	require.Equal(t, []chunk{{0, []byte("ab")}, {2, []byte("c")}}, chunks)
}

func TestPayloadRefused(t *testing.T) {
	full := append([]byte{1, 0, 0xfb - 1, 0xfb, 0, 0}, make([]byte, payloadMax)...)
	for name, c := range map[string]struct {
		p    []byte
		text string
	}{
		"empty":          {nil, "it is empty"},
		"version 0":      {[]byte{0}, "version 0"},
		"version 2":      {[]byte{2, 0, 1, 0, 0, 0, 'a'}, "version 2, this is version 1"},
		"nothing":        {[]byte{1}, "no chunk"},
		"header cut":     {[]byte{1, 0, 1, 0, 0}, "inside the header"},
		"no bytes":       {[]byte{1, 0, 0, 0, 0, 0}, "without bytes"},
		"bytes cut":      {[]byte{1, 0, 2, 0, 0, 0, 'a'}, "a chunk of 2 bytes, of which there are 1"},
		"a long length":  {[]byte{1, 0, 255, 255, 255, 255, 'a'}, "4294967295 bytes"},
		"a signed one":   {[]byte{1, 0, 0, 0, 0, 128, 'a'}, "2147483648 bytes"},
		"early data":     {[]byte{1, 1, 1, 0, 0, 0, 'a'}, "level 1"},
		"level 4":        {[]byte{1, 4, 1, 0, 0, 0, 'a'}, "level 4"},
		"level 255":      {[]byte{1, 255, 1, 0, 0, 0, 'a'}, "level 255"},
		"levels go down": {[]byte{1, 2, 1, 0, 0, 0, 'a', 0, 1, 0, 0, 0, 'a'}, "level Initial after level Handshake"},
		"many chunks": {append([]byte{1}, bytes.Repeat([]byte{0, 1, 0, 0, 0, 'a'}, chunksMax+1)...),
			"more than 4 chunks"},
		"one too large": {full[:payloadMax+1], "64513 bytes, at most 64512"},
	} {
		_, err := parsePayload(c.p)
		var bad *PayloadError
		require.ErrorAs(t, err, &bad, name)
		require.ErrorContains(t, err, c.text, name)
	}
	_, err := parsePayload(full[:payloadMax])
	require.NoError(t, err, "the largest one")
	_, err = parsePayload(append([]byte{1}, bytes.Repeat([]byte{0, 1, 0, 0, 0, 'a'}, chunksMax)...))
	require.NoError(t, err)
}

// TestHandshakeBounded: however a peer spreads them, its bytes are bounded, and an unknown
// length in a message is not believed.
func TestHandshakeBounded(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	cfg := newGivenAuth(t, clk, issue(t, ca, osd3), ca).keys.(*given).creds.serverFor(start)
	h, out, err := startHandshake(tls.QUICServer(&tls.QUICConfig{TLSConfig: cfg}))
	require.NoError(t, err)
	require.Empty(t, out)
	h.received = handshakeMax - 7
	_, err = h.step(appendChunk(nil, 0, []byte("ab")))
	require.ErrorContains(t, err, "131073 bytes in this handshake, at most 131072")
	_, err = h.step(appendChunk(nil, 0, []byte("a")))
	require.Error(t, err, "it is closed")

	h, _, err = startHandshake(tls.QUICServer(&tls.QUICConfig{TLSConfig: cfg}))
	require.NoError(t, err)
	_, err = h.step(appendChunk(nil, 0, []byte{1, 255, 255, 255, 'a'}))
	require.ErrorContains(t, err, "exceeds maximum")
}

// FuzzPayload: what is parsed is in bounds, and written again it is the same.
func FuzzPayload(f *testing.F) {
	f.Add([]byte{1, 0, 2, 0, 0, 0, 'a', 'b', 2, 1, 0, 0, 0, 'c'})
	f.Add([]byte{1, 3, 255, 255, 255, 255})
	f.Add([]byte{1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		chunks, err := parsePayload(p)
		if err != nil {
			return
		}
		require.NotEmpty(t, chunks)
		require.LessOrEqual(t, len(p), payloadMax)
		var again []byte
		for _, c := range chunks {
			require.NotEmpty(t, c.data)
			again = appendChunk(again, c.level, c.data)
		}
		require.Equal(t, p, again)
	})
}
