package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limit is how long a process of a test may take before it is killed: it has hung.
const limit = 2 * time.Minute

// interrupt runs msgr in a process of its own, sends it the signal when it has printed a
// line with that text, on either output, and returns how it ended.
func interrupt(t *testing.T, sig syscall.Signal, at string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := start(t, args...)
	p.waitFor(t, at)
	require.NoError(t, p.cmd.Process.Signal(sig))
	return p.end(t)
}

// process is msgr, or a test's own main, in a process of its own.
type process struct {
	cmd    *exec.Cmd
	lines  chan string // both outputs, as they come
	copied sync.WaitGroup
	out    [2]bytes.Buffer // stdout, stderr; only after copied
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	p := &process{cmd: exec.CommandContext(ctx, exe, args...), lines: make(chan string, 1<<16)}
	// Under the race detector every process would wait for a second at its end.
	p.cmd.Env = append(os.Environ(), mainEnv+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	pipes := make([]io.Reader, 2)
	pipes[0], err = p.cmd.StdoutPipe()
	require.NoError(t, err)
	pipes[1], err = p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	for i, r := range pipes {
		p.copied.Go(func() {
			for lines := bufio.NewReader(r); ; {
				line, err := lines.ReadString('\n')
				p.out[i].WriteString(line)
				select {
				case p.lines <- line:
				default: // nobody waits for so many
				}
				if err != nil {
					return
				}
			}
		})
	}
	go func() {
		p.copied.Wait()
		close(p.lines)
	}()
	return p
}

// waitFor returns when the process has printed a line with that text.
func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	for line := range p.lines {
		if strings.Contains(line, text) {
			return
		}
	}
	t.Fatalf("it ended without %q:\n%s%s", text, &p.out[0], &p.out[1])
}

func (p *process) end(t *testing.T) (code int, stdout, stderr string) {
	t.Helper()
	p.copied.Wait()
	err := p.cmd.Wait()
	if err == nil {
		return 0, p.out[0].String(), p.out[1].String()
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.True(t, exit.Exited(), "%v: %s%s", err, &p.out[0], &p.out[1])
	return exit.ExitCode(), p.out[0].String(), p.out[1].String()
}

// hang is a command of this test that goes on when it is interrupted, as one that
// hangs would.
const hang = "hang-for-test"

func hangOn() {
	ctx, _ := interruptible()
	fmt.Println("begun")
	<-ctx.Done()
	fmt.Println("interrupted:", interrupted(ctx))
	select {}
}

// TestSecondSignal: what hangs after the first signal ends with the second.
func TestSecondSignal(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: exitSIGINT, syscall.SIGTERM: exitSIGTERM} {
		p := start(t, hang)
		p.waitFor(t, "begun")
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
		p.waitFor(t, "interrupted: interrupted by SIGINT")
		require.NoError(t, p.cmd.Process.Signal(sig))
		got, _, stderr := p.end(t)
		require.Equal(t, code, got)
		require.Contains(t, stderr, " again: ended at once\n")
	}
}

// TestChildrenOfBench: a terminal's interrupt reaches them too, and they leave it to their
// parent.
func TestChildrenOfBench(t *testing.T) {
	t.Setenv(childEnv, "1")
	p := start(t, hang)
	p.waitFor(t, "begun")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.waitFor(t, "interrupted: interrupted by SIGTERM")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	code, _, _ := p.end(t)
	require.Equal(t, exitSIGTERM, code)
}

// TestDemoInterrupted: it says so, and whether the promises held until then.
func TestDemoInterrupted(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: exitSIGINT, syscall.SIGTERM: exitSIGTERM} {
		got, stdout, stderr := interrupt(t, sig, "traffic for 1h0m0s", "demo", "--seconds", "3600", "--clients", "2", "--conns", "3",
			"--object-size", "1000")
		require.Equal(t, code, got, "%s%s", stdout, stderr)
		require.Contains(t, stdout, "\nverified  ", "the objects were compared")
		require.Contains(t, stdout, "\ndrained   ", "what was sent arrived")
		lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		require.Regexp(t, `^demo: interrupted, ok so far ops=\d+ .* lost=0 duplicated=0 `, lines[len(lines)-1])
		require.Equal(t, fmt.Sprintf("msgr demo: %v\n", &interruption{sig}), stderr)
	}
}
