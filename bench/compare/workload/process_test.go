package workload

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHung: a process that hangs is killed, says where it hung, and is not tried
// for ever.
func TestHung(t *testing.T) {
	res, err := Run(context.Background(), Config{
		Contestants: []Contestant{hung, fakes()[0]}, Rounds: 3, Seconds: 0.01, Patience: time.Second,
		Scenarios: []Scenario{{Name: "still", Kind: Idle, Connections: 1}},
	})
	require.NoError(t, err)
	require.Zero(t, res.Rows[0].Rounds)
	require.Contains(t, res.Rows[0].Failed, "not tried again after 2 rounds")
	require.Contains(t, res.Rows[0].Failed, "client: hung")
	require.Contains(t, res.Rows[0].Failed, "workload.hang")
	require.Len(t, res.Samples, 6)
}

// TestChildIgnoresInterrupt: a terminal's interrupt reaches the contestants' processes too,
// and the end of them is their parent's business.
func TestChildIgnoresInterrupt(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	p, _, err := launch(context.Background(), exe, &fakes()[0],
		order{Contestant: "good", Scenario: Scenario{Connections: 1}})
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	_, err = p.ask(askUse)
	require.NoError(t, p.end(err))
}

var hung = Contestant{
	Name:  "hung",
	Serve: func(Options) (Server, error) { return fakeServer{}, nil },
	Dial:  func(string, Options) (Client, error) { hang(); return nil, nil },
}

//go:noinline
func hang() { <-make(chan int) }

func TestGoroutineSummary(t *testing.T) {
	require.Equal(t, "unknown", goroutineSummary("Killed"))
	got := goroutineSummary(`SIGQUIT: quit
PC=0x1 m=0 sigcode=0

goroutine 0 gp=0x1 m=0 mp=0x2 [idle]:
runtime.futex(0x1)
	/go/src/runtime/sys.s:1 +0x1

goroutine 1 gp=0x1 m=nil [chan receive, 3 minutes]:
runtime.gopark(0x1)
	/go/src/runtime/proc.go:1 +0x1
example.org/x.(*T).Wait(0x1)
	/x/x.go:1 +0x1

goroutine 7 [chan receive]:
example.org/x.(*T).Wait(0x1)
	/x/x.go:1 +0x1
created by example.org/x.New in goroutine 1
	/x/x.go:9 +0x1

goroutine 8 [runnable]:
runtime.gopark(0x1)
	/go/src/runtime/proc.go:1 +0x1
`)
	require.Equal(t,
		"2 [chan receive] example.org/x.(*T).Wait; 1 [idle] runtime.futex; 1 [runnable] runtime.gopark", got)
	many := "goroutine 1 [a]:\nx.f()\n\ngoroutine 2 [b]:\nx.f()\n\ngoroutine 1 [c]:\nx.f()\n\n" +
		"goroutine 1 [d]:\nx.f()\n\ngoroutine 1 [e]:\nx.f()\n\n" +
		"goroutine 1 [f]:\nx.f()\n\ngoroutine 1 [g]:\nx.f()\n"
	require.True(t, strings.HasSuffix(goroutineSummary(many), "; and 1 other kinds"))
}

func TestTail(t *testing.T) {
	var x tail
	n, err := x.Write([]byte(strings.Repeat("a", tailMax-1)))
	require.NoError(t, err)
	require.Equal(t, tailMax-1, n)
	_, _ = x.Write([]byte("bc"))
	_, _ = x.Write([]byte(strings.Repeat("d", tailMax-1)))
	_, _ = x.Write([]byte("e"))
	s := x.String()
	require.Len(t, s, 2*tailMax)
	require.Equal(t, "bd", s[tailMax-1:tailMax+1])
	require.True(t, strings.HasSuffix(s, "de"))
}

// TestUsage: what is used is seen.
func TestUsage(t *testing.T) {
	before, err := begin()
	require.NoError(t, err)
	const n = 100_000
	keep := make([]*int, n)
	for i := range keep {
		keep[i] = new(int)
		*keep[i] = i
	}
	after, err := use(false)
	require.NoError(t, err)
	used := after.since(before)
	// The runtime counts a block of memory when the next one is begun.
	require.GreaterOrEqual(t, used.Allocs, int64(n-n/10))
	require.Equal(t, n-1, *keep[n-1])
	require.Positive(t, after.RSS)
	require.GreaterOrEqual(t, after.PeakRSS, after.RSS)
	require.Positive(t, after.Threads)
	require.Positive(t, after.Goroutines)
}
