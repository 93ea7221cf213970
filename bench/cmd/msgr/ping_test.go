//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/interop"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
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
	return serveAt(t, d, "127.0.0.1:0")
}

func serveAt(t *testing.T, d msg.Dispatcher, at string) entity.Addr {
	t.Helper()
	return serveWith(t, d, at, async.Config{Name: entity.Mon(0), FixedNonce: true})
}

func serveWith(t *testing.T, d msg.Dispatcher, at string, cfg async.Config) entity.Addr {
	t.Helper()
	m, err := async.New(cfg)
	require.NoError(t, err)
	m.SetDefaultPolicy(msg.StatelessServer())
	m.AddDispatcherTail(d)
	require.NoError(t, m.Bind(netip.MustParseAddrPort(at)))
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
	require.Equal(t, command.ExitOK, code, stderr.String())
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

func TestPingOverIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here:", err)
	}
	require.NoError(t, l.Close())
	addr := serveAt(t, &interop.MonServer{Status: "{}"}, "[::1]:0")
	var stdout, stderr bytes.Buffer
	require.Equal(t, command.ExitOK,
		run([]string{"ping", "--count=1", addr.String()}, &stdout, &stderr), stderr.String())
	require.Contains(t, stdout.String(), "ping mon v2:[::1]:")
}

func TestPingIsSentAgainAfterACut(t *testing.T) {
	addr := serve(t, &moodyServer{MonServer: &interop.MonServer{Status: "{}"}})
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--count=20", "--interval=0", addr.String()}, &stdout, &stderr)
	require.Equal(t, command.ExitOK, code, stderr.String())
	require.Contains(t, stdout.String(), "20 pings, 20 answers, 9 sessions opened anew")
}

func TestPingOfNobody(t *testing.T) {
	addr := interop.FreeAddr(t)
	var stdout, stderr bytes.Buffer
	args := []string{"ping", "--count=2", "--interval=0", "--timeout=50ms", "v2:" + addr.String() + "/0"}
	code := run(args, &stdout, &stderr)
	require.Equal(t, command.ExitFault, code)
	require.Contains(t, stdout.String(), "connection refused")
	require.Contains(t, stdout.String(), "2 pings, 0 answers")
	require.Equal(t, "msgr ping: 2 of 2 pings were not answered\n", stderr.String())
}

func TestPingUsage(t *testing.T) {
	for _, args := range []string{
		"ping", "ping nonsense", "ping --count=0 v2:127.0.0.1:1/0", "ping --type=king v2:127.0.0.1:1/0",
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, command.ExitUsage, run(strings.Fields(args), &stdout, &stderr), args)
		require.NotEmpty(t, stderr.String())
		require.Empty(t, stdout.String())
	}
}

// objects are the lines of an output as JSON objects.
func objects(t *testing.T, text string) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var o map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &o), line)
		out = append(out, o)
	}
	return out
}

// TestPingJSON: an object for each ping and one at the end, whose fields are those that
// the help names.
func TestPingJSON(t *testing.T) {
	addr := serve(t, &interop.MonServer{Status: "{\n\"state\": \"leader\"\n}"})
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--json", "--count=2", "--interval=0", addr.String()}, &stdout, &stderr)
	require.Equal(t, command.ExitOK, code, stderr.String())
	require.Empty(t, stderr.String())
	lines := objects(t, stdout.String())
	require.Len(t, lines, 3)
	for i, l := range lines[:2] {
		require.Positive(t, l["rtt_ms"])
		delete(l, "rtt_ms")
		want := map[string]any{"event": "ping", "n": float64(i + 1), "ok": true, "from": "mon.0", "bytes": 21.,
			"method": "none", "mode": "crc"}
		if i == 0 {
			want["answer"] = "{\n\"state\": \"leader\"\n}"
		}
		require.Equal(t, want, l)
	}
	sum := lines[2]
	require.LessOrEqual(t, sum["rtt_min_ms"], sum["rtt_avg_ms"])
	require.LessOrEqual(t, sum["rtt_avg_ms"], sum["rtt_max_ms"])
	for _, k := range []string{"rtt_min_ms", "rtt_avg_ms", "rtt_max_ms"} {
		require.Positive(t, sum[k], k)
		delete(sum, k)
	}
	require.Equal(t, map[string]any{
		"event": "summary", "addr": addr.String(), "type": "mon", "pings": 2., "answers": 2., "sessions_reopened": 0.,
	}, sum)
	for _, l := range objects(t, stdout.String()) {
		for name := range l {
			require.Contains(t, pingCmd{}.Help(), `"`+name+`":`)
		}
	}
}

