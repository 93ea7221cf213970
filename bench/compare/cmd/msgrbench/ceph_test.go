package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/cephperf"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

func TestCephPerf(t *testing.T) {
	for _, flags := range [][]string{nil, {"-queue"}, {"-threadpipe"}, {"-workers", "1"}} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"ceph-perf", "-jobs", "2", "-window", "4", "-messages", "50"}, flags...)
		require.Equal(t, command.ExitOK, run(args, &stdout, &stderr), "%s%s", &stdout, &stderr)
		commandtest.Wants(t, stdout.String(), "kernel: ", "100 answered, 0 lost", "both ends",
			"us of CPU per message", "Ceph 16.2.15's AsyncMessenger")
		require.Empty(t, stderr.String())
	}
}

// TestCephPerfTwo: server and clients are processes of their own; both ends' CPU is
// known, and the server ends when it is interrupted.
func TestCephPerfTwo(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	server := exec.Command(exe, "ceph-perf", "-serve", "127.0.0.1:0")
	server.Env = append(os.Environ(), command.MainEnv+"=1")
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill() }) // if the test failed before its end
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	_, addr, ok := strings.Cut(lines.Text(), "async-fast server at ")
	require.True(t, ok, lines.Text())

	var stdout, stderr bytes.Buffer
	args := []string{"ceph-perf", "-connect", addr, "-jobs", "2", "-window", "4", "-messages", "50", "-json"}
	require.Equal(t, command.ExitOK, run(args, &stdout, &stderr), "%s%s", &stdout, &stderr)
	var r struct {
		Environment report.Environment
		cephperf.Result
	}
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
	require.Positive(t, r.Environment.Cores)
	require.EqualValues(t, 100, r.Answered)
	require.NotNil(t, r.Client)
	require.NotNil(t, r.ServerEnd)
	require.Positive(t, r.ServerEnd.RSS)

	require.NoError(t, server.Process.Signal(syscall.SIGINT))
	require.True(t, lines.Scan())
	require.Equal(t, "100 requests answered", lines.Text())
	require.NoError(t, server.Wait())

	// Now nobody listens.
	stdout.Reset()
	args = []string{"ceph-perf", "-connect", addr, "-jobs", "1", "-messages", "1", "-patience", "100ms"}
	require.Equal(t, command.ExitFault, run(args, &stdout, &stderr))
	require.Contains(t, stderr.String(), "refused")
}

// TestCephPerfInterrupted: the clients are in the middle of it when the signal comes.
func TestCephPerfInterrupted(t *testing.T) {
	server, err := cephperf.Serve(cephperf.Config{}, netip.MustParseAddrPort("127.0.0.1:0"))
	require.NoError(t, err)
	for _, c := range []struct {
		sig   syscall.Signal
		code  int
		flags []string
	}{{syscall.SIGINT, command.ExitSIGINT, nil}, {syscall.SIGTERM, command.ExitSIGTERM, []string{"-json"}}} {
		before := server.Requests()
		args := []string{"ceph-perf", "-connect", server.Addr().String(), "-jobs", "2", "-messages", "1000000000"}
		p := commandtest.Start(t, append(args, c.flags...)...)
		require.Eventually(t, func() bool { return server.Requests() > before+100 },
			commandtest.Limit, time.Millisecond)
		require.NoError(t, p.Signal(c.sig))
		code, stdout, stderr := p.End(t)
		require.Equal(t, c.code, code, "%s%s", stdout, stderr)
		require.Equal(t, fmt.Sprintf("msgrbench ceph-perf: %v\n", &command.Interruption{Signal: c.sig}), stderr)
		if c.flags == nil {
			require.Regexp(t, `(?m)^interrupted +after \d+ of 2000000000 messages, \d+ more in flight$`, stdout)
			require.Contains(t, stdout, " answered, 0 lost, ")
			continue
		}
		var r cephperf.Result
		require.NoError(t, json.Unmarshal([]byte(stdout), &r))
		require.True(t, r.Interrupted)
		require.Zero(t, r.Lost)
	}
	require.NoError(t, server.Close())
}
