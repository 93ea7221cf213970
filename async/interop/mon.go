//go:build linux

package interop

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// FSID is the cluster id of every Mon.
const FSID = "11111111-2222-3333-4444-555555555555"

// MonOptions says how StartMon's monitor differs from the usual.
type MonOptions struct {
	// Behind gives the monitor a public address that it does not listen on: it
	// listens on Mon.Bind, and a faultkit.Proxy is expected to listen on Mon.Addr. The
	// detour is needed because a monitor hangs up on a client that names another
	// address than the public one.
	Behind bool
	// Legacy gives the monitor an address of msgr v1 besides, as clusters have it unless told
	// otherwise.
	Legacy bool
	// LegacyOnly gives the monitor an address of msgr v1 alone, Mon.Addr: an old cluster, whose
	// monitors this library cannot talk with.
	LegacyOnly bool
	// Global and Mon are more lines of ceph.conf, for [global] and [mon.a].
	Global, Mon string
	// Keyring is that of the monitor: with an authentication other than NONE it needs
	// the key of "mon.".
	Keyring string
}

// Mon is a ceph-mon named "a", alone in its cluster, without authentication and
// with crc frames, on loopback. Its methods are for the test's goroutine.
type Mon struct {
	// Addr is its public address, which clients dial and name; nonce 0.
	Addr netip.AddrPort
	// Bind is where it listens: Addr, unless MonOptions.Behind.
	Bind netip.AddrPort
	// Legacy is its address of msgr v1, if it has one.
	Legacy netip.AddrPort
	// Conf is the path of the ceph.conf that clients may use.
	Conf string

	daemon daemon
}

// StartMon starts a monitor and waits until it leads its quorum of one (about
// half a second). It is stopped when the test ends; if the test failed, the end
// of its log is printed.
func StartMon(t testing.TB, o MonOptions) *Mon {
	t.Helper()
	Need(t, "ceph-mon", "monmaptool")
	// Not t.TempDir: the path of a unix socket is bounded by 107 bytes.
	dir, err := os.MkdirTemp("", "mon")
	if err != nil {
		t.Fatal(err)
	}
	m := &Mon{Conf: filepath.Join(dir, "ceph.conf"), Addr: FreeAddr(t)}
	m.daemon = daemon{
		t: t, dir: dir, name: "mon.a", args: []string{"ceph-mon", "-c", m.Conf, "-i", "a", "-f"},
		statusCommand: "mon_status", ready: monReady,
	}
	t.Cleanup(func() {
		m.daemon.cleanup()
		if err := os.RemoveAll(dir); err != nil {
			t.Log(err)
		}
	})
	m.Bind = m.Addr
	if o.Behind {
		m.Bind = FreeAddr(t)
		o.Mon += fmt.Sprintf("\npublic_bind_addr = v2:%s\n", m.Bind)
	}
	addrs := fmt.Sprintf("[v2:%s/0]", m.Addr)
	if o.Legacy {
		m.Legacy = FreeAddr(t)
		addrs = fmt.Sprintf("[v2:%s/0,v1:%s/0]", m.Addr, m.Legacy)
		o.Mon += "\nms_bind_msgr1 = true\n"
	}
	if o.LegacyOnly {
		m.Legacy = m.Addr
		addrs = fmt.Sprintf("[v1:%s/0]", m.Addr)
		o.Global += fmt.Sprintf("\nmon_host = %s\nms_bind_msgr1 = true\nms_bind_msgr2 = false\n", addrs)
	}
	for _, sub := range []string{"mon.a", "run", "log", "crash"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"ceph.conf": conf(dir, m.Addr, o), "keyring": o.Keyring} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	monmap := filepath.Join(dir, "monmap")
	m.daemon.run("monmaptool", "--create", "--fsid", FSID, "--addv", "a", addrs,
		"--set-min-mon-release", Release(t), "--enable-all-features", monmap)
	m.daemon.run("ceph-mon", "-c", m.Conf, "-i", "a", "--mkfs", "--monmap", monmap,
		"--keyring", filepath.Join(dir, "keyring"))
	m.Start()
	return m
}

// Start starts a stopped monitor again, with its old store, and waits until it
// is ready.
func (m *Mon) Start() {
	m.daemon.t.Helper()
	m.daemon.start()
}

// Stop ends the monitor with SIGTERM and waits for its end.
func (m *Mon) Stop() { m.daemon.end(syscall.SIGTERM) }

// Kill ends the monitor with SIGKILL and waits for its end: a crash.
func (m *Mon) Kill() { m.daemon.end(syscall.SIGKILL) }

func monReady(status []byte) error {
	var s struct {
		State  string
		Monmap struct{ Epoch int }
	}
	if err := json.Unmarshal(status, &s); err != nil {
		return fmt.Errorf("%w: %q", err, status) // the command is not registered yet
	}
	// A new monitor leads twice: of the seed map, epoch 0, and at once again of
	// its own.
	if s.State != "leader" || s.Monmap.Epoch == 0 {
		return fmt.Errorf("it is %s of monmap epoch %d", s.State, s.Monmap.Epoch)
	}
	return nil
}
