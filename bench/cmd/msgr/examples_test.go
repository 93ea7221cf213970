package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// parser is that of msgr, which runs nothing.
func parser(t *testing.T) *kong.Kong {
	t.Helper()
	p, err := kong.New(new(cli), kong.Name("msgr"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
	require.NoError(t, err)
	return p
}

// leaves are the subcommands that have none below them.
func leaves(t *testing.T) []*kong.Node { return parser(t).Model.Leaves(false) }

// TestExamples: the help of each subcommand has examples of it, which msgr understands.
func TestExamples(t *testing.T) { commandtest.Examples(t, parser) }

// withoutJSON are the subcommands that have no --json, and why.
var withoutJSON = map[string]string{
	"bench": "it runs nothing", "dump": "its answer is JSON", "help": "for people", "completion": "a script",
	"get": "the object itself, whatever that is", "ceph get": "the object itself, whatever that is",
	"node":      "a daemon: its state is msgr status --json",
	"cert init": "writes files", "cert issue": "writes files", "cert renew": "writes files",
}

// TestJSON: each subcommand that prints results can print them for programs.
func TestJSON(t *testing.T) {
	for _, n := range leaves(t) {
		path := strings.TrimPrefix(n.Path(), "msgr ")
		has := false
		for _, f := range n.Flags {
			has = has || f.Name == "json"
		}
		require.Equal(t, withoutJSON[path] == "", has, "msgr %s", path)
	}
	dir := t.TempDir()
	require.Zero(t, run([]string{"cert", "init", "--dir", dir}, io.Discard, io.Discard))
	for _, x := range []struct {
		args string
		has  []string
	}{
		{"version --json", []string{`"protocol": "msgr v2.1"`}},
		{"cert show --json " + dir + "/ca.pem", []string{`"authority": true`, `"valid_now": true`}},
		{"decode --json " + recordings + "none-crc-ping.0.hex",
			[]string{`"from":"C","offset":0,`, `"tag":"HELLO"`, `"text":"frames `}},
	} {
		var out, errs bytes.Buffer
		require.Zero(t, run(strings.Fields(x.args), &out, &errs), errs.String())
		for _, want := range x.has {
			require.Contains(t, out.String(), want, x.args)
		}
		d := json.NewDecoder(&out)
		for d.More() {
			var v any
			require.NoError(t, d.Decode(&v), x.args)
		}
	}
}
