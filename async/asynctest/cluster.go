package asynctest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// Options describe a cluster; N is needed, the rest works when left zero.
type Options struct {
	// Seed determines everything.
	Seed uint64
	// N is the number of nodes.
	N int
	// Policy towards all peers; the zero Policy means msg.LosslessPeer.
	Policy msg.Policy
	// Name of node i; nil means osd.i.
	Name func(i int) entity.Name
	// Client says that node i is not to be bound: it has no address to connect to.
	Client func(i int) bool
	// Workers of each host; 0 means 1.
	Workers int
	// WorkersOf, if set, is Workers of node i, and Same its SameNonce.
	WorkersOf func(i int) int
	Same      func(i int) bool
	// SameNonce keeps a node's nonce, and so its address, through Restart, as
	// monitors have it; otherwise peers see a new address and go on calling the old
	// one until they mark it down.
	SameNonce bool
	// Network configures the network.
	Network simnet.Config
	// Config may change the configuration of node i, which has stack, executor and
	// random source of its host already.
	Config func(i int, cfg *async.Config)
	// Setup is called for each node before it is bound and started, and again after
	// a restart: the place for policies per type and dispatchers.
	Setup func(n *Node)
	// History records everything for the checkers: see History.
	History bool
	// Dispatch is called for each message, after it was recorded, and owns it. nil:
	// messages are released.
	Dispatch func(n *Node, m *msg.Message)
	// Blocking lets callbacks take virtual time: see Node.Sleep.
	Blocking bool
}

// Cluster is a number of messengers on one simulated network. It and all its
// nodes belong to the test's goroutine.
type Cluster struct {
	Net   *simnet.Network
	Nodes []*Node
	// History is what happened; nil unless Options.History.
	History *History

	tb     TB
	opt    Options
	ledger ledger
	byName map[entity.Name]int
	byHost map[string]int
	faults []*simnet.Fault
	tap    *tap
	logs   logs
	// planned panics of callbacks, and those of nodes that are down.
	planned, panicked uint64
}

// Node is one messenger, on a host of its own.
type Node struct {
	*async.Messenger
	*Recorder
	// Index in Cluster.Nodes.
	Index   int
	Host    *simnet.Host
	Cluster *Cluster
	// Down says that it was crashed and not restarted.
	Down bool
	// Limit is that of the dispatch throttle, 0 for none, and Throttles are those of
	// policies: what Setup puts here the checkers look at.
	Limit     int64
	Throttles []*dispatch.Throttle
	life      uint32
	pool      *stickyPool
	effort    Effort // what async.Stats does not have
}

// port is where all nodes listen.
const port = 6800

// NewCluster starts a cluster, which ends with the test: then it is shut down, and
// checked for anything left behind.
func NewCluster(tb TB, opt Options) *Cluster {
	tb.Helper()
	if opt.Policy == (msg.Policy{}) {
		opt.Policy = msg.LosslessPeer()
	}
	if opt.Name == nil {
		opt.Name = func(i int) entity.Name { return entity.OSD(int64(i)) }
	}
	c := &Cluster{Net: simnet.New(opt.Seed, opt.Network), tb: tb, opt: opt, byName: map[entity.Name]int{},
		byHost: map[string]int{}}
	c.ledger.init()
	if opt.History {
		c.History = newHistory()
		c.tap = newTap(c)
		c.Net.Add("tap", c.tap.rule)
	}
	for i := range opt.N {
		workers := opt.Workers
		if opt.WorkersOf != nil {
			workers = opt.WorkersOf(i)
		}
		c.byName[opt.Name(i)], c.byHost[opt.Name(i).String()] = i, i
		h := c.Net.AddHost(opt.Name(i).String(), simnet.HostConfig{Workers: workers})
		c.Nodes = append(c.Nodes, c.start(i, h, 0))
	}
	tb.Cleanup(c.end)
	return c
}

func (c *Cluster) start(i int, h *simnet.Host, life uint32) *Node {
	c.tb.Helper()
	nonce := uint32(i + 1) // the first byte in memory, which decides who is smaller
	if same := c.opt.SameNonce || c.opt.Same != nil && c.opt.Same(i); !same {
		nonce += life << 20
	}
	pool := &stickyPool{net: c.Net, host: h, blocking: c.opt.Blocking}
	cfg := async.Config{Name: c.opt.Name(i), Stack: h, Executor: pool, Rand: h.Rand, Nonce: nonce, BindRetries: -1}
	if c.opt.Config != nil {
		c.opt.Config(i, &cfg)
	}
	n := &Node{Index: i, Host: h, Cluster: c, life: life, pool: pool}
	cfg.Logger = newNodeLog(n, cfg.Logger)
	if c.History != nil {
		cfg.Observe = n.observe(cfg.Observe)
	}
	m, err := async.New(cfg)
	c.must(err)
	n.Messenger, n.Recorder = m, &Recorder{node: n}
	n.Limit = max(cfg.DispatchThrottleBytes, 0)
	m.SetDefaultPolicy(c.opt.Policy)
	m.AddDispatcherTail(n.Recorder)
	if c.opt.Setup != nil {
		c.opt.Setup(n)
	}
	if c.opt.Client == nil || !c.opt.Client(i) {
		c.must(m.Bind(netip.AddrPortFrom(h.Addr(), port)))
	}
	c.must(m.Start())
	return n
}

