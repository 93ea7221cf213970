package command_test

import (
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { commandtest.Main(m, hang) }

// hang is a command that goes on when it is interrupted, as one that hangs would.
func hang([]string, io.Writer, io.Writer) int {
	ctx, _ := command.Interruptible()
	fmt.Println("begun")
	<-ctx.Done()
	fmt.Println("interrupted:", command.Interrupted(ctx))
	select {}
}

// TestSecondSignal: what hangs after the first signal ends with the second.
func TestSecondSignal(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{
		syscall.SIGINT: command.ExitSIGINT, syscall.SIGTERM: command.ExitSIGTERM,
	} {
		p := commandtest.Start(t)
		p.WaitFor(t, "begun")
		require.NoError(t, p.Signal(syscall.SIGINT))
		p.WaitFor(t, "interrupted: interrupted by SIGINT")
		require.NoError(t, p.Signal(sig))
		got, _, stderr := p.End(t)
		require.Equal(t, code, got)
		require.Contains(t, stderr, " again: ended at once\n")
	}
}

// TestChildren: a terminal's interrupt reaches them too, and they leave it to their
// parent.
func TestChildren(t *testing.T) {
	t.Setenv(command.ChildEnv, "1")
	p := commandtest.Start(t)
	p.WaitFor(t, "begun")
	require.NoError(t, p.Signal(syscall.SIGINT))
	require.NoError(t, p.Signal(syscall.SIGTERM))
	p.WaitFor(t, "interrupted: interrupted by SIGTERM")
	require.NoError(t, p.Signal(syscall.SIGTERM))
	code, _, _ := p.End(t)
	require.Equal(t, command.ExitSIGTERM, code)
}
