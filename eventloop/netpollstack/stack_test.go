//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/stacktest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// openStack opens a stack for the time of the test.
func openStack(t testing.TB, cfg Config) *stack {
	t.Helper()
	s, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s.(*stack)
}

func TestStack(t *testing.T) {
	for _, test := range []struct {
		name   string
		client int // workers; 0: the server's stack
		server int
		config Config
	}{
		{"one worker", 0, 1, Config{}},
		{"one stack", 0, 3, Config{}},
		{"two stacks", 2, 2, Config{}},
		{"small reads", 0, 2, Config{ReadBuffer: minReadBuffer, ReadBudget: 4 * minReadBuffer}},
	} {
		t.Run(test.name, func(t *testing.T) {
			stacktest.Run(t, func(t testing.TB) stacktest.Harness {
				open := func(workers int) *stack {
					cfg := test.config
					cfg.Workers = workers
					return openStack(t, cfg)
				}
				server := open(test.server)
				client := server
				if test.client > 0 {
					client = open(test.client)
				}
				until, notify := stacktest.RealTime(t)
				h := stacktest.Harness{
					Client: client, Server: server, Until: until, Notify: notify,
					Addr:  func() netip.AddrPort { return loopback },
					Local: netip.MustParseAddr("127.0.0.2"),
					// TCP to a group is refused by the routing code.
					Unreachable: netip.MustParseAddrPort("224.0.0.1:1"),
					Blackhole:   func() netip.AddrPort { return blackhole(t) },
				}
				h.Homes = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
				if haveIPv6() {
					h.Addr6 = func() netip.AddrPort { return netip.MustParseAddrPort("[::1]:0") }
					h.Homes = append(h.Homes, netip.IPv6Loopback())
				}
				return h
			})
		})
	}
}

func haveIPv6() bool {
	fd, err := bindListener(netip.MustParseAddrPort("[::1]:0"), eventloop.ListenConfig{})
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// blackhole returns the address of a listener whose queue is full: the kernel
// drops further SYNs.
func blackhole(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := bindListener(loopback, eventloop.ListenConfig{Backlog: 1})
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	addr := localAddr(fd)
	for range 4 {
		to, family, err := toSockaddr(addr)
		require.NoError(t, err)
		c, err := startConnect(to, family, eventloop.DialConfig{})
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(c) })
	}
	return addr
}
