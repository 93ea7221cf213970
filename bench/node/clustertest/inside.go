//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/node"
	"github.com/asyncmsgr/asyncmsgr/bench/node/history"
)

// insideCmd runs in the clients' namespace: it starts nodes in theirs, and the clients.
type insideCmd struct {
	options
	Scenario string `arg:"" help:"join or etcd."`
	PID      int    `name:"pid" help:"Of who made the network."`
	Dir      string `help:"Where logs and data go."`
}

// The timing of a run.
const (
	wellMax   = 30 * time.Second // until all is well again after a step
	troubleAt = 3 * time.Second  // how long a step's trouble lasts at least; up to 2 s more
	clients   = 6
	keys      = 24
	// coldKeys are written once, in the beginning, and read again in the end: recovery alone
	// keeps them.
	coldKeys = 200
)

type cluster struct {
	*insideCmd
	w   io.Writer
	ctx context.Context
	rng *rand.Rand
	net *node.Network

	nodes [nodes]*process
	etcd  *process
	h     history.History
	rows  []row
}

// process is a program in a namespace; nil is one that does not run.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // it has ended, and err says how
	err  error
}

// row is of the table that is printed in the end.
type row struct {
	what          string
	trouble, well time.Duration
	writes, reads int
	epoch         uint64
}

// Run runs one scenario.
func (c *insideCmd) Run(w io.Writer) (err error) {
	ctx, stop := command.Interruptible()
	defer stop()
	x := &cluster{insideCmd: c, w: w, ctx: ctx, rng: rand.New(rand.NewPCG(c.Seed, uint64(len(c.Scenario))))}
	if x.net, err = node.NewNetwork(async.Config{Logger: slog.New(slog.DiscardHandler)}, nil); err != nil {
		return err
	}
	if err := x.net.Start(); err != nil {
		return err
	}
	defer x.killAll()
	began := time.Now()
	err = x.scenario()
	if end := command.Interrupted(ctx); end != nil {
		return end
	}
	broken := x.h.Check()
	x.table(time.Since(began), broken)
	if len(broken) > 0 {
		err = errors.Join(err, fmt.Errorf("%d breaches", len(broken)))
	}
	return err
}

func (x *cluster) scenario() error {
	if x.Scenario == "etcd" {
		if err := x.startEtcd(); err != nil {
			return err
		}
	}
	for i := range nodes {
		if err := x.start(i); err != nil {
			return err
		}
	}
	if err := x.step("five nodes begin", nothing); err != nil {
		return err
	}
	if err := x.step(fmt.Sprintf("%d objects are written", coldKeys), x.writeCold); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(x.ctx)
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() { x.work(ctx, id) })
	}
	err := x.trouble()
	cancel()
	wg.Wait()
	if err != nil {
		return err
	}
	return x.readAll()
}

