//go:build linux

package interop

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// ClientConf writes a ceph.conf for real clients of the monitor at addr, real or
// ours, and returns its path.
func ClientConf(t testing.TB, addr netip.AddrPort) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"ceph.conf": clientConf(dir, addr), "keyring": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "ceph.conf")
}

// Ceph runs the ceph command line with a ceph.conf until it ends or ctx does,
// and returns what it printed to stdout and to stderr. The one of Ceph 16.2 dies of a
// segmentation fault in one run of a hundred: 2 of 240 pings of a real monitor, four at
// a time, and 3 of 240 of ours. Then it is run again, up to crashesMax times.
func Ceph(ctx context.Context, t testing.TB, conf string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	Need(t, "ceph")
	for crashes := 0; ; crashes++ {
		stdout, stderr, err = output(exec.CommandContext(ctx, "ceph", append([]string{"-c", conf}, args...)...))
		if crashes == crashesMax || !crashed(err) {
			return stdout, stderr, err
		}
		t.Logf("ceph %v: %v; once more", args, err)
	}
}

const crashesMax = 3

// crashed says whether a process died of a segmentation fault.
func crashed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGSEGV
}

// Python runs a script with Debian's python3, which knows the module rados,
// until it ends or ctx does, and returns what it printed.
func Python(ctx context.Context, t testing.TB, script string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	NeedRados(t)
	return output(exec.CommandContext(ctx, pythonRados, append([]string{"-c", script}, args...)...))
}

func output(c *exec.Cmd) (stdout, stderr string, err error) {
	var out, errs limited
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	return string(out), string(errs), err
}

// limited keeps the first MiB of what is written to it.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	if room := 1<<20 - len(*l); room > 0 {
		*l = append(*l, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
