package main

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string // what has to be there; "" means nothing at all
	}{
		{[]string{"version"}, exitOK, "msgr v2.1", ""},
		{nil, exitOK, "Usage: msgr <command>", ""},
		{[]string{"--help"}, exitOK, "Commands:", ""},
		{[]string{"version", "--help"}, exitOK, "Usage: msgr version", ""},
		{[]string{"nope"}, exitUsage, "", "msgr: unexpected argument nope"},
		{[]string{"version", "--nope"}, exitUsage, "", "msgr version: unknown flag --nope (see msgr version --help)"},
		{[]string{"help"}, exitOK, "Commands:", ""},
		{[]string{"help", "ping"}, exitOK, "Usage: msgr ping <addr>", ""},
		{[]string{"help", "bench"}, exitOK, "Usage: msgr bench <command>", ""},
		{[]string{"help", "bench", "ceph-perf"}, exitOK, "Usage: msgr bench ceph-perf", ""},
		{[]string{"help", "help"}, exitOK, "Usage: msgr help", ""},
		{[]string{"help", "nope"}, exitUsage, "", "msgr help: there is no subcommand nope; there are demo, bench, decode, sim, ping, version, help"},
		{[]string{"help", "bench", "nope"}, exitUsage, "", "there is no subcommand bench nope; there are compare, ceph-perf"},
		{[]string{"help", "ping", "nope"}, exitUsage, "", "there is no subcommand ping nope; there are demo, "},
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
		require.Equal(t, exitOK, run(args, &stdout, &stderr), args)
		require.Empty(t, stderr.String())
		return stdout.String()
	}
	require.Equal(t, show("--help"), show("help"))
	for _, name := range []string{"demo", "bench", "decode", "sim", "ping", "version", "help"} {
		require.Equal(t, show(name, "--help"), show("help", name))
		require.Contains(t, show("help"), "\n  "+name)
	}
	// The exit codes are written down where all can see them.
	for _, code := range []int{exitOK, exitFault, exitUsage, exitSIGINT, exitSIGTERM} {
		require.Contains(t, show("help"), " "+strconv.Itoa(code))
	}
}

func TestLongFlags(t *testing.T) {
	require.Equal(t, []string{"ping", "--count", "5", "-h", "--interval=1s", "v2:1.2.3.4:3300/0", "-1", "--", "-count"},
		longFlags([]string{"ping", "-count", "5", "-h", "-interval=1s", "v2:1.2.3.4:3300/0", "-1", "--", "-count"}))
}