func (c *Cluster) must(err error) {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatalf("asynctest: %v (seed %d)", err, c.opt.Seed)
	}
}

// Run lets d of virtual time pass. If it cannot, because a rule panicked or time does
// not go on, or a breakpoint is reached, the test ends: with breakpoints, use Net.Run.
func (c *Cluster) Run(d time.Duration) {
	c.tb.Helper()
	if err := c.Net.Run(d); err != nil {
		c.tb.Fatalf("asynctest: %v", err)
	}
}

// patience is how much virtual time Until allows.
const patience = time.Hour

// Until runs the cluster until cond holds. If nothing happens any more, or an hour
// of virtual time has passed, the test ends with what was awaited, the seed and
// the state of all sockets.
func (c *Cluster) Until(what string, cond func() bool) {
	c.tb.Helper()
	if err := c.Net.RunUntil(cond, patience); err != nil {
		c.tb.Fatalf("asynctest: waiting for %s: %v\n%s%s", what, err, c.ledger.missing(8), c.state())
	}
}

// state shows what the messengers hold.
func (c *Cluster) state() string {
	var b strings.Builder
	for _, n := range c.Nodes {
		if !n.Down {
			s := n.Stats()
			fmt.Fprintf(&b, "%v: %d connections, %d handshakes, %d bytes in dispatch, %d in the queue; "+
				"received %d, dispatched %d, discarded %d, faults %d, remote resets %d\n",
				n.Name(), s.Connections, s.Handshakes, s.DispatchBytes, s.Queue.Len, s.Received, s.Queue.Dispatched,
				s.Discarded, s.Faults, s.RemoteResets)
		}
	}
	return b.String()
}

// Connect returns the connection between two nodes, and begins to connect if
// there is none.
func (c *Cluster) Connect(from, to int) msg.Connection {
	c.tb.Helper()
	conn, err := c.Nodes[from].ConnectTo(c.Nodes[to].Name().Type, c.Nodes[to].Addrs())
	c.must(err)
	return conn
}

// Partition stalls everything between two groups of nodes until it is lifted.
func (c *Cluster) Partition(a, b []int) *simnet.Fault {
	return c.Add(fmt.Sprintf("partition %v %v", a, b), simnet.Partition(c.names(a), c.names(b)))
}

// Isolate stalls everything between a node and all others until it is lifted.
func (c *Cluster) Isolate(i int) *simnet.Fault {
	host := c.Nodes[i].Host.Name()
	return c.Add(fmt.Sprintf("isolate %d", i), simnet.Isolate(host), simnet.AtHost(host))
}

// Cut resets all connections of a node; the messenger's sessions go on.
func (c *Cluster) Cut(i int) {
	for _, conn := range c.Nodes[i].Host.Conns() {
		c.Reset(conn)
	}
}

func (c *Cluster) names(nodes []int) (out []string) {
	for _, i := range nodes {
		out = append(out, c.Nodes[i].Host.Name())
	}
	return out
}

// Crash takes the power from a node: its messenger is no more, what it had not
// handed over is lost, and nobody is told.
func (c *Cluster) Crash(i int) { c.down(i, (*simnet.Host).Crash) }

// Kill ends a node's process: its messenger is no more, and its connections are
// reset.
func (c *Cluster) Kill(i int) { c.down(i, (*simnet.Host).Kill) }

// MarkDown has a node close its connection with another one, if it has one.
func (c *Cluster) MarkDown(from, to int) { c.MarkDownAddrs(from, to, c.Nodes[to].Addrs()) }

// MarkDownAddrs is MarkDown of addresses that the other node has, or had in an earlier life.
func (c *Cluster) MarkDownAddrs(from, to int, addrs entity.AddrVec) {
	c.taint(from, to)
	n := c.Nodes[from]
	conn := n.Lookup(addrs)
	n.Messenger.MarkDown(addrs)
	if conn != nil {
		c.disturb(2)
		n.add(RecMarkDown, conn, Record{})
	}
}

// Add puts a rule of faults into force (see simnet.Network.Add) until it is lifted,
// by itself or by LiftAll. With a history, what it does to connections is noted: those
// who see their bytes altered may call that a breach of the protocol (E1).
func (c *Cluster) Add(name string, rule simnet.Rule, where ...simnet.Scope) *simnet.Fault {
	f := c.Net.Add(name, c.watched(rule), where...)
	c.faults = append(c.faults, f)
	return f
}

// AddFor is Add for a limited time.
func (c *Cluster) AddFor(d time.Duration, name string, rule simnet.Rule, where ...simnet.Scope) *simnet.Fault {
	f := c.Add(name, rule, where...)
	c.Net.After(d, f.Lift)
	return f
}

