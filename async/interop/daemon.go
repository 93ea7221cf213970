//go:build linux

package interop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// How long a daemon has to become ready and to stop, at most.
const (
	readyMax = 20 * time.Second
	stopMax  = 10 * time.Second
)

// daemon is a process of Ceph's with its admin socket and its log under dir.
type daemon struct {
	t     testing.TB
	dir   string
	name  string // "mon.a", "osd.0"
	args  []string
	ready func(status []byte) error // looks at the answer to statusCommand

	statusCommand string
	proc          *exec.Cmd
	done          chan struct{} // closed when proc has ended
}

// socket is the path of the daemon's admin socket.
func (d *daemon) socket() string { return filepath.Join(d.dir, "run", "ceph-"+d.name+".asok") }

// start runs the daemon and waits until it is ready.
func (d *daemon) start() {
	d.t.Helper()
	if d.proc != nil {
		d.t.Fatalf("%s runs already", d.name)
	}
	out, err := os.OpenFile(filepath.Join(d.dir, "log", d.name+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	defer out.Close()
	proc := exec.Command(d.args[0], d.args[1:]...)
	proc.Stdout, proc.Stderr = out, out
	proc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no daemon outlives the tests
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The signal comes when the thread ends that started the daemon, not when the
		// process does, and threads end: a messenger with a thread for each pipe ends its
		// own. So this one is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := proc.Start()
		started <- err
		if err == nil {
			_ = proc.Wait() // how it ended is in the log
			close(done)
		}
	}()
	if err := <-started; err != nil {
		d.t.Fatal(err)
	}
	d.proc, d.done = proc, done
	if err := d.waitReady(); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
}

// waitReady polls the admin socket until the daemon is ready.
func (d *daemon) waitReady() error {
	deadline := time.After(readyMax)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-d.done:
			return errors.New("ended at its start")
		case <-deadline:
			return fmt.Errorf("not ready after %v: %w", readyMax, last)
		case <-tick.C:
		}
		var status []byte
		if status, last = adminCommand(d.socket(), d.statusCommand); last != nil {
			continue
		}
		if last = d.ready(status); last == nil {
			return nil
		}
	}
}

// end sends the signal and waits; a daemon that does not stop in time is killed.
func (d *daemon) end(sig syscall.Signal) {
	if d.proc == nil {
		return
	}
	_ = d.proc.Process.Signal(sig) // an error means that it has ended
	select {
	case <-d.done:
	case <-time.After(stopMax):
		_ = d.proc.Process.Kill()
		<-d.done
	}
	d.proc, d.done = nil, nil
}

// cleanup ends the daemon at the end of its test and prints the end of its log
// if that failed.
func (d *daemon) cleanup() {
	d.end(syscall.SIGKILL) // faster than SIGTERM, and the state is thrown away
	if !d.t.Failed() {
		return
	}
	for _, suffix := range []string{".out", ".log"} {
		d.t.Logf("the end of %s:\n%s", d.name+suffix, tail(filepath.Join(d.dir, "log", d.name+suffix), 3000))
	}
}

// run runs a program that has to succeed.
func (d *daemon) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// adminCommand asks a daemon something through its admin socket.
func adminCommand(socket, prefix string) ([]byte, error) {
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

// tail returns the last n bytes of a log, whole lines, or why it cannot. Left out
// is that the daemon was asked for its status too early.
func tail(path string, n int) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	var kept []byte
	for line := range bytes.Lines(b) {
		if !bytes.Contains(line, []byte("not defined")) && len(bytes.TrimSpace(line)) > 0 {
			kept = append(kept, line...)
		}
	}
	b = kept
	if len(b) > n {
		b = b[len(b)-n:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return b
}