// TestPingJSONErrors: what goes wrong is a field, and the exit codes are as ever.
func TestPingJSONErrors(t *testing.T) {
	addr := "v2:" + interop.FreeAddr(t).String() + "/0"
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--json", "--count=2", "--interval=0", "--timeout=50ms", addr}, &stdout, &stderr)
	require.Equal(t, command.ExitFault, code)
	lines := objects(t, stdout.String())
	require.Len(t, lines, 3)
	for i, l := range lines[:2] {
		require.Equal(t, false, l["ok"])
		require.EqualValues(t, i+1, l["n"])
		require.Contains(t, l["error"], "nothing within 50ms")
		require.Contains(t, l["error"], "connection refused")
		require.NotContains(t, l, "rtt_ms")
	}
	require.Equal(t, map[string]any{
		"event": "summary", "addr": addr, "type": "mon", "pings": 2., "answers": 0., "sessions_reopened": 0.,
		"error": "2 of 2 pings were not answered",
	}, lines[2])

	for _, args := range [][]string{{"nonsense"}, {"--count=0", "v2:127.0.0.1:1/0"}} {
		stdout.Reset()
		require.Equal(t, command.ExitUsage, run(append([]string{"ping", "--json"}, args...), &stdout, &stderr))
		lines := objects(t, stdout.String())
		require.Len(t, lines, 1)
		require.Equal(t, "summary", lines[0]["event"])
		require.NotEmpty(t, lines[0]["error"])
	}
}

// TestPingInterrupted: the statistics are printed, and the ping under way, or to come, is
// not counted.
func TestPingInterrupted(t *testing.T) {
	addr := serve(t, &interop.MonServer{Status: "{}"}).String()
	code, stdout, stderr := commandtest.Interrupt(t, syscall.SIGTERM, "1: 2 bytes",
		"ping", "--count=2", "--interval=1h", addr)
	require.Equal(t, command.ExitSIGTERM, code, stderr)
	require.Regexp(t, `(?m)^interrupted: 1 pings, 1 answers, 0 sessions opened anew; round trip min/avg/max `, stdout)
	require.Equal(t, "msgr ping: interrupted by SIGTERM\n", stderr)

	code, stdout, stderr = commandtest.Interrupt(t, syscall.SIGINT, `"n":1`,
		"ping", "--json", "--count=2", "--interval=1h", addr)
	require.Equal(t, command.ExitSIGINT, code, stderr)
	lines := objects(t, stdout)
	require.Len(t, lines, 2)
	require.Equal(t, true, lines[1]["interrupted"])
	require.EqualValues(t, 1, lines[1]["pings"])
	require.EqualValues(t, 1, lines[1]["answers"])
	require.Equal(t, "interrupted by SIGINT", lines[1]["error"])

	addr = serve(t, deaf{}).String()
	code, stdout, stderr = commandtest.Interrupt(t, syscall.SIGINT, "ping mon", "ping", "--timeout=1h", addr)
	require.Equal(t, command.ExitSIGINT, code, stderr)
	require.Equal(t, "ping mon "+addr+"\ninterrupted: 0 pings, 0 answers, 0 sessions opened anew\n", stdout)
}

// deaf answers nothing.
type deaf struct{}

func (deaf) Dispatch(*msg.Message) bool { return true }

// TestPingOfARealMon cuts the connections to a ceph-mon at many bytes.
func TestPingOfARealMon(t *testing.T) {
	mon := interop.StartMon(t, interop.MonOptions{Behind: true})
	proxy := faultkit.StartProxy(t, mon.Addr, mon.Bind)
	proxy.Plan(func(n int) (up, down int64) { return -1, 2000 + 1777*int64(n) })
	var stdout, stderr bytes.Buffer
	code := run([]string{"ping", "--count=30", "--interval=0", "v2:" + mon.Addr.String() + "/0"}, &stdout, &stderr)
	require.Equal(t, command.ExitOK, code, stdout.String()+stderr.String())
	require.Contains(t, stdout.String(), "30 pings, 30 answers")
	require.Greater(t, proxy.Cuts(), 3)
	t.Log(stdout.String())
}
