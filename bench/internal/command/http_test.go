package command

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestListenHTTP: a page that is not for this machine alone is asked for by the host that was given.
func TestListenHTTP(t *testing.T) {
	l, hosts, err := ListenHTTP(":0")
	require.NoError(t, err)
	require.Contains(t, l.Addr().String(), "127.0.0.1:")
	require.NoError(t, l.Close())
	require.Nil(t, hosts)
	_, _, err = ListenHTTP("nothing")
	require.ErrorContains(t, err, "--http=nothing: an address such as :8080")
	for host, want := range map[string][]string{
		"127.0.0.1": nil, "::1": nil, "localhost": nil, "0.0.0.0": {"*"}, "::": {"*"},
		"192.0.2.1": {"192.0.2.1"}, "node.example": {"node.example"},
	} {
		require.Equal(t, want, hostsOf(host), host)
	}
}
