package main

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// parser is that of msgrbench, which runs nothing.
func parser(t *testing.T) *kong.Kong {
	t.Helper()
	p, err := kong.New(new(cli), kong.Name("msgrbench"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}),
		vars())
	require.NoError(t, err)
	return p
}

// TestExamples: the help of each subcommand has examples of it, which msgrbench understands.
func TestExamples(t *testing.T) { commandtest.Examples(t, parser) }

// TestDocumented: msgrbench understands each of its command lines in a page.
func TestDocumented(t *testing.T) {
	lines := commandtest.Documented(t, "../../../..", "msgrbench", "bin/msgrbench",
		"go run ./bench/compare/cmd/msgrbench")
	require.Greater(t, len(lines), 15)
	for _, l := range lines {
		text := strings.TrimPrefix(strings.TrimPrefix(l.Text, "go run ./bench/compare/cmd/"), "bin/")
		args := commandtest.Arguments(text)[1:]
		if err := commandtest.Understood(parser(t), l, args); err != nil {
			t.Errorf("%s: `%s`: %v", l.File, l.Text, err)
		}
	}
}

// TestRPCInterrupted: what was measured until then is printed, as JSON too.
func TestRPCInterrupted(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{
		syscall.SIGINT: command.ExitSIGINT, syscall.SIGTERM: command.ExitSIGTERM,
	} {
		got, stdout, stderr := commandtest.Interrupt(t, sig, " contestants, ", "rpc", "--rounds=1000", "--json")
		require.Equal(t, code, got, stderr)
		require.True(t, strings.HasPrefix(stdout, "["), stdout)
		require.Contains(t, stderr, "msgrbench rpc: interrupted by SIG")
	}
}
