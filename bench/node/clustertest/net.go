//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// nodes is how many nodes there are; members of the founding are the first three.
const nodes = 5

// prefix is of the names of all namespaces; the number of the process follows.
const prefix = "msgrct"

// place is a namespace: hub has the two bridges br0 and br1, and the others a veth each, whose
// other end is a port of br0.
func place(pid int, what string) string { return fmt.Sprintf("%s%d-%s", prefix, pid, what) }

// hosts are the namespaces besides the hub: the nodes, the clients and etcd.
func hosts() (all []string) {
	for i := range nodes {
		all = append(all, "n"+strconv.Itoa(i+1))
	}
	return append(all, "clients", "etcd")
}

// address is where a host is; the network exists between the namespaces alone.
func address(host string) string {
	for i, h := range hosts() {
		if h == host {
			return fmt.Sprintf("10.77.0.%d", i+1)
		}
	}
	panic("clustertest: no host " + host)
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// build makes the network of process pid.
func build(pid int) error {
	hub := place(pid, "hub")
	steps := [][]string{{"netns", "add", hub}}
	for _, br := range []string{"br0", "br1"} {
		steps = append(steps, []string{"-n", hub, "link", "add", br, "type", "bridge", "forward_delay", "0"},
			[]string{"-n", hub, "link", "set", br, "up"})
	}
	for _, h := range hosts() {
		ns := place(pid, h)
		steps = append(steps, []string{"netns", "add", ns},
			[]string{"-n", hub, "link", "add", "v-" + h, "type", "veth", "peer", "name", "eth0", "netns", ns},
			[]string{"-n", hub, "link", "set", "v-" + h, "master", "br0", "up"},
			[]string{"-n", ns, "link", "set", "lo", "up"},
			[]string{"-n", ns, "addr", "add", address(h) + "/24", "dev", "eth0"},
			[]string{"-n", ns, "link", "set", "eth0", "up"})
	}
	for _, s := range steps {
		if err := ip(s...); err != nil {
			return fmt.Errorf("no network of our own can be made here: %w", err)
		}
	}
	return nil
}

// raze takes down what build made, as far as there is any, and what runs in it.
func raze(pid int) (err error) {
	for _, h := range append(hosts(), "hub") {
		ns := place(pid, h)
		if _, e := os.Stat("/run/netns/" + ns); e != nil {
			continue
		}
		// What was started in it and outlived its parent; never anything else.
		out, _ := exec.Command("ip", "netns", "pids", ns).Output()
		for _, f := range strings.Fields(string(out)) {
			if p, e := strconv.Atoi(f); e == nil && p > 1 {
				_ = syscall.Kill(p, syscall.SIGKILL)
			}
		}
		err = errors.Join(err, ip("netns", "del", ns))
	}
	return err
}

// razeLeft takes down networks of processes that are gone, which were killed by force.
func razeLeft() {
	left, _ := filepath.Glob("/run/netns/" + prefix + "*-hub")
	for _, path := range left {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), prefix), "-")
		if pid, err := strconv.Atoi(text); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = raze(pid)
		}
	}
}

// scenario makes the network, runs the inner part in the clients' namespace, and takes the
// network down whatever comes.
func scenario(ctx context.Context, w io.Writer, name string, o *options) (err error) {
	razeLeft()
	if err := absolute(&o.Msgr, &o.Msgrnode); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "clustertest-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil && !o.Keep {
			err = os.RemoveAll(dir)
			return
		}
		fmt.Fprintf(w, "the logs of all processes are in %s\n", dir)
	}()
	pid := os.Getpid()
	defer func() { err = errors.Join(err, raze(pid)) }()
	if err := build(pid); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", place(pid, "clients"), self, "inside", name,
		"--pid", strconv.Itoa(pid), "--dir", dir, "--seed", strconv.FormatUint(o.Seed, 10),
		"--msgr", o.Msgr, "--msgrnode", o.Msgrnode, "--etcd", o.Etcd)
	cmd.Env = append(os.Environ(), command.ChildEnv+"=1")
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not over after %v", limit)
	}
	return err
}
