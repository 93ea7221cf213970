package interop

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// FSID is the cluster id of every Mon.
const FSID = "11111111-2222-3333-4444-555555555555"

// How long a daemon has to become ready and to stop, at most.
const (
	readyMax = 20 * time.Second
	stopMax  = 10 * time.Second
)

// MonOptions says how StartMon's monitor differs from the usual.
type MonOptions struct {
	// Behind gives the monitor a public address that it does not listen on: it
	// listens on Mon.Bind, and a Proxy is expected to listen on Mon.Addr. The
	// detour is needed because a monitor hangs up on a client that names another
	// address than the public one.
	Behind bool
	// Global and Mon are more lines of ceph.conf, for [global] and [mon.a].
	Global, Mon string
}

// Mon is a ceph-mon named "a", alone in its cluster, without authentication and
// with crc frames, on loopback. Its methods are for the test's goroutine.
type Mon struct {
	// Addr is its public address, which clients dial and name; nonce 0.
	Addr netip.AddrPort
	// Bind is where it listens: Addr, unless MonOptions.Behind.
	Bind netip.AddrPort
	// Conf is the path of the ceph.conf that clients may use.
	Conf string

	t    testing.TB
	dir  string
	proc *exec.Cmd
	done chan struct{} // closed when proc has ended
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
	m := &Mon{t: t, dir: dir, Conf: filepath.Join(dir, "ceph.conf"), Addr: FreeAddr(t)}
	t.Cleanup(m.cleanup)
	m.Bind = m.Addr
	if o.Behind {
		m.Bind = FreeAddr(t)
		o.Mon += fmt.Sprintf("\npublic_bind_addr = v2:%s\n", m.Bind)
	}
	for _, sub := range []string{"mon.a", "run", "log", "crash"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write("ceph.conf", conf(dir, m.Addr, o))
	m.write("keyring", "")
	m.run("monmaptool", "--create", "--fsid", FSID, "--addv", "a", fmt.Sprintf("[v2:%s/0]", m.Addr),
		"--set-min-mon-release", "pacific", "--enable-all-features", filepath.Join(dir, "monmap"))
	m.run("ceph-mon", "-c", m.Conf, "-i", "a", "--mkfs", "--monmap", filepath.Join(dir, "monmap"))
	m.Start()
	return m
}

// Start starts a stopped monitor again, with its old store, and waits until it
// is ready.
func (m *Mon) Start() {
	m.t.Helper()
	if m.proc != nil {
		m.t.Fatal("the mon runs already")
	}
	out, err := os.OpenFile(filepath.Join(m.dir, "log", "mon.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		m.t.Fatal(err)
	}
	defer out.Close()
	proc := exec.Command("ceph-mon", "-c", m.Conf, "-i", "a", "-f")
	proc.Stdout, proc.Stderr = out, out
	proc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no mon outlives the tests
	if err := proc.Start(); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = proc.Wait() // how it ended is in the log
	}()
	m.proc, m.done = proc, done
	if err := m.waitReady(); err != nil {
		m.t.Fatalf("ceph-mon: %v", err)
	}
}

// Stop ends the monitor with SIGTERM and waits for its end.
func (m *Mon) Stop() { m.end(syscall.SIGTERM) }

// Kill ends the monitor with SIGKILL and waits for its end: a crash.
func (m *Mon) Kill() { m.end(syscall.SIGKILL) }

// end sends the signal and waits; a mon that does not stop in time is killed.
func (m *Mon) end(sig syscall.Signal) {
	if m.proc == nil {
		return
	}
	_ = m.proc.Process.Signal(sig) // an error means that it has ended
	select {
	case <-m.done:
	case <-time.After(stopMax):
		_ = m.proc.Process.Kill()
		<-m.done
	}
	m.proc, m.done = nil, nil
}

func (m *Mon) cleanup() {
	m.end(syscall.SIGKILL) // faster than SIGTERM, and the store is thrown away
	if m.t.Failed() {
		for _, name := range []string{"mon.out", "mon.a.log"} {
			m.t.Logf("the end of %s:\n%s", name, tail(filepath.Join(m.dir, "log", name), 3000))
		}
	}
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Log(err)
	}
}

// waitReady polls the admin socket until the monitor leads.
func (m *Mon) waitReady() error {
	socket := filepath.Join(m.dir, "run", "ceph-mon.a.asok")
	deadline := time.After(readyMax)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-m.done:
			return errors.New("ended at its start")
		case <-deadline:
			return fmt.Errorf("not ready after %v: %w", readyMax, last)
		case <-tick.C:
		}
		reply, err := AdminCommand(socket, "mon_status")
		if err != nil {
			last = err
			continue
		}
		var status struct {
			State  string
			Monmap struct{ Epoch int }
		}
		if err := json.Unmarshal(reply, &status); err != nil {
			last = fmt.Errorf("%w: %q", err, reply) // the command is not registered yet
			continue
		}
		// A new monitor leads twice: of the seed map, epoch 0, and at once again of
		// its own.
		if status.State == "leader" && status.Monmap.Epoch > 0 {
			return nil
		}
		last = fmt.Errorf("it is %s of monmap epoch %d", status.State, status.Monmap.Epoch)
	}
}

// AdminCommand asks a daemon something through its admin socket.
func AdminCommand(socket, prefix string) ([]byte, error) {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "{\"prefix\":%q}\x00", prefix); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(c, int64(binary.BigEndian.Uint32(size[:]))))
}

func (m *Mon) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run runs a program that has to succeed.
func (m *Mon) run(name string, args ...string) {
	m.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		m.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// tail returns the last n bytes of a file, or why it cannot.
func tail(path string, n int) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	if len(b) > n {
		b = b[len(b)-n:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return b
}
