//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// idleServerEnv makes this test binary the accepting process of
// BenchmarkIdleConnections.
const idleServerEnv = "ASYNCMSGR_IDLE_SERVER"

// rssKiB is the resident set after a collection.
func rssKiB() int {
	runtime.GC()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
}

// idleServer accepts connections and prints, for every line on its input, how
// many there are and what they cost.
func idleServer() {
	m, err := async.New(async.Config{Name: entity.OSD(0), HandshakesMax: 20000,
		HandshakesMaxPerHost: 20000, ListenBacklog: 4096})
	if err != nil {
		panic(err)
	}
	m.SetDefaultPolicy(msg.StatefulServer())
	m.AddDispatcherTail(fastEcho{})
	if err := m.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		panic(err)
	}
	if err := m.Start(); err != nil {
		panic(err)
	}
	fmt.Println(m.Addrs())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		s := m.Stats()
		fmt.Println(s.Connections-s.Handshakes, rssKiB(), runtime.NumGoroutine())
	}
	_ = m.Shutdown(context.Background())
}

// BenchmarkIdleConnections measures, in a process of its own, what an idle
// accepted lossless connection costs. Every client is a messenger of its own.
func BenchmarkIdleConnections(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				idleConnections(b, n)
			}
		})
	}
}

func idleConnections(b *testing.B, n int) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), idleServerEnv+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	out := bufio.NewScanner(stdout)
	require.True(b, out.Scan())
	addrs, err := entity.ParseAddrVec(out.Text())
	require.NoError(b, err)
	ask := func() (conns, rss, goroutines int) {
		_, err := fmt.Fprintln(stdin)
		require.NoError(b, err)
		require.True(b, out.Scan())
		_, err = fmt.Sscan(out.Text(), &conns, &rss, &goroutines)
		require.NoError(b, err)
		return
	}
	_, rss0, g0 := ask()
	mine0, myG0 := rssKiB(), runtime.NumGoroutine()
	var ms []*async.Messenger
	for i := range n {
		m, err := async.New(async.Config{Name: entity.Client(int64(i))})
		require.NoError(b, err)
		ms = append(ms, m)
		require.NoError(b, m.Start())
		_, err = m.ConnectTo(entity.TypeOSD, addrs)
		require.NoError(b, err)
	}
	var conns, rss, g int
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if conns, rss, g = ask(); conns == n {
			break
		}
		require.True(b, time.Now().Before(deadline), "%d of %d connections", conns, n)
	}
	mine, myG := rssKiB(), runtime.NumGoroutine()
	b.ReportMetric(float64(rss-rss0)/float64(n), "accepting-KiB/conn")
	b.ReportMetric(float64(mine-mine0)/float64(n), "connecting-KiB/messenger+conn")
	b.ReportMetric(float64(g-g0), "accepting-goroutines-more")
	b.ReportMetric(float64(myG-myG0), "connecting-goroutines-more")
	b.ReportMetric(0, "ns/op")
	for _, m := range ms {
		require.NoError(b, m.Shutdown(context.Background()))
	}
	require.NoError(b, stdin.Close())
	require.NoError(b, cmd.Wait())
}

func init() {
	if os.Getenv(idleServerEnv) != "" {
		idleServer()
		os.Exit(0)
	}
}

// BenchmarkMessengers measures what a thousand started and bound messengers cost.
func BenchmarkMessengers(b *testing.B) {
	const n = 1000
	for range b.N {
		first, err := async.New(async.Config{}) // opens the shared stack and pool
		require.NoError(b, err)
		rss, g := rssKiB(), runtime.NumGoroutine()
		ms := []*async.Messenger{first}
		for i := range n {
			m, err := async.New(async.Config{Name: entity.OSD(int64(i))})
			require.NoError(b, err)
			require.NoError(b, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
			require.NoError(b, m.Start())
			ms = append(ms, m)
		}
		b.ReportMetric(float64(rssKiB()-rss)/n, "KiB/messenger")
		b.ReportMetric(float64(runtime.NumGoroutine()-g)/n, "goroutines/messenger")
		for _, m := range ms {
			require.NoError(b, m.Shutdown(context.Background()))
		}
	}
	b.ReportMetric(0, "ns/op")
}
