package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestResolve: names with addresses of either family, and which of several is taken.
func TestResolve(t *testing.T) {
	hosts := map[string][]netip.Addr{
		"four":  {netip.MustParseAddr("10.0.0.1")},
		"six":   {netip.MustParseAddr("fd00::1")},
		"both":  {netip.MustParseAddr("fd00::1"), netip.MustParseAddr("10.0.0.1")},
		"other": {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")},
		// As a resolver may return IPv4 addresses.
		"mapped": {netip.MustParseAddr("::ffff:10.0.0.2")},
		"none":   {},
	}
	for _, c := range []struct{ in, open, want string }{
		{"10.0.0.1:3300", "", "v2:10.0.0.1:3300"},
		{"v2:[fd00::1]:3300/7", "", "v2:[fd00::1]:3300/7"},
		{"v2:four:3300/0", "", "v2:10.0.0.1:3300/0"},
		{"six:3300/9", "", "v2:[fd00::1]:3300/9"},
		{"mapped:1", "", "v2:10.0.0.2:1"},
		{"both:3300", "[fd00::1]:3300 10.0.0.1:3300", "v2:[fd00::1]:3300"},
		{"both:3300", "10.0.0.1:3300", "v2:10.0.0.1:3300"},
		{"other:3300", "[fd00::1]:3300 10.0.0.1:3300", "v2:10.0.0.1:3300"},
		{"other:3300", "[fd00::1]:3300", "v2:[fd00::1]:3300"},
		{"both:3300", "", "v2:[fd00::1]:3300"},
	} {
		asked := 0
		r := resolver{
			lookup: func(_ context.Context, host string) ([]netip.Addr, error) { return hosts[host], nil },
			takes: func(ctx context.Context, at netip.AddrPort) bool {
				asked++
				_, bounded := ctx.Deadline()
				require.True(t, bounded)
				return slices.Contains(strings.Fields(c.open), at.String())
			},
		}
		a, err := r.resolve(context.Background(), c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, a.String(), "%s, open: %s", c.in, c.open)
		if c.in[0] != 'b' && c.in[0] != 'o' {
			require.Zero(t, asked, "%s has one address: there is no choice", c.in)
		}
	}
}

// TestSystemResolver: it asks for both families, and sees who listens.
func TestSystemResolver(t *testing.T) {
	for _, literal := range []string{"127.0.0.1", "::1"} { // which need no server to be resolved
		ips, err := systemResolver.lookup(context.Background(), literal)
		require.NoError(t, err)
		require.Len(t, ips, 1)
		require.Equal(t, literal, ips[0].Unmap().String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := l.Addr().(*net.TCPAddr).AddrPort()
	require.True(t, systemResolver.takes(context.Background(), at))
	require.NoError(t, l.Close())
	require.False(t, systemResolver.takes(context.Background(), at))
}

func TestResolveRefuses(t *testing.T) {
	r := resolver{
		lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "none" {
				return nil, nil
			}
			return nil, errors.New("lookup " + host + ": no such host")
		},
	}
	for in, want := range map[string]string{
		"":                   "such as v2:127.0.0.1:3300/0",
		"host":               "such as v2:127.0.0.1:3300/0",
		":3300":              "such as v2:127.0.0.1:3300/0",
		"::1:3300":           "or v2:[::1]:3300/0",
		"-":                  "give that, such as v2:HOST:3300/0",
		"v1:127.0.0.1:1/0":   "is no address of msgr v2",
		"v2:127.0.0.1:0/0":   "has no port",
		"host:port":          `port "port" is no number`,
		"host:3300/x":        `nonce "x" is no number`,
		"host:3300":          "no such host; give the address instead of the name",
		"none:3300":          "none has no address",
		"v2:127.0.0.1:99999": `port "99999" is no number`,
	} {
		_, err := r.resolve(context.Background(), in)
		require.ErrorContains(t, err, want, in)
	}
}
