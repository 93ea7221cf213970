package tlsauth

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

func refusalOf(err error) *auth.RefusedError {
	var r *auth.RefusedError
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// TestHandshake: both sides finish with the same keys and each other's names, in three
// payloads and an empty one, and no two handshakes have the same keys.
func TestHandshake(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	client, server := newGivenAuth(t, clk, issue(t, ca, admin), ca), newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	require.Equal(t, admin, client.Name())
	s := script{clientType: entity.TypeClient, serverType: entity.TypeOSD}
	first := s.run(client.Client(), server.Server())
	wantDone(t, first, admin, osd3)
	for _, r := range []auth.Result{first.client, first.server} {
		export := func(label string, n int) []byte {
			b, err := r.Proof.(*tls.ConnectionState).ExportKeyingMaterial(label, nil, n)
			require.NoError(t, err)
			return b
		}
		require.Equal(t, export("EXPORTER-asyncmsgr-1-connection-secret", 64), r.ConnectionSecret)
		require.Equal(t, export("EXPORTER-asyncmsgr-1-session-key", 32), r.SessionKey)
	}
	total := 0
	for i, p := range first.payloads {
		t.Logf("payload %d: %d bytes", i, len(p))
		total += len(p)
	}
	t.Logf("in all %d bytes", total)
	require.Len(t, first.payloads, 4)
	require.Empty(t, first.payloads[3])
	second := s.run(client.Client(), server.Server())
	wantDone(t, second, admin, osd3)
	require.NotEqual(t, first.client.ConnectionSecret, second.client.ConnectionSecret)

	// The other way round, and with oneself.
	wantDone(t, script{clientType: entity.TypeOSD, serverType: entity.TypeClient}.run(server.Client(), client.Server()),
		osd3, admin)
	wantDone(t, script{}.run(server.Client(), server.Server()), osd3, osd3)
}
