package simnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/stacktest"
	"github.com/stretchr/testify/require"
)

func TestStack(t *testing.T) {
	for _, test := range []struct {
		name           string
		client, server int // workers; client 0: the server's host
		smooth         bool
	}{
		{"one worker", 0, 1, false},
		{"one host", 0, 3, false},
		{"two hosts", 2, 2, false},
		{"smooth", 2, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			stacktest.Run(t, func(t testing.TB) stacktest.Harness {
				return harness(t, test.client, test.server, test.smooth)
			})
		})
	}
}

func harness(t testing.TB, clients, servers int, smooth bool) stacktest.Harness {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("network seed %d", seed)
		}
	})
	n := New(seed, Config{Smooth: smooth, Asleep: 2})
	six := netip.MustParseAddr("fd00::1")
	server := n.AddHost("server", HostConfig{Workers: servers, Addrs: []netip.Addr{
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.3"), six,
	}})
	client := server
	if clients > 0 {
		client = n.AddHost("client", HostConfig{Workers: clients, Addrs: []netip.Addr{
			netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3").Next(), netip.MustParseAddr("fd00::2"),
		}})
	}
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
	})
	silent := n.AddHost("silent", HostConfig{})
	n.Add("silent", Isolate("silent"))
	return stacktest.Harness{
		Client: client, Server: server,
		Addr:  func() netip.AddrPort { return netip.AddrPortFrom(server.Addr(), 0) },
		Addr6: func() netip.AddrPort { return netip.AddrPortFrom(six, 0) },
		Homes: server.cfg.Addrs,
		Until: func(what string, cond func() bool) {
			t.Helper()
			for idle := 0; !cond(); {
				if n.Step() {
					continue
				}
				// A goroutine may be about to post.
				if idle++; idle == 1<<20 {
					t.Fatal(fmt.Errorf("%s: %w", what, n.RunUntil(cond, time.Hour)))
				}
				runtime.Gosched()
			}
		},
		Notify:       func() {},
		Bytes:        1 << 20,
		Local:        client.cfg.Addrs[1],
		Unreachable:  netip.MustParseAddrPort("192.0.2.1:1"),
		Blackhole:    func() netip.AddrPort { return netip.AddrPortFrom(silent.Addr(), 1) },
		Rest:         func() { require.NoError(t, n.Run(10*time.Microsecond)) },
		OneGoroutine: "that of the network, whose order is the order of all that happens",
		NoGoexit:     "the workers run in the test's goroutine, which is ended then, as it should be",
	}
}
