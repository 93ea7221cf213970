//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/interop"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
)

// ceph runs msgr ceph.
func ceph(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{"ceph"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// TestCeph: a real cluster with cephx, by its own ceph.conf and keyring.
func TestCeph(t *testing.T) {
	interop.Need(t, "rados", "ceph")
	mon := interop.StartMon(t, interop.Cephx(t, "secure"))
	interop.StartOSD(t, mon)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, stderr, err := interop.Ceph(ctx, t, mon.Conf, "osd", "pool", "create", "p", "1")
	require.NoError(t, err, stderr)
	in, out := fileOf(t, "hello"), filepath.Join(t.TempDir(), "out")

	code, stdout, stderr := ceph(t, "--conf", mon.Conf, "status")
	require.Equal(t, command.ExitOK, code, stderr)
	require.Contains(t, stdout, interop.FSID)
	require.Contains(t, stdout, "1 osds: 1 up")
	code, stdout, stderr = ceph(t, "--conf", mon.Conf, "osd-map")
	require.Equal(t, command.ExitOK, code, stderr)
	require.Contains(t, stdout, "bytes, of cluster "+interop.FSID)
	require.Contains(t, stdout, "osd.0 up")
	for _, args := range [][]string{{"status", "--json"}, {"osd-map", "--json"}, {"put", "--json", "p", "z", in}} {
		code, stdout, stderr = ceph(t, append([]string{"--conf", mon.Conf}, args...)...)
		require.Equal(t, command.ExitOK, code, stderr)
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(stdout), &v), "%v: %s", args, stdout)
		require.NotEmpty(t, v)
	}

	code, stdout, stderr = ceph(t, "--conf", mon.Conf, "put", "p", "x", in)
	require.Equal(t, command.ExitOK, code, stderr)
	require.Equal(t, "p/x has 5 bytes\n", stdout)
	text, err := exec.CommandContext(ctx, "rados", "-c", mon.Conf, "-p", "p", "get", "x", out).CombinedOutput()
	require.NoError(t, err, string(text))
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	code, stdout, _ = ceph(t, "--conf", mon.Conf, "get", "p", "x")
	require.Equal(t, command.ExitOK, code)
	require.Equal(t, "hello", stdout)
	code, _, _ = ceph(t, "--conf", mon.Conf, "get", "p", "x", out+"2")
	require.Equal(t, command.ExitOK, code)
	got, err = os.ReadFile(out + "2")
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))

	for says, args := range map[string][]string{
		"msgr ceph get: osd: p/y: the OSD answers -2 (no such object)":   {"get", "p", "y"},
		"msgr ceph get: osd: q/y: mon: the monitor answers -2":           {"get", "q", "y"},
		"msgr ceph status: mon: no monitor lets this side in: ":          {"--keyring", fileOf(t, otherKey), "status"},
		"client.admin is not let in":                                     {"--keyring", fileOf(t, otherKey), "status"},
		"demanded modes [crc]; offered methods [cephx], modes [secure]":  {"--mode", "crc", "status"},
		"not within 1ms (--timeout): mon: waited for a session with a m": {"--timeout", "1ms", "status"},
	} {
		code, stdout, stderr := ceph(t, append([]string{"--conf", mon.Conf}, args...)...)
		require.Equal(t, command.ExitFault, code, "%v: %s", args, stdout)
		require.Contains(t, stderr, says)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
}

// TestCephFiles: what is wrong with the files and the flags.
func TestCephFiles(t *testing.T) {
	good := fileOf(t, "[global]\nmon_host = 127.0.0.1:1\nkeyring = /absent/$name\n")
	ring := fileOf(t, "[client.x]\n\tkey = AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIQ==\n")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, command.ExitUsage, `msgr ceph: expected one of "status", "osd-map", "put", "get"`},
		{[]string{"--conf", "/absent/file", "status"}, command.ExitUsage,
			"no such file or directory; give the cluster's ceph.conf by --conf (see msgr ceph status --help)"},
		{[]string{"--conf", fileOf(t, "x\n"), "status"}, command.ExitUsage, "line 1: neither a section nor an option"},
		{[]string{"--conf", fileOf(t, "[global]\n"), "status"}, command.ExitUsage, "conf: mon_host: the file has none"},
		{[]string{"--conf", fileOf(t, "[global]\nmon_host=1.2.3.4:6789"), "status"}, command.ExitUsage,
			"there is no address of msgr v2"},
		{[]string{"--conf", good, "status"}, command.ExitUsage,
			`there is no keyring of client.admin, which might be ["/absent/client.admin"]; give one by --keyring`},
		{[]string{"--conf", good, "--keyring", ring, "status"}, command.ExitUsage,
			"no key for client.admin; it has those of client.x; choose by --name"},
		{[]string{"--conf", good, "--keyring", ring, "--name", "osd.1", "status"}, command.ExitUsage,
			"osd.1 is no client"},
		{[]string{"--conf", good, "--timeout", "0s", "status"}, command.ExitUsage, "--timeout is 0s"},
		{[]string{"--conf", good, "put", "p", "x", "/absent/file"}, command.ExitUsage, "no such file"},
		{[]string{"--conf", good, "put", "p"}, command.ExitUsage, "<object> is missing"},
		{[]string{"--conf", good, "--keyring", ring, "--name", "client.x", "--timeout", "300ms", "status"},
			command.ExitFault, "connection refused"},
	} {
		args := strings.Join(append([]string{"ceph"}, c.args...), " ")
		commandtest.WantComplaint(t, run, "msgr", args, c.code, c.says)
	}
}
