package connection

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// handshaking is a connection that is only counted.
type handshaking struct {
	id     uint64
	closed bool
}

func (h *handshaking) ID() uint64     { return h.id }
func (h *handshaking) IsClosed() bool { return h.closed }
func (h *handshaking) Follow()        {}

// TestClosedIsNone: who has seen that a connection is closed, and asks before it is removed,
// gets another one.
func TestClosedIsNone(t *testing.T) {
	var r Registry[*handshaking]
	r.Init()
	addrs, err := entity.ParseAddrVec("v2:127.0.0.1:6800/1")
	require.NoError(t, err)
	first, second, third := &handshaking{id: 1}, &handshaking{id: 2}, &handshaking{id: 3}
	add := func(c *handshaking) *handshaking {
		existing, err := r.Add(c, addrs, false)
		require.NoError(t, err)
		return existing
	}
	require.Nil(t, add(first))
	require.Same(t, first, add(second))
	require.Same(t, first, r.Wanted(addrs))
	first.closed = true
	require.Nil(t, add(second))
	r.Remove(first) // its own end comes later
	require.Same(t, second, r.Wanted(addrs))
	second.closed = true
	require.Nil(t, r.Wanted(addrs))
	require.Nil(t, add(third))
	require.Same(t, third, r.Lookup(addrs))
}

// TestHandshakesPerHost: who is one host, and that room is given back once.
func TestHandshakesPerHost(t *testing.T) {
	var r Registry[*handshaking]
	r.Init()
	limits := HandshakeLimits{Max: 5, MaxPerHost: 2}
	var all []*handshaking
	add := func(from string) error {
		c := &handshaking{id: uint64(len(all))}
		displaced, err := r.AddHandshake(c, netip.MustParseAddr(from), limits)
		require.Nil(t, displaced)
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
	require.ErrorIs(t, add("2001:db8:0:1::2"), ErrHandshakes)
	for range 2 { // ready, and gone: once
		r.Readied(all[0])
	}
	r.Remove(all[0])
	require.NoError(t, add("10.0.0.1"))
	require.ErrorIs(t, add("10.0.0.1"), ErrHostHandshakes)
	for _, c := range all {
		r.Remove(c)
	}
	_, handshakes, _ := r.Counts()
	require.Zero(t, handshakes)
	require.Empty(t, r.handshakes.of)
	require.Empty(t, r.handshakes.byNumber)
	for range 2 { // a stack that does not know where they come from
		_, err := r.AddHandshake(&handshaking{}, netip.Addr{}, limits)
		require.NoError(t, err)
	}
	_, err := r.AddHandshake(&handshaking{}, netip.Addr{}, limits)
	require.ErrorIs(t, err, ErrHostHandshakes)
	r.Close()
	require.Error(t, add("10.0.0.3"))
}

// TestHandshakesDisplaced: where there is no room, a host with few handshakes takes it from
// the one with the most, the oldest first, until they have about as many.
func TestHandshakesDisplaced(t *testing.T) {
	var r Registry[*handshaking]
	r.Init()
	limits := HandshakeLimits{Max: 6, MaxPerHost: 6}
	var id uint64
	add := func(from string) (*handshaking, *handshaking, error) {
		id++
		c := &handshaking{id: id}
		displaced, err := r.AddHandshake(c, netip.MustParseAddr(from), limits)
		_, n, _ := r.Counts()
		require.LessOrEqual(t, n, limits.Max)
		return c, displaced, err
	}
	var mallory []*handshaking
	for range 6 {
		c, displaced, err := add("10.0.0.66")
		require.NoError(t, err)
		require.Nil(t, displaced)
		mallory = append(mallory, c)
	}
	_, _, err := add("10.0.0.66")
	require.ErrorIs(t, err, ErrHostHandshakes)
	var alice []*handshaking
	for i := range 3 {
		c, displaced, err := add("10.0.0.1")
		require.NoError(t, err)
		if i < 2 || displaced != nil {
			require.Same(t, mallory[i], displaced, "the oldest")
		}
		alice = append(alice, c)
	}
	_, _, err = add("10.0.0.1")
	require.ErrorIs(t, err, ErrHandshakes, "as many as the other: nobody is better")
	_, _, err = add("10.0.0.66")
	require.ErrorIs(t, err, ErrHandshakes)
	_, displaced, err := add("10.0.0.2")
	require.NoError(t, err)
	require.Contains(t, []*handshaking{mallory[3], alice[0]}, displaced)

	r.Remove(mallory[0]) // when its worker has closed it
	r.Readied(alice[2])
	_, displaced, err = add("10.0.0.3")
	require.NoError(t, err)
	require.Nil(t, displaced, "there is room again")
}

// TestHandshakesOfHosts compares with a count by hand, for arbitrary comings and goings.
func TestHandshakesOfHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Registry[*handshaking]
		r.Init()
		limits := HandshakeLimits{
			Max: rapid.IntRange(1, 12).Draw(t, "max"), MaxPerHost: rapid.IntRange(1, 12).Draw(t, "per host"),
		}
		in := map[byte][]*handshaking{} // by host
		total := 0
		drop := func(host byte, i int) {
			in[host] = slices.Delete(slices.Clone(in[host]), i, i+1)
			total--
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			host := byte(rapid.IntRange(1, 5).Draw(t, "host"))
			if n := len(in[host]); n > 0 && rapid.Bool().Draw(t, "leaves") {
				i := rapid.IntRange(0, n-1).Draw(t, "which")
				c := in[host][i]
				drop(host, i)
				r.Readied(c)
				continue
			}
			c := &handshaking{}
			displaced, err := r.AddHandshake(c, netip.AddrFrom4([4]byte{10, 0, 0, host}), limits)
			most := 0
			for _, all := range in {
				most = max(most, len(all))
			}
			switch {
			case len(in[host]) >= limits.MaxPerHost:
				require.ErrorIs(t, err, ErrHostHandshakes)
				continue
			case total < limits.Max:
				require.NoError(t, err)
				require.Nil(t, displaced)
			case most < len(in[host])+2:
				require.ErrorIs(t, err, ErrHandshakes)
				continue
			default:
				require.NoError(t, err)
				found := false
				for h, all := range in {
					if len(all) == most && all[0] == displaced {
						found = true
						drop(h, 0)
						break
					}
				}
				require.True(t, found, "the oldest of a host with the most")
			}
			in[host] = append(in[host], c)
			total++
			_, n, _ := r.Counts()
			require.Equal(t, total, n)
		}
	})
}