// LiftAll lifts all faults that were made through the cluster.
func (c *Cluster) LiftAll() {
	for _, f := range c.faults {
		f.Lift()
	}
	c.faults = nil
}

// Healed lifts all faults and notes that from now on the network is well: what the
// promises of liveness are measured from.
func (c *Cluster) Healed() {
	c.LiftAll()
	if c.History != nil {
		c.History.Healed = max(c.Net.Now(), 1)
		c.Nodes[0].add(RecHealed, nil, Record{})
	}
}

func (c *Cluster) down(i int, how func(*simnet.Host)) {
	n := c.Nodes[i]
	n.Down = true
	for _, conn := range n.Host.Conns() {
		c.harm(conn.ID)
	}
	n.add(RecDown, nil, Record{})
	n.closeLife(false)
	c.panicked += n.Stats().Panics
	how(n.Host)
	n.pool.die()
	c.taintAll(i)
}

// Restart starts a node that is down again: a new messenger with the same name
// and address and, unless Options.SameNonce, another nonce, which knows nothing of
// before. The Recorder is new.
func (c *Cluster) Restart(i int) *Node {
	c.tb.Helper()
	old := c.Nodes[i]
	if !old.Down {
		c.tb.Fatalf("asynctest: Restart of node %d, which runs", i)
	}
	n := c.start(i, old.Host.Restart(), old.life+1)
	c.disturb(2 * (len(c.Nodes) - 1))
	c.Nodes[i] = n
	n.add(RecUp, nil, Record{})
	return n
}

// end shuts everything down and checks that nothing is left.
func (c *Cluster) end() {
	defer func() {
		for _, n := range c.Nodes {
			n.pool.die()
		}
	}()
	c.shutdown()
	c.checkPanics()
	if c.tb.Failed() {
		c.show()
	}
}

// settle lets d pass at the end of a run, where no breakpoint stops anything.
func (c *Cluster) settle(d time.Duration) error {
	for {
		err := c.Net.Run(d)
		var hit *simnet.Hit
		if !errors.As(err, &hit) {
			return err
		}
		hit.Resume()
	}
}

func (c *Cluster) shutdown() {
	if c.tb.Failed() {
		c.tb.Logf("asynctest: seed %d, virtual time %v", c.opt.Seed, c.Net.Now())
	}
	c.Net.EndOn(nil) // a run that was ended goes on, for the end of the messengers
	c.Net.LiftAll()
	for i, n := range c.Nodes {
		n.Host.Resume()
		c.Free(i)
	}
	begun, cancel := context.WithCancel(context.Background())
	cancel()
	for _, n := range c.Nodes {
		if !n.Down {
			_ = n.Shutdown(begun) // begins it; the end is waited for below
		}
	}
	if err := c.settle(time.Minute); err != nil { // nothing goes on any more
		if !c.tb.Failed() {
			c.tb.Errorf("asynctest: %v", err)
		}
		return
	}
	for _, n := range c.Nodes {
		if n.Down {
			continue
		}
		// Shutdown waits for the workers, which this goroutine runs.
		done := make(chan error, 1)
		go func() { done <- n.Shutdown(context.Background()) }()
		if !c.await(done, n) {
			return
		}
		if s := n.Stats(); !c.tb.Failed() &&
			(s.Connections != 0 || s.Handshakes != 0 || s.DispatchBytes != 0 || s.Queue.Len != 0) {
			c.tb.Errorf(
				"asynctest: %v leaves %d connections, %d handshakes, %d bytes in dispatch, %d in the queue (seed %d)",
				n.Name(), s.Connections, s.Handshakes, s.DispatchBytes, s.Queue.Len, c.opt.Seed)
		}
		_ = n.Host.Close()
	}
	if err := c.settle(time.Minute); err != nil && !c.tb.Failed() {
		c.tb.Errorf("asynctest: %v", err)
	}
	for _, conn := range c.Net.Conns() {
		if !c.isDown(conn.From) && !c.isDown(conn.To) && !c.tb.Failed() {
			c.tb.Errorf("asynctest: sockets are left (seed %d):\n%s", c.opt.Seed, c.Net.Netstat())
		}
	}
}

// isDown says whether the host of that name is down.
func (c *Cluster) isDown(name string) bool {
	i, ok := c.byHost[name]
	return ok && c.Nodes[i].Down
}

// await runs the network until a shutdown is done: in small steps, because the
// goroutine that waits needs real time, and no virtual time, to get on.
func (c *Cluster) await(done chan error, n *Node) bool {
	for range 1 << 24 {
		select {
		case err := <-done:
			if err != nil && !c.tb.Failed() {
				c.tb.Errorf("asynctest: shutdown of %v: %v (seed %d)", n.Name(), err, c.opt.Seed)
			}
			return true
		default:
		}
		if c.settle(10*time.Microsecond) != nil {
			break
		}
		runtime.Gosched()
	}
	c.tb.Errorf("asynctest: shutdown of %v does not end (seed %d)\n%s", n.Name(), c.opt.Seed, c.Net.Netstat())
	return false
}
