package raftsim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Mistake is one that is made on purpose, to see it found.
type Mistake uint8

const (
	// None: all is as it should be.
	None Mistake = iota
	// ReplyLost: one in 500 replies is lost, and who waits for it waits for ever.
	ReplyLost
	// AppendEarly: a disk acknowledges entries a second before they are there.
	AppendEarly
)

// Options describe a run.
type Options struct {
	Seed    uint64
	Nodes   int           // 0 means 5
	For     time.Duration // of virtual time, with faults; 0 means five minutes
	Mistake Mistake
}

// Result is what came of a run.
type Result struct {
	Wrong     []string // violations
	Acked     int      // commands that were acknowledged
	Terms     int      // that had a leader
	Faults    map[string]int
	Snapshots int // that were installed
	Virtual   time.Duration
	Events    uint64
}

// cluster is a run.
type cluster struct {
	t       *testing.T
	w       *bubble.World
	opt     Options
	rand    *rand.Rand // the faults'
	history *history
	nodes   []*node
	faults  map[string]int
}

// node is a machine with a Raft on it, or without.
type node struct {
	c    *cluster
	num  int
	name string
	disk *disk
	host *bubble.Host
	life atomic.Pointer[life] // nil: it is down
}

// life is what a crash ends.
type life struct {
	raft    *raft.Raft
	trans   *transport
	machine *machine
	cancel  context.CancelFunc
}

// Run lets a cluster live, break and heal, and says what was wrong.
func Run(t *testing.T, opt Options) (res Result) {
	t.Helper()
	if opt.Nodes == 0 {
		opt.Nodes = 5
	}
	if opt.For == 0 {
		opt.For = 5 * time.Minute
	}
	cfg := simnet.Config{Link: simnet.LinkConfig{Latency: simnet.LogNormal(time.Millisecond, 1)}}
	bubble.Test(t, opt.Seed, cfg, func(t *testing.T, w *bubble.World) {
		c := &cluster{t: t, w: w, opt: opt, rand: rand.New(rand.NewPCG(opt.Seed, 1)), history: newHistory(),
			faults: map[string]int{}}
		c.start()
		ctx, stop := context.WithCancel(context.Background())
		for i := range 3 {
			w.Go(func(context.Context) { c.client(ctx, i) })
		}
		for end := w.Now() + opt.For; w.Now() < end; {
			c.fault()
			c.sleep(time.Second, 20*time.Second)
		}
		stop()
		c.settle()
		c.end()
		c.history.mu.Lock()
		defer c.history.mu.Unlock()
		res = Result{Wrong: c.history.wrong, Acked: len(c.history.acked), Terms: len(c.history.leaders),
			Faults: c.faults, Snapshots: c.history.snapshots, Virtual: w.Now()}
		w.Do(func() { res.Events = w.Net.Events() })
	})
	return res
}

func (c *cluster) sleep(lo, hi time.Duration) {
	time.Sleep(lo + time.Duration(c.rand.Int64N(int64(hi-lo))))
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// start makes all nodes, each of which knows the others.
func (c *cluster) start() {
	var servers raft.Configuration
	for i := range c.opt.Nodes {
		n := &node{c: c, num: i, name: fmt.Sprintf("n%d", i)}
		n.host = c.w.Host(n.name, simnet.HostConfig{})
		n.disk = &disk{InmemStore: raft.NewInmemStore(), pause: 5 * time.Millisecond, rand: n.host.Rand,
			lies: c.opt.Mistake == AppendEarly}
		c.nodes = append(c.nodes, n)
		servers.Servers = append(servers.Servers, raft.Server{ID: raft.ServerID(n.name),
			Address: raft.ServerAddress(fmt.Sprintf("%s:%d", n.host.Addr(), port))})
	}
	for _, n := range c.nodes {
		d := lifeOfDisk{n.disk, 0}
		l := n.prepare()
		c.must(raft.BootstrapCluster(n.config(), d, d, d, l.trans, servers))
		n.run(l)
	}
}

func (n *node) config() *raft.Config {
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(n.name)
	cfg.SnapshotThreshold, cfg.SnapshotInterval, cfg.TrailingLogs = 50, 20*time.Second, 10
	cfg.CommitTimeout = 250 * time.Millisecond // half of all messages are for it otherwise
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	return cfg
}

// prepare begins a life, as far as the network.
func (n *node) prepare() *life {
	ctx, cancel := context.WithCancel(n.host.Context())
	trans, err := newTransport(ctx, n.host, int64(n.num), n.c.history)
	n.c.must(err)
	if n.c.opt.Mistake == ReplyLost {
		host := n.host
		trans.loses = func() bool { return host.Rand()%500 == 0 }
	}
	return &life{trans: trans, cancel: cancel, machine: &machine{who: n.name, history: n.c.history}}
}

// run is the rest of prepare.
func (n *node) run(l *life) {
	n.disk.mu.Lock()
	d := lifeOfDisk{n.disk, n.disk.life}
	n.disk.mu.Unlock()
	r, err := raft.NewRaft(n.config(), l.machine, d, d, d, l.trans)
	n.c.must(err)
	l.raft = r
	n.life.Store(l)
}

// crash takes the power from the node. Its goroutines cannot be taken away: Raft is told
// to end, with a network and a disk that are there no more.
func (n *node) crash() {
	l := n.life.Swap(nil)
	if l == nil {
		return
	}
	n.disk.crash()
	n.host.Crash()
	l.cancel()
	_ = l.raft.Shutdown().Error()
}

func (n *node) restart() {
	if n.life.Load() == nil {
		n.host = n.host.Restart()
		n.run(n.prepare())
	}
}

// client has commands applied by whoever leads.
func (c *cluster) client(ctx context.Context, who int) {
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Duration(400+170*who) * time.Millisecond)
		c.apply(fmt.Sprintf("%d-%d", who, i))
	}
}

// apply has a command applied, and returns its index if that was acknowledged.
func (c *cluster) apply(command string) (index uint64) {
	for _, n := range c.nodes {
		l := n.life.Load()
		if l == nil || l.raft.State() != raft.Leader {
			continue
		}
		f := l.raft.Apply([]byte(command), time.Second)
		if f.Error() == nil {
			c.history.acks(f.Index(), command)
			return f.Index()
		}
	}
	return 0
}

// patience is how long a cluster without faults may take until all is well.
const patience = time.Minute

// settle heals everything, and wants the cluster to work, and all nodes to know all.
func (c *cluster) settle() {
	for _, n := range c.nodes {
		n.host.Resume()
		n.restart()
	}
	end := c.w.Now() + patience
	var last uint64
	for last == 0 {
		if c.w.Now() > end {
			c.history.complain("nothing was committed for %v without faults", patience)
			return
		}
		time.Sleep(100 * time.Millisecond)
		last = c.apply("last")
	}
	time.Sleep(2 * rpcTimeout)
	for _, n := range c.nodes {
		if k := n.life.Load().trans.overdue(); k > 0 {
			c.history.complain("%s waits for %d replies for more than %v", n.name, k, 2*rpcTimeout)
		}
		m := n.life.Load().machine
		for m.state().Last < last && c.w.Now() < end {
			time.Sleep(100 * time.Millisecond)
		}
		c.history.ends(n.name, m.state())
	}
}

// end shuts down what is left.
func (c *cluster) end() {
	for _, n := range c.nodes {
		l := n.life.Swap(nil)
		l.cancel() // ends what waits for replies
		c.must(l.raft.Shutdown().Error())
		c.must(l.trans.m.Shutdown(context.Background()))
	}
}
