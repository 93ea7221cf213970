package connection

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// handshaking is a connection that is only counted.
type handshaking struct{ id uint64 }

func (h *handshaking) ID() uint64 { return h.id }
func (h *handshaking) Follow()    {}

// TestHandshakesPerHost: who is one host, and that room is given back once.
func TestHandshakesPerHost(t *testing.T) {
	var r Registry[*handshaking]
	r.Init()
	limits := HandshakeLimits{Max: 5, MaxPerHost: 2}
	var all []*handshaking
	add := func(from string) error {
		c := &handshaking{uint64(len(all))}
		err := r.AddHandshake(c, netip.MustParseAddr(from), limits)
		if err == nil {
			all = append(all, c)
		}
		return err
	}
	require.NoError(t, add("10.0.0.1"))
	require.NoError(t, add("::ffff:10.0.0.1"), "the same")
	require.ErrorIs(t, add("10.0.0.1"), ErrHostHandshakes)
	require.NoError(t, add("2001:db8::1"))
	require.NoError(t, add("2001:db8::f00:1"))
	require.ErrorIs(t, add("2001:db8::2"), ErrHostHandshakes, "a host has a /64")
	require.NoError(t, add("2001:db8:0:1::1"), "another one")
	require.ErrorIs(t, add("10.0.0.2"), ErrHandshakes)
	for range 2 { // ready, and gone: once
		r.Readied(all[0])
	}
	r.Remove(all[0])
	require.NoError(t, add("10.0.0.1"))
	require.ErrorIs(t, add("10.0.0.1"), ErrHandshakes)
	for _, c := range all {
		r.Remove(c)
	}
	_, handshakes, _ := r.Counts()
	require.Zero(t, handshakes)
	require.Empty(t, r.hosts)
	for range 2 { // a stack that does not know where they come from
		require.NoError(t, r.AddHandshake(&handshaking{}, netip.Addr{}, limits))
	}
	require.ErrorIs(t, r.AddHandshake(&handshaking{}, netip.Addr{}, limits), ErrHostHandshakes)
	r.Close()
	require.Error(t, add("10.0.0.3"))
}
