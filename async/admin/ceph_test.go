//go:build linux

package admin

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/interop"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// ceph runs Debian's ceph against the socket. It dies of a segmentation fault now and then,
// with a real daemon as with us, and is run again.
func ceph(t *testing.T, s *Server, args ...string) (out string, err error) {
	t.Helper()
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		b, err := exec.CommandContext(ctx, "ceph", args...).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(err.Error(), "signal") {
			return string(b), err
		}
	}
	t.Fatal("ceph was killed five times in a row")
	return "", nil
}

// TestCeph: Ceph's own command asks a messenger of ours.
func TestCeph(t *testing.T) {
	interop.Need(t, "ceph")
	srv, cl, c, got := pair(t, func(c *async.Config) { c.AllowFaults = true })
	s := serve(t, Config{Messengers: []*async.Messenger{srv, cl}, Version: "v1"})
	admin := func(args ...string) string {
		t.Helper()
		out, err := ceph(t, s, append([]string{"--admin-daemon", s.Path()}, args...)...)
		require.NoError(t, err, out)
		return out
	}
	parsed := func(args ...string) (v map[string]any) {
		t.Helper()
		out := admin(args...)
		require.NoError(t, json.Unmarshal([]byte(out), &v), out)
		return v
	}
	help := parsed("help")
	for _, name := range []string{"perf dump", "messenger dump", "dispatch dump", "config set"} {
		require.Contains(t, help, name)
	}
	require.Equal(t, "v1", parsed("version")["version"])
	require.EqualValues(t, 1, at(parsed("perf", "dump"), "msgr-osd.0", "received"))
	require.Len(t, parsed("perf", "dump", "msgr-osd.0", "sent")["msgr-osd.0"], 1)
	require.Contains(t, parsed("perf", "schema"), "AsyncMessenger::Worker-0")
	require.Contains(t, parsed("perf", "histogram", "dump")["msgr-osd.0"], "queue_wait_histogram")
	require.Len(t, at(parsed("messenger", "dump", "client.1"), "messengers", 0, "connections"), 2)
	require.Contains(t, parsed("dispatch", "dump"), "osd.0")
	require.Contains(t, at(parsed("config", "set", "ms_dispatch_throttle_bytes", "4096"), "success"), "4096")
	require.Equal(t, "4096", parsed("config", "get", "ms_dispatch_throttle_bytes")["ms_dispatch_throttle_bytes"])
	require.Equal(t, "4096", parsed("config", "show")["ms_dispatch_throttle_bytes"])
	require.EqualValues(t, 4096, cl.Settings().DispatchThrottleBytes)
	parsed("config", "set", "ms_inject_delay_type", "osd", "mon")
	require.Len(t, srv.Faults().Look().DelayTypes, 2)
	require.Contains(t, admin("config", "set", "ms_inject_delay_type", "nobody"), "ERROR: (22)")
	out, err := ceph(t, s, "--admin-daemon", s.Path(), "no", "such", "command")
	require.Error(t, err, out)

	// daemonperf prints a line of numbers each second.
	require.NoError(t, c.Send(&msg.Message{Type: 1000}))
	require.Eventually(t, func() bool { return got.n.Load() == 2 }, patience, patience/1000)
	out, err = ceph(t, s, "daemonperf", s.Path(), "1", "2")
	require.NoError(t, err, out)
	require.Contains(t, out, "AsyncMessenger::Wor")
	require.Contains(t, out, "recv")
	list, err := ceph(t, s, "daemonperf", s.Path(), "list")
	require.NoError(t, err, list)
	require.Contains(t, list, "msgr_recv_messages")
}
