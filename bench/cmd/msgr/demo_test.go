package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

func TestDemo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"demo", "--seconds", "0.3", "--clients", "2", "--conns", "3", "--object-size", "1000",
		"--cut-rate", "50", "--seed", "1"}
	if code := run(args, &stdout, &stderr); code != command.ExitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "demo: ok ops=") {
		t.Errorf("last line %q", last)
	}
	if strings.ContainsAny(stdout.String(), "\r\x1b") {
		t.Error("progress, and stdout is no terminal")
	}

	stdout.Reset()
	if code := run(append(args, "--secure"), &stdout, &stderr); code != command.ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	require.Contains(t, stdout.String(), " sessions, secure mode, seed 1: traffic ")
	require.Regexp(t, `\ndemo: ok ops=\d+ .* lost=0 .* mode=secure handshakes=\d+\n$`, stdout.String())

	stdout.Reset()
	if code := run(append(args, "--json", "--sizes", "1,2,3"), &stdout, &stderr); code != command.ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	var r struct {
		OK   bool
		Seed uint64
		Ops  uint64
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || !r.OK || r.Seed != 1 || r.Ops == 0 {
		t.Errorf("%v: %s", err, &stdout)
	}
}

func TestDemoUsage(t *testing.T) {
	for _, args := range []string{
		"--seconds=0", "--osds=-1", "--osds=65", "--cut-rate=-1", "--sizes=0", "--clients=20000", "--clients=0",
		"--http-every=0s", "--http=nothing",
	} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{"demo", args}, &stdout, &stderr); code != command.ExitUsage || stdout.Len() > 0 {
			t.Errorf("msgr demo %s: exit code %d, %s%s", args, code, &stdout, &stderr)
		}
	}
}

// TestDemoInterrupted: it says so, and whether the promises held until then.
func TestDemoInterrupted(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{
		syscall.SIGINT: command.ExitSIGINT, syscall.SIGTERM: command.ExitSIGTERM,
	} {
		got, stdout, stderr := commandtest.Interrupt(t, sig, "traffic for 1h0m0s", "demo",
			"--seconds", "3600", "--clients", "2", "--conns", "3", "--object-size", "1000")
		require.Equal(t, code, got, "%s%s", stdout, stderr)
		require.Contains(t, stdout, "\nverified  ", "the objects were compared")
		require.Contains(t, stdout, "\ndrained   ", "what was sent arrived")
		lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		require.Regexp(t, `^demo: interrupted, ok so far ops=\d+ .* lost=0 duplicated=0 `, lines[len(lines)-1])
		require.Equal(t, fmt.Sprintf("msgr demo: %v\n", &command.Interruption{Signal: sig}), stderr)
	}
}

// TestDemoHTTP: it says where its page is, which is there, and runs until it is interrupted.
func TestDemoHTTP(t *testing.T) {
	got, stdout, stderr := commandtest.Interrupt(t, syscall.SIGINT, "end it with Ctrl-C", "demo", "-http", ":0",
		"--conns", "3")
	require.Equal(t, command.ExitSIGINT, got, "%s%s", stdout, stderr)
	require.Regexp(t, `3 clients \(0 busy\).* traffic for 277h`, stdout)
	require.Regexp(t, `the page is at http://127\.0\.0\.1:\d+/; end it`, stdout)
	require.Contains(t, stdout, "demo: interrupted, ok so far")
}

// TestNodeHTTP: a node says where its page is.
func TestNodeHTTP(t *testing.T) {
	_, stdout, stderr := commandtest.Interrupt(t, syscall.SIGTERM, "its page is at http://127.0.0.1:", "node", "--name",
		"osd.1", "--listen", "127.0.0.1:0", "--initial", "osd.1", "--stay", "--quiet", "-http", ":0")
	require.Contains(t, stdout, "osd.1 listens at ", "%s", stderr)
}