// trouble is the schedule: each kind of trouble, in an order and to nodes by the seed.
func (x *cluster) trouble() error {
	one := func() int { return x.rng.IntN(nodes) }
	pair := func() (int, int) { p := x.rng.Perm(nodes); return p[0], p[1] }
	a, b := pair()
	c, d := pair()
	k1, k2, cut, leaver, paused := one(), one(), one(), one(), one()
	type act struct {
		what string
		do   func() error
	}
	acts := []act{
		{fmt.Sprintf("kill -9 of %s", name(k1)), func() error { return x.bounce(k1) }},
		{fmt.Sprintf("kill -9 of %s, its data is lost", name(k2)), func() error { return x.lose(k2) }},
		{fmt.Sprintf("%s is cut off", name(cut)), func() error { return x.cutOff(cut) }},
		{fmt.Sprintf("%s and %s are cut off", name(a), name(b)), func() error { return x.split(false, a, b) }},
		{fmt.Sprintf("%s, %s and clients are cut off", name(c), name(d)), func() error { return x.split(true, c, d) }},
		{fmt.Sprintf("%s leaves, and comes back empty", name(leaver)), func() error { return x.leave(leaver) }},
		{fmt.Sprintf("%s stands still", name(paused)), func() error { return x.standStill(paused) }},
	}
	if x.Scenario == "join" {
		acts = append(acts, act{"kill -9 of all five", x.bounceAll})
	} else {
		acts = append(acts, act{"kill -9 of etcd", x.bounceEtcd})
	}
	x.rng.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
	for _, s := range acts {
		if err := x.step(s.what, s.do); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

func nothing() error { return nil }

func name(i int) string { return fmt.Sprintf("osd.%d", i+1) }
func host(i int) string { return fmt.Sprintf("n%d", i+1) }

// step does something, and waits until all is well again.
func (x *cluster) step(what string, do func() error) error {
	if x.ctx.Err() != nil {
		return x.ctx.Err()
	}
	r := row{what: what}
	w0, r0 := x.h.Count()
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	r.trouble = time.Since(began)
	began = time.Now()
	err := x.untilWell(&r)
	r.well = time.Since(began)
	w1, r1 := x.h.Count()
	r.writes, r.reads = w1-w0, r1-r0
	x.rows = append(x.rows, r)
	fmt.Fprintf(x.w, "%-5s %-36s %5.1f s, well again after %4.1f s; epoch %d, %d writes, %d reads meanwhile\n",
		x.Scenario, what, r.trouble.Seconds(), r.well.Seconds(), r.epoch, r.writes, r.reads)
	return err
}

// wait is a while of trouble.
func (x *cluster) wait() {
	select {
	case <-time.After(troubleAt + time.Duration(x.rng.IntN(2000))*time.Millisecond):
	case <-x.ctx.Done():
	}
}

// untilWell waits until all five are members of one settled map, and ready.
func (x *cluster) untilWell(r *row) error {
	ctx, cancel := context.WithTimeout(x.ctx, wellMax)
	defer cancel()
	for {
		why := ""
		epoch := uint64(0)
		for i := range nodes {
			c := node.Client{Transport: x.net, Attempt: time.Second}
			s, err := c.Status(ctx, addr(host(i)))
			switch {
			case err != nil:
				why = err.Error()
			case !s.Ready() || s.Joint || len(s.Members) != nodes || epoch != 0 && s.Epoch != epoch:
				why = fmt.Sprintf("%s: %+v", name(i), s)
			}
			if why != "" {
				break
			}
			epoch = s.Epoch
		}
		if why == "" {
			r.epoch = epoch
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not well after %v: %s", wellMax, why)
		}
	}
}

// addr is the address of the node at a host, as members have it.
func addr(host string) string { return "v2:" + net.JoinHostPort(address(host), "7000") }

// spawn starts a program in a namespace, with its output in a file.
func (x *cluster) spawn(host string, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(x.Dir, host+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("ip", append([]string{"netns", "exec", place(x.PID, host), program}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// kill is kill -9, and returns when the process is gone.
func (p *process) kill() {
	if p != nil {
		_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		<-p.done
	}
}

func (x *cluster) killAll() {
	for _, p := range x.nodes {
		p.kill()
	}
	x.etcd.kill()
}

func (x *cluster) start(i int) (err error) {
	args := []string{"node", "--name", name(i), "--listen", address(host(i)) + ":7000",
		"--initial", "osd.1,osd.2,osd.3"}
	program := x.Msgr
	if x.Scenario == "etcd" {
		program = x.Msgrnode
		args = append(args, "--resolver", "etcd://"+address("etcd")+":2379/clustertest")
	} else {
		var join []string
		for j := range 3 {
			join = append(join, address(host(j))+":7000")
		}
		args = append(args, "--join", strings.Join(join, ","), "--data", x.data(i))
	}
	x.nodes[i], err = x.spawn(host(i), program, args...)
	return err
}

func (x *cluster) startEtcd() (err error) {
	url := "http://" + address("etcd")
	x.etcd, err = x.spawn("etcd", x.Etcd, "--name", "e", "--data-dir", filepath.Join(x.Dir, "etcd-data"),
		"--listen-client-urls", url+":2379", "--advertise-client-urls", url+":2379",
		"--listen-peer-urls", url+":2380", "--initial-advertise-peer-urls", url+":2380",
		"--initial-cluster", "e="+url+":2380", "--unsafe-no-fsync")
	return err
}

func (x *cluster) bounce(i int) error {
	x.nodes[i].kill()
	x.wait()
	return x.start(i)
}

func (x *cluster) bounceAll() error {
	for i := range nodes {
		_ = x.nodes[i].cmd.Process.Signal(syscall.SIGKILL) // all before the first is waited for
	}
	for i := range nodes {
		<-x.nodes[i].done
	}
	for _, i := range x.rng.Perm(nodes) {
		if err := x.start(i); err != nil {
			return err
		}
	}
	return nil
}

func (x *cluster) bounceEtcd() error {
	x.etcd.kill()
	x.wait()
	return x.startEtcd()
}

func (x *cluster) cutOff(i int) error {
	hub, port := place(x.PID, "hub"), "v-"+host(i)
	if err := ip("-n", hub, "link", "set", port, "down"); err != nil {
		return err
	}
	x.wait()
	return ip("-n", hub, "link", "set", port, "up")
}

// split puts nodes, and the clients, on the other bridge for a while.
func (x *cluster) split(withClients bool, is ...int) error {
	var ports []string
	for _, i := range is {
		ports = append(ports, "v-"+host(i))
	}
	if withClients {
		ports = append(ports, "v-clients")
	}
	move := func(bridge string) (err error) {
		for _, p := range ports {
			err = errors.Join(err, ip("-n", place(x.PID, "hub"), "link", "set", p, "master", bridge))
		}
		return err
	}
	if err := move("br1"); err != nil {
		return err
	}
	x.wait()
	return move("br0")
}

func (x *cluster) leave(i int) error {
	p := x.nodes[i]
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s did not leave well: %w", name(i), p.err)
		}
	case <-time.After(wellMax):
		return fmt.Errorf("%s has not left after %v", name(i), wellMax)
	}
	if err := os.RemoveAll(x.data(i)); err != nil {
		return err
	}
	return x.start(i)
}

// data is the folder of a node, where it has one.
func (x *cluster) data(i int) string { return filepath.Join(x.Dir, "data-"+host(i)) }

// lose is the end of a machine: another one comes in its place.
func (x *cluster) lose(i int) error {
	x.nodes[i].kill()
	if err := os.RemoveAll(x.data(i)); err != nil {
		return err
	}
	x.wait()
	return x.start(i)
}

func (x *cluster) standStill(i int) error {
	p := x.nodes[i].cmd.Process
	if err := p.Signal(pauseSignal); err != nil {
		return err
	}
	x.wait()
	return p.Signal(resumeSignal)
}

// client is one who asks a node first that depends on its number.
func (x *cluster) client(id int) *node.Client {
	c := &node.Client{Transport: x.net, Attempt: 1500 * time.Millisecond}
	for i := range nodes {
		c.Addrs = append(c.Addrs, addr(host((i+id)%nodes)))
	}
	return c
}

// write writes op.Value, and says whether that was acknowledged.
func (x *cluster) write(ctx context.Context, c *node.Client, op history.Op) bool {
	op.Write = true
	v, err := c.Put(ctx, op.Key, []byte(op.Value))
	if op.Version = history.Version(v); v != (node.Version{}) {
		x.h.Done(op, err == nil)
	}
	return err == nil
}

func (x *cluster) writeCold() error {
	for i := range coldKeys {
		ctx, cancel := context.WithTimeout(x.ctx, 5*time.Second)
		ok := x.write(ctx, x.client(i), history.Op{Key: fmt.Sprintf("cold-%d", i), Value: strconv.Itoa(i),
			By: "the beginning", Begin: x.h.Begin()})
		cancel()
		if !ok {
			return fmt.Errorf("object %d cannot be written when all is well", i)
		}
	}
	return nil
}

// work is a client.
func (x *cluster) work(ctx context.Context, id int) {
	rng := rand.New(rand.NewPCG(x.Seed, uint64(100+id)))
	c := x.client(id)
	for n := 0; ctx.Err() == nil; n++ {
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		op := history.Op{Key: fmt.Sprintf("object-%d", rng.IntN(keys)), By: "client " + strconv.Itoa(id),
			Begin: x.h.Begin()}
		if rng.IntN(2) == 0 {
			op.Value = fmt.Sprintf("%d.%d", id, n)
			x.write(once, c, op)
		} else {
			x.read(once, c, op)
		}
		cancel()
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
	}
}

func (x *cluster) read(ctx context.Context, c *node.Client, op history.Op) bool {
	o, err := c.Get(ctx, op.Key)
	if err != nil && !errors.Is(err, node.ErrNotFound) {
		return false
	}
	op.Version, op.Value = history.Version(o.Version), string(o.Value)
	x.h.Done(op, true)
	return true
}

// readAll reads every object by way of every node, when all is over.
func (x *cluster) readAll() error {
	for i := range nodes {
		c := node.Client{Transport: x.net, Addrs: []string{addr(host(i))}}
		for _, k := range x.h.Keys() {
			ctx, cancel := context.WithTimeout(x.ctx, 5*time.Second)
			ok := x.read(ctx, &c, history.Op{Key: k, By: "the end by " + name(i), Begin: x.h.Begin()})
			cancel()
			if !ok {
				return fmt.Errorf("%s cannot be read by way of %s when all is well", k, name(i))
			}
		}
	}
	return nil
}

// table is the summary.
func (x *cluster) table(took time.Duration, broken []history.Breach) {
	t := tabwriter.NewWriter(x.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(x.w, "\n")
	fmt.Fprintf(t, "trouble s\twell after s\tepoch\twrites\treads\t  %s\n", x.Scenario)
	for _, r := range x.rows {
		fmt.Fprintf(t, "%.1f\t%.1f\t%d\t%d\t%d\t  %s\n",
			r.trouble.Seconds(), r.well.Seconds(), r.epoch, r.writes, r.reads, r.what)
	}
	_ = t.Flush() // a terminal that is gone does not matter
	lost := 0
	for i, b := range broken {
		if b.Lost {
			lost++
		}
		if i < 10 {
			fmt.Fprintf(x.w, "BROKEN %s\n", b.What)
		}
	}
	writes, reads := x.h.Count()
	verdict := "ok"
	if len(broken) > 0 {
		verdict = "FAILED"
	}
	fmt.Fprintf(x.w, "%s: %s: %d acknowledged writes and %d reads of %d objects in %.0f s; "+
		"%d lost or older than they may be, %d other breaches\n",
		x.Scenario, verdict, writes, reads, len(x.h.Keys()), took.Seconds(), lost, len(broken)-lost)
}
