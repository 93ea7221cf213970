package main

import (
	"bytes"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { commandtest.Main(m, run) }

func TestHelp(t *testing.T) {
	show := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		require.Equal(t, command.ExitOK, run(args, &stdout, &stderr), args)
		require.Empty(t, stderr.String())
		return stdout.String()
	}
	require.Equal(t, show("--help"), show("help"))
	require.Contains(t, show("help"), "Usage: msgrbench <command>")
	for _, name := range []string{"compare", "ceph-perf", "rpc", "workers", "completion", "help"} {
		require.Equal(t, show(name, "--help"), show("help", name))
		require.Contains(t, show("help"), "\n  "+name)
	}
	commandtest.Wants(t, show("compare", "--help"), "Scenarios: ping-pong, ",
		"Contestants: async-fast, ", "threadpipe-batch")
}
