//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mainEnv makes the test binary a node.
const mainEnv = "ASYNCMSGR_TEST_NODE"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// limit is how long a process may take before it is killed: it hangs.
const limit = time.Minute

// process is a node in a process of its own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	more chan struct{} // a line has come, or the output has ended

	mu    sync.Mutex
	lines []string
	over  bool
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	p := &process{t: t, cmd: exec.CommandContext(ctx, exe, args...), more: make(chan struct{}, 1)}
	p.cmd.Env = append(os.Environ(), mainEnv+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w // the log goes to stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(r); s.Scan(); {
			p.add(s.Text(), false)
		}
		p.add("", true)
	}()
	go func() {
		_ = p.cmd.Wait()
		w.Close()
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return p
}

func (p *process) add(line string, over bool) {
	p.mu.Lock()
	if p.over = over; !over {
		p.lines = append(p.lines, line)
	}
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// until waits until done is true of the lines, and returns them.
func (p *process) until(what string, done func(lines []string, over bool) bool) []string {
	p.t.Helper()
	for {
		p.mu.Lock()
		lines, over := p.lines, p.over
		p.mu.Unlock()
		if done(lines, over) {
			return lines
		}
		if over {
			p.t.Fatalf("it ended without %s:\n%s", what, strings.Join(lines, "\n"))
		}
		<-p.more
	}
}

// says waits for a line with that text, and returns it.
func (p *process) says(text string) (found string) {
	p.t.Helper()
	p.until(strconv.Quote(text), func(lines []string, _ bool) bool {
		for _, l := range lines {
			if strings.Contains(l, text) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// end has the process end by SIGTERM and returns its exit code and what it said.
func (p *process) end() (code int, lines []string) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	lines = p.until("", func(_ []string, over bool) bool { return over })
	return p.cmd.ProcessState.ExitCode(), lines
}

// heard are the numbers of the lines that a node says it got.
func heard(lines []string) (all []int) {
	for _, l := range lines {
		if m := regexp.MustCompile(`^osd\.\d+ says line (\d+)$`).FindStringSubmatch(l); m != nil {
			n, _ := strconv.Atoi(m[1])
			all = append(all, n)
		}
	}
	return all
}

// lastOf is the number of the last line that a node that ends has sent.
func lastOf(t *testing.T, lines []string) int {
	for _, l := range lines {
		var n int
		if _, err := fmt.Sscanf(l, "ending after line %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("it does not say how it ends:\n%s", strings.Join(lines, "\n"))
	return 0
}

func requireConsecutive(t *testing.T, from int, all []int) {
	t.Helper()
	require.NotEmpty(t, all)
	for i, n := range all {
		require.Equal(t, from+i, n, "%v", all)
	}
}

// ports are free ones.
func ports(t *testing.T, n int) (all []string) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// TestNodes: one node is started later than the other one, killed, started anew, and
// outlived. What was sent before a node is told to end is delivered.
func TestNodes(t *testing.T) {
	at := ports(t, 2)
	first := func() *process { return start(t, "-every=20ms", "-listen", at[0], "-peer", at[1], "-grace=40s") }
	second := func() *process { return start(t, "-every=20ms", "-listen", at[1], "-peer", at[0], "-grace=40s") }
	a := first()
	a.says("listens at " + at[0])
	a.says("cannot connect")
	b := second()
	b.says("says line 20")
	a.says("says line 20")
	requireConsecutive(t, 1, heard(a.until("", func([]string, bool) bool { return true })))

	require.NoError(t, b.cmd.Process.Kill())
	before := b.until("", func(_ []string, over bool) bool { return over })
	requireConsecutive(t, 1, heard(before)) // what waited for it while it was away too
	b = second()
	a.until("a second beginning", func(lines []string, _ bool) bool {
		n := 0
		for _, l := range lines {
			if strings.HasSuffix(l, "says line 1") {
				n++
			}
		}
		return n == 2
	})
	b.until("lines", func(lines []string, _ bool) bool { return len(heard(lines)) >= 5 })

	code, lines := a.end()
	require.Zero(t, code, "%s", strings.Join(lines, "\n"))
	last := lastOf(t, lines)
	b.says(fmt.Sprintf("says line %d", last))
	got := heard(b.until("", func([]string, bool) bool { return true }))
	requireConsecutive(t, got[0], got)
	require.Equal(t, last, got[len(got)-1])

	// What was for the process that was killed, and did not arrive, is told of line by
	// line: nothing is lost silently. (It may have been killed between the receipt of a
	// line and the print.)
	told := map[int]bool{}
	for _, l := range lines {
		var n int
		if _, err := fmt.Sscanf(l, "line %d for osd.", &n); err == nil {
			require.Contains(t, l, "session reset by peer")
			told[n] = true
		}
	}
	var silent []int
	for n := heard(before)[len(heard(before))-1] + 1; n < got[0]; n++ {
		if !told[n] {
			silent = append(silent, n)
		}
	}
	require.LessOrEqual(t, len(silent), 1, "%v have neither arrived nor are they told of:\n%s", silent,
		strings.Join(lines, "\n"))
}

// TestEndWaitsForPeer: what was sent before a node is told to end is delivered, though its
// peer comes only after that.
func TestEndWaitsForPeer(t *testing.T) {
	at := ports(t, 2)
	a := start(t, "-every=10ms", "-listen", at[0], "-peer", at[1], "-grace=40s")
	a.says("cannot connect")
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGTERM))
	a.says("ending after line")
	b := start(t, "-every=1h", "-listen", at[1], "-peer", at[0], "-grace=100ms")
	lines := a.until("", func(_ []string, over bool) bool { return over })
	require.Zero(t, a.cmd.ProcessState.ExitCode(), "%s", strings.Join(lines, "\n"))
	last := lastOf(t, lines)
	b.says(fmt.Sprintf("says line %d", last))
	got := heard(b.until("", func([]string, bool) bool { return true }))
	requireConsecutive(t, 1, got)
	require.Len(t, got, last)
}

// TestEndWithoutPeer: a peer that is away keeps a node that ends for as long as it was
// allowed to take, and what it was to get is named.
func TestEndWithoutPeer(t *testing.T) {
	at := ports(t, 2)
	a := start(t, "-every=1h", "-listen", at[0], "-peer", at[1], "-grace=100ms")
	a.says("cannot connect")
	code, lines := a.end()
	require.Equal(t, 1, code)
	require.Equal(t, 1, lastOf(t, lines))
	require.Equal(t, "line 1 for osd.? is not delivered: msgr: messenger shut down", lines[len(lines)-2])
	require.Contains(t, lines[len(lines)-1],
		"node: msgr: 1 of 1 connections still hold messages that were sent: context deadline exceeded")
}

// TestUsage: what is not understood is said, and what is asked is shown.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ arg, says string }{
		{"-peer=localhost", `invalid value "localhost" for flag -peer`},
		{"-listen=7001", `invalid value "7001" for flag -listen`},
	} {
		var out strings.Builder
		require.ErrorContains(t, run(t.Context(), []string{c.arg}, &out), c.says)
	}
}
