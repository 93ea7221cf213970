package commandtest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/stretchr/testify/require"
)

// Limit is how long a process of a test may take before it is killed: it has hung.
const Limit = 2 * time.Minute

// Interrupt runs the command in a process of its own, sends it the signal when it has printed a
// line with that text, on either output, and returns how it ended.
func Interrupt(t *testing.T, sig syscall.Signal, at string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := Start(t, args...)
	p.WaitFor(t, at)
	require.NoError(t, p.Signal(sig))
	return p.End(t)
}

// Process is the command, or a test's own main, in a process of its own.
type Process struct {
	cmd    *exec.Cmd
	lines  chan string // both outputs, as they come
	copied sync.WaitGroup
	out    [2]bytes.Buffer // stdout, stderr; only after copied
}

// Start runs the test's binary again, as the command line: see Main.
func Start(t *testing.T, args ...string) *Process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	t.Cleanup(cancel)
	p := &Process{cmd: exec.CommandContext(ctx, exe, args...), lines: make(chan string, 1<<16)}
	// Under the race detector every process would wait for a second at its end.
	p.cmd.Env = append(os.Environ(), command.MainEnv+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
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

// Signal sends the process a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// WaitFor returns when the process has printed a line with that text.
func (p *Process) WaitFor(t *testing.T, text string) {
	t.Helper()
	for line := range p.lines {
		if strings.Contains(line, text) {
			return
		}
	}
	t.Fatalf("it ended without %q:\n%s%s", text, &p.out[0], &p.out[1])
}

// End waits for the end of the process.
func (p *Process) End(t *testing.T) (code int, stdout, stderr string) {
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
