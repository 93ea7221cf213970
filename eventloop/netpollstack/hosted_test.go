//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPreferredAddrs(t *testing.T) {
	ips := func(s ...string) (all []netip.Addr) {
		for _, s := range s {
			all = append(all, netip.MustParseAddr(s))
		}
		return all
	}
	var others []interfaceAddr
	for _, ip := range ips("127.0.0.1", "::1", "10.9.9.9") {
		others = append(others, interfaceAddr{ip, true})
	}
	for _, ip := range ips(
		"fe80::1%2", "169.254.1.1", "10.0.0.1", "2001:db8::7", "224.0.0.1", "10.0.0.2", "fe80::1%3",
		"fd00::1", "10.0.0.1",
	) {
		others = append(others, interfaceAddr{ip, false})
	}
	want := ips(
		"10.0.0.2", "fd00::1", "10.0.0.1", "2001:db8::7", "fe80::1%2", "169.254.1.1", "fe80::1%3",
		"127.0.0.1", "::1", "10.9.9.9",
	)
	require.Equal(t, want, preferred(ips("10.0.0.2", "fd00::1"), others))
	require.Empty(t, preferred(nil, nil))
}

func TestAddrOf(t *testing.T) {
	for _, test := range []struct{ of, want string }{
		{"10.0.0.1/8", "10.0.0.1"}, {"fd00::1/64", "fd00::1"},
		{"fe80::1/64", "fe80::1%7"}, {"169.254.1.1/16", "169.254.1.1"},
	} {
		ip, n, err := net.ParseCIDR(test.of)
		require.NoError(t, err)
		n.IP = ip // in 16 bytes
		lo := &net.Interface{Index: 7, Flags: net.FlagLoopback}
		require.Equal(t, interfaceAddr{netip.MustParseAddr(test.want), true}, addrOf(lo, n))
		out := &net.Interface{Index: 7, Flags: net.FlagUp | net.FlagBroadcast}
		require.Equal(t, interfaceAddr{netip.MustParseAddr(test.want), false}, addrOf(out, n))
	}
	require.False(t, addrOf(&net.Interface{}, &net.UnixAddr{}).ip.IsValid())
}

// The way out is asked for without a packet: where there is one, its address is that
// of an interface.
func TestSourceFor(t *testing.T) {
	require.Equal(t, netip.MustParseAddr("127.0.0.1"), sourceFor(netip.MustParseAddrPort("127.9.9.9:9")))
	require.False(t, sourceFor(netip.AddrPort{}).IsValid())
	all, err := openStack(t, Config{Workers: 1}).HostAddrs()
	require.NoError(t, err)
	for _, to := range farAway {
		if a := sourceFor(to); a.IsGlobalUnicast() {
			require.Contains(t, all[:2], a)
		}
	}
}

// An IPv6 zone may be a name or a number, for who listens and for who dials; what is
// reported has numbers.
func TestZones(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	id, ok := s.ZoneID("lo")
	require.True(t, ok)
	require.EqualValues(t, lo.Index, id)
	sa, _, err := toSockaddr(netip.MustParseAddrPort("[fe80::1%lo]:5"))
	require.NoError(t, err)
	require.Equal(t, "[fe80::1%"+strconv.Itoa(lo.Index)+"]:5", fromSockaddr(sa).String())

	all, err := s.HostAddrs()
	require.NoError(t, err)
	for _, ip := range all {
		if !ip.Is6() || ip.Zone() == "" {
			continue
		}
		index, err := strconv.Atoi(ip.Zone())
		require.NoError(t, err)
		itf, err := net.InterfaceByIndex(index)
		require.NoError(t, err)
		for _, zone := range []string{itf.Name, ip.Zone()} {
			at := ip.WithZone(zone)
			remote := make(chan netip.AddrPort, 1)
			l, err := s.Listen(netip.AddrPortFrom(at, 0), eventloop.ListenConfig{}, func(sock eventloop.Socket) {
				remote <- sock.RemoteAddr()
				_ = sock.Close()
			})
			if err != nil {
				t.Skipf("listening on %v: %v", at, err) // not usable yet
			}
			require.Equal(t, ip, l.Addr().Addr())
			h := newIdle()
			do(t, s.Worker(0), func() {
				w := s.Worker(0)
				h.t = w.Dial(netip.AddrPortFrom(at, l.Addr().Port()), eventloop.DialConfig{}, h)
			})
			<-h.connected
			do(t, s.Worker(0), func() {
				assert.Equal(t, l.Addr(), h.t.RemoteAddr())
				assert.Equal(t, ip, h.t.LocalAddr().Addr())
			})
			require.Equal(t, ip, (<-remote).Addr())
			require.NoError(t, l.Close())
		}
		return
	}
	t.Skip("no interface with a link-local IPv6 address")
}
