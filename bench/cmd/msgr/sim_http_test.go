package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// folder is one as make pages makes it.
func folder(t *testing.T) string {
	dir := t.TempDir()
	for _, file := range []string{"index.html", "playground.wasm", "wasm_exec.js"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o600))
	}
	return dir
}

// The link leads to what the flags ask for, and a signal is how it ends.
func TestSimHTTP(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scenario.txt")
	require.NoError(t, os.WriteFile(file, []byte("seed 5\nnode a\n"), 0o600))
	dir := folder(t)
	for args, want := range map[string]string{
		"":                  "/; end it",
		"-seed 7":           "/#preset=gossip&seed=7; end it",
		"-nodes 12 -seed 7": "/#preset=gossip&nodes=12&seed=7; end it",
		file:                "/#seed=5&s=t.c2VlZCA1Cm5vZGUgYQo; end it",
		"-scenario ring":    "/#preset=ring; end it",
		"-scenario " + file: "/#seed=5&s=t.c2VlZCA1Cm5vZGUgYQo; end it",
		"-seed 18446744073709551615 -scenario " + file: "/#seed=18446744073709551615&s=t." +
			"c2VlZCA1Cm5vZGUgYQo; end it",
	} {
		all := append([]string{"sim", "-http", ":0", "-site", dir}, strings.Fields(args)...)
		code, stdout, stderr := commandtest.Interrupt(t, syscall.SIGINT, "the playground is at", all...)
		require.Equal(t, command.ExitOK, code, stderr)
		require.Contains(t, stdout, "the playground is at http://127.0.0.1:")
		require.Contains(t, stdout, want)
		require.Empty(t, stderr)
	}
}

func TestSimHTTPUsage(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.txt")
	require.NoError(t, os.WriteFile(bad, []byte("node a\nfly a\n"), 0o600))
	for args, want := range map[string]string{
		"-http 8080":                "--http=8080: an address such as :8080",
		"-http :0 -seeds 1-2":       "--seeds is not for --http",
		"-http :0 -faults 3/s":      "--faults is not for --http",
		"-http :0 -chart x":         "--chart is not for --http",
		"-http :0 -scenario storm":  `--scenario=storm: there is no preset "storm"; there are ring`,
		"-http :0 -nodes 51":        "gossip has from 2 to 50 nodes, not 51",
		"-http :0 -scenario " + bad: `bad.txt:2:1: unknown step "fly"`,
		"storm -scenario store":     "storm and --scenario=store: there is one scenario",
		"-site x":                   "--site is for --http",
	} {
		commandtest.WantComplaint(t, run, "msgr", "sim "+args, command.ExitUsage, want)
	}
	commandtest.WantComplaint(t, run, "msgr", "sim -http :0 -site "+t.TempDir(), command.ExitFault,
		"is no folder of make pages")
	commandtest.WantComplaint(t, run, "msgr", "sim -http 192.0.2.1:1 -site "+folder(t), command.ExitFault,
		"192.0.2.1:1")
}
