//go:build linux && (amd64 || arm64 || loong64)

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// TestNode: a cluster of one node in a process of its own, and all that asks it, until SIGTERM.
func TestNode(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	p := commandtest.Start(t, "node", "--name=osd.1", "--listen="+addr, "--initial=osd.1", "--join="+addr)
	p.WaitFor(t, "osd.1 listens at")
	ask := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(append(args, "--join="+addr, "--timeout=1m"), &out, &errs)
		require.Equal(t, command.ExitOK, code, "%s%s", &out, &errs)
		return out.String()
	}
	require.Regexp(t, `^version \S+\n$`, ask("put", "greeting", "hello"))
	require.Equal(t, "hello", ask("get", "greeting"))
	require.Regexp(t, `"version": "[^"]+"`, ask("put", "greetings", "hi", "--json"))
	require.Equal(t, "greeting\ngreetings\n", ask("ls"))
	var keys []string
	require.NoError(t, json.Unmarshal([]byte(ask("ls", "--json", "greetings")), &keys))
	require.Equal(t, []string{"greetings"}, keys)
	require.Regexp(t, `"key": "greetings"`, ask("del", "--json", "greetings"))
	require.Regexp(t, `^version `, ask("del", "greeting"))
	require.JSONEq(t, "[]", ask("ls", "--json"))
	require.Contains(t, ask("status"), "osd.1")
	require.True(t, json.Valid([]byte(ask("status", "--json"))))

	require.NoError(t, p.Signal(syscall.SIGTERM))
	code, stdout, stderr := p.End(t)
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.Contains(t, stdout, "osd.1 has ended")
}
