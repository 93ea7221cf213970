package main

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/hostile"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	hostile.RunChild()
	commandtest.Main(m, run)
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string // what has to be there; "" means nothing at all
	}{
		{[]string{"version"}, command.ExitOK, "msgr v2.1", ""},
		{nil, command.ExitOK, "Usage: msgr <command>", ""},
		{[]string{"--help"}, command.ExitOK, "Commands:", ""},
		{[]string{"version", "--help"}, command.ExitOK, "Usage: msgr version", ""},
		{[]string{"nope"}, command.ExitUsage, "", "msgr: unexpected argument nope"},
		{[]string{"version", "--nope"}, command.ExitUsage, "",
			"msgr version: unknown flag --nope (see msgr version --help)"},
		{[]string{"help"}, command.ExitOK, "Commands:", ""},
		{[]string{"help", "ping"}, command.ExitOK, "Usage: msgr ping <addr>", ""},
		{[]string{"help", "bench"}, command.ExitOK, "go run ./bench/compare/cmd/msgrbench", ""},
		{[]string{"help", "help"}, command.ExitOK, "Usage: msgr help", ""},
		{[]string{"help", "nope"}, command.ExitUsage, "",
			"msgr help: there is no subcommand nope; there are demo, bench, decode, hostile, sim, " +
				"sim-merge, ping, dump, top, cert, ceph, node, put, get, del, ls, status, completion, version, help"},
		{[]string{"help", "ping", "nope"}, command.ExitUsage, "", "there is no subcommand ping nope; there are demo, "},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(c.args, &stdout, &stderr); code != c.code {
			t.Errorf("msgr %q: exit code %d, want %d", c.args, code, c.code)
		}
		for _, out := range []struct{ what, got, want string }{
			{"stdout", stdout.String(), c.stdout}, {"stderr", stderr.String(), c.stderr},
		} {
			if (out.want == "") != (out.got == "") || !bytes.Contains([]byte(out.got), []byte(out.want)) {
				t.Errorf("msgr %q: %s is %q, want %q", c.args, out.what, out.got, out.want)
			}
		}
	}
}

// TestHelpIsHelp: help SUBCOMMAND is SUBCOMMAND --help, for each of them.
func TestHelpIsHelp(t *testing.T) {
	show := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		require.Equal(t, command.ExitOK, run(args, &stdout, &stderr), args)
		require.Empty(t, stderr.String())
		return stdout.String()
	}
	require.Equal(t, show("--help"), show("help"))
	for _, name := range []string{"demo", "bench", "decode", "hostile", "sim", "ping", "dump", "top", "cert",
		"node", "put", "get", "del", "ls", "status", "completion", "version", "help"} {
		require.Equal(t, show(name, "--help"), show("help", name))
		require.Contains(t, show("help"), "\n  "+name)
	}
	for _, name := range []string{"init", "issue", "show", "renew"} {
		require.Equal(t, show("cert", name, "--help"), show("help", "cert", name))
		require.Contains(t, show("help", "cert"), "\n  cert "+name)
	}
	page, err := os.ReadFile("../../../docs/OPERATING.md")
	require.NoError(t, err)
	// The exit codes are written down where all can see them.
	for _, code := range []int{
		command.ExitOK, command.ExitFault, command.ExitUsage, command.ExitSIGINT, command.ExitSIGTERM,
	} {
		require.Contains(t, show("help"), " "+strconv.Itoa(code))
		require.Contains(t, string(page), "\n| "+strconv.Itoa(code)+" | ")
	}
}
