//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/interop"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// moodyServer answers pings but hangs up on every third one instead.
type moodyServer struct {
	*interop.MonServer
	pings atomic.Int64
}

func (s *moodyServer) Dispatch(m *msg.Message) bool {
	if m.Type == msg.TypePing && s.pings.Add(1)%3 == 0 {
		m.Connection().MarkDown()
		return true
	}
	return s.MonServer.Dispatch(m)
}

// serve starts a messenger of ours that answers pings; it returns its address.
func serve(t *testing.T, d msg.Dispatcher) entity.Addr {
	t.Helper()
	m, err := async.New(async.Config{Name: entity.Mon(0), FixedNonce: true})
	require.NoError(t, err)
	m.SetDefaultPolicy(msg.StatelessServer())
	m.AddDispatcherTail(d)
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, m.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, m.Shutdown(ctx))
	})
	return m.Addrs()[0]
}

func TestPingOfOurs(t *testing.T) {
	addr := serve(t, &interop.MonServer{Status: "{\n\"state\": \"leader\"\n}"})
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--count=3", "--interval=0", addr.String()}, &stdout, &stderr)
	require.Equal(t, exitOK, code, stderr.String())
	out := regexp.MustCompile(`\d+\.\d{3} ms`).ReplaceAllString(stdout.String(), "T")
	require.Equal(t, fmt.Sprintf(`ping mon %s
1: 21 bytes from mon.0 in T
   {
   "state": "leader"
   }
2: 21 bytes from mon.0 in T
3: 21 bytes from mon.0 in T
3 pings, 3 answers, 0 sessions opened anew; round trip min/avg/max T / T / T
`, addr), out)
}

func TestPingIsSentAgainAfterACut(t *testing.T) {
	addr := serve(t, &moodyServer{MonServer: &interop.MonServer{Status: "{}"}})
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--count=20", "--interval=0", addr.String()}, &stdout, &stderr)
	require.Equal(t, exitOK, code, stderr.String())
	require.Contains(t, stdout.String(), "20 pings, 20 answers, 9 sessions opened anew")
}

func TestPingOfNobody(t *testing.T) {
	addr := interop.FreeAddr(t)
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--count=2", "--interval=0", "--timeout=50ms", "v2:" + addr.String() + "/0"}, &stdout, &stderr)
	require.Equal(t, exitFault, code)
	require.Contains(t, stdout.String(), "connection refused")
	require.Contains(t, stdout.String(), "2 pings, 0 answers")
	require.Equal(t, "msgr ping: 2 of 2 pings were not answered\n", stderr.String())
}

func TestPingUsage(t *testing.T) {
	for _, args := range []string{"ping", "ping nonsense", "ping --count=0 v2:127.0.0.1:1/0", "ping --type=king v2:127.0.0.1:1/0"} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitUsage, run(strings.Fields(args), &stdout, &stderr), args)
		require.NotEmpty(t, stderr.String())
	}
}

// TestPingOfARealMon cuts the connections to a ceph-mon at many bytes.
func TestPingOfARealMon(t *testing.T) {
	mon := interop.StartMon(t, interop.MonOptions{Behind: true})
	proxy := interop.StartProxy(t, mon.Addr, mon.Bind)
	proxy.Plan(func(n int) (up, down int64) { return -1, 2000 + 1777*int64(n) })
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--count=30", "--interval=0", "v2:" + mon.Addr.String() + "/0"}, &stdout, &stderr)
	require.Equal(t, exitOK, code, stdout.String()+stderr.String())
	require.Contains(t, stdout.String(), "30 pings, 30 answers")
	require.Greater(t, proxy.Cuts(), 3)
	t.Log(stdout.String())
}
