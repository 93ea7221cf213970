package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// scenario is a system: what its nodes are and what they say to each other.
type scenario interface {
	// options describe the nodes; seed, number and dispatch are the world's.
	options() asynctest.Options
	// active is for how long the system is busy, and things break.
	active() time.Duration
	// faults are how many there are if the Config does not say so, and which.
	faults() (count int, kinds []faultKind)
	// begin sets it going.
	begin()
	// message arrived at a node, and was right; m may be kept and released.
	message(to *asynctest.Node, h header, m *msg.Message)
	// done says that the system has got everything done. It is asked often.
	done() bool
	// check judges what the system itself promises, at rest.
	check()
}

// restarter is a scenario that is told that a node begins a new life.
type restarter interface{ restarted(i int) }

// world is a system, the network it runs on, and what breaks it.
type world struct {
	cfg    Config
	c      *asynctest.Cluster
	net    *simnet.Network
	tb     *tb
	oracle *oracle
	rnd    *rand.Rand // for the workload
	s      scenario
	faults injector
	result Result
	chart  *simnet.Chart // or nil
	// busy: the time of work and faults is not over.
	busy bool

	// Hooks of the scenario, which may be nil.
	ended func(from, to int, c msg.Connection, err error) // a sending ended
	reset func(node int, c msg.Connection)
}

// Times of a run.
const (
	// drainMax is how long after the last fault everything has to be done: the
	// longest backoff, twice, and what the application waits for.
	drainMax = 2 * time.Minute
	// A connection whose other end is gone is noticed when it was silent for
	// keepaliveInterval and no answer came for keepaliveTimeout.
	keepaliveInterval = 15 * time.Second
	keepaliveTimeout  = 10 * time.Second
	// calm is how long connections may come and go after that: as long as it takes
	// to notice such a one and to come back. rest is how long they may not.
	calm = 45 * time.Second
	rest = 15 * time.Second
)

func newWorld(cfg Config) *world {
	w := &world{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0x517)), busy: true}
	w.result = Result{Nodes: cfg.Nodes, Seed: cfg.Seed}
	w.tb = &tb{w: w}
	w.oracle = newOracle(w, cfg.Nodes)
	return w
}

// violated counts a violation, and keeps its description if it is one of the first.
func (w *world) violated(letter, format string, args ...any) {
	w.result.Violations++
	if len(w.result.Violated) < violatedMax {
		w.result.Violated = append(w.result.Violated, fmt.Sprintf("%s at %v: %s",
			letter, w.now(), fmt.Sprintf(format, args...)))
	}
}

func (w *world) note(format string, args ...any) {
	w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
}

func (w *world) now() time.Duration {
	if w.net == nil {
		return 0
	}
	return w.net.Now()
}

// start builds the cluster.
func (w *world) start() {
	opt := w.s.options()
	opt.Seed, opt.N, opt.SameNonce = w.cfg.Seed, w.cfg.Nodes, true
	opt.Network.Asleep = int(opt.Seed % 4) // 0: workers are never lent
	setup := opt.Setup
	opt.Setup = func(n *asynctest.Node) {
		w.oracle.born(n.Index)
		n.AddDispatcherHead(ear{w.oracle, n})
		if setup != nil {
			setup(n)
		}
	}
	config := opt.Config
	opt.Config = func(i int, cfg *async.Config) {
		cfg.KeepaliveInterval, cfg.KeepaliveTimeout = keepaliveInterval, keepaliveTimeout
		if config != nil {
			config(i, cfg)
		}
	}
	opt.Dispatch = func(n *asynctest.Node, m *msg.Message) {
		n.Events = n.Events[:0] // the oracle remembers what is needed
		if h, ok := w.oracle.arrive(n.Index, m); ok {
			w.s.message(n, h, m)
		} else {
			m.Release()
		}
	}
	w.c = asynctest.NewCluster(w.tb, opt)
	w.net = w.c.Net
	w.net.EndOn(w.cfg.Done)
	w.chart = observe(w.net, &w.cfg)
}

// observe has a network traced, and charted, as cfg says.
func observe(net *simnet.Network, cfg *Config) *simnet.Chart {
	if cfg.Trace != nil {
		net.TraceTo(cfg.Trace)
	}
	if cfg.Chart != nil {
		return net.Chart(cfg.ChartWindow)
	}
	return nil
}

// written writes the chart, and tells of an error of that or of the trace.
func written(net *simnet.Network, chart *simnet.Chart, cfg *Config) error {
	var err error
	if net != nil && net.TraceError() != nil {
		err = fmt.Errorf("trace: %w", net.TraceError())
	}
	if chart != nil {
		if _, e := chart.WriteTo(cfg.Chart); e != nil {
			err = errors.Join(err, fmt.Errorf("chart: %w", e))
		}
	}
	return err
}

// run is the whole of it.
func (w *world) run(s scenario) {
	w.s = s
	w.tb.catch("app", func() {
		w.start()
		s.begin()
		w.faults.plan(w)
		w.play()
	})
	w.result.Sent, w.result.Deliveries = w.oracle.sent, w.oracle.arrived
	w.result.Faults = w.faults.happened
	if w.net != nil {
		w.result.Virtual, w.result.Hash, w.result.Events = w.net.Now(), w.net.Hash(), w.net.Steps()
	}
	if !w.result.Early && !w.result.Interrupted && w.result.Stuck == nil && w.result.Broken == nil {
		w.tb.catch("R2", w.tb.end)
	}
}

// play runs the busy time, waits until all is done, and checks.
func (w *world) play() {
	w.result.Invariants = []string{"L2", "B1", "C1", "C2", "C3"}
	if !w.advance(w.s.active()) {
		return
	}
	w.busy = false
	w.faults.heal()
	begin := w.net.Now()
	if !w.until("V1", func() bool { return w.oracle.open == 0 && w.s.done() }, drainMax) {
		return
	}
	w.note("all done %v after the last fault", (w.net.Now() - begin).Round(time.Millisecond))
	if !w.advance(calm) {
		return
	}
	before := w.sessions()
	if !w.advance(rest) {
		return
	}
	if after := w.sessions(); after != before {
		w.violated("V2", "%d sessions and faults after %v of calm were %d at its beginning", after, rest, before)
	}
	w.oracle.settle()
	w.tb.catch("R1", w.c.CheckNothingHeld)
	w.s.check()
	w.result.Invariants = []string{"L1", "L2", "Y1", "B1", "C1", "C2", "C3", "C4", "R1", "R2", "V1", "V2", "app"}
}

// sessions counts what happened to all sessions so far.
func (w *world) sessions() (n uint64) {
	for _, node := range w.c.Nodes {
		s := node.Stats()
		n += s.Connected + s.Accepted + s.Faults
	}
	return n
}

// advance lets d pass; false: that was the end.
func (w *world) advance(d time.Duration) bool {
	end, early := w.horizon(d)
	if w.failed(w.net.Run(end - w.net.Now())) {
		return false
	}
	w.result.Early = early
	return !early
}

// horizon is when d has passed, or Config.Until if that is not after it.
func (w *world) horizon(d time.Duration) (end time.Duration, early bool) {
	end = w.net.Now() + d
	if u := w.cfg.Until; u > 0 && end >= u {
		return u, true
	}
	return end, false
}

// failed says whether an error of the network ends the run.
func (w *world) failed(err error) bool {
	switch {
	case errors.Is(err, simnet.ErrEnded):
		w.result.Interrupted = true
	case w.net.Err() != nil: // the run cannot go on: a rule panicked, or time stood still
		errors.As(err, &w.result.Stuck)
		w.violated("sim", "%v", firstLine(err))
		w.result.Broken = err
	default:
		return false
	}
	return true
}

// until runs the network until cond holds; false: the run is over. The letter names
// what is violated if cond does not hold in time.
func (w *world) until(letter string, cond func() bool, limit time.Duration) bool {
	end, early := w.horizon(limit)
	err := w.net.RunUntil(cond, end-w.net.Now())
	switch {
	case err == nil:
		return true
	case w.failed(err):
	case early:
		_ = w.net.Run(end - w.net.Now())
		w.result.Early = true
	default:
		errors.As(err, &w.result.Stuck)
		w.violated(letter, "not done %v after the last fault: %s; %d sendings have no end%s",
			limit, w.result.Stuck.Why, w.oracle.open, w.oracle.unended(3))
	}
	return false
}

// firstLine is an error without the state of the network.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// every calls f now and then, each time after d and up to as much again, as long as
// the node lives on and more says so.
func (w *world) every(i int, d time.Duration, more func() bool, f func()) {
	life := w.oracle.nodes[i].life
	var again func()
	again = func() {
		n := &w.oracle.nodes[i]
		if n.life != life || n.down || !more() {
			return
		}
		f()
		w.net.After(d+time.Duration(w.rnd.Int64N(int64(d))), again)
	}
	w.net.After(time.Duration(w.rnd.Int64N(int64(d))), again)
}

// send sends from one node to another, connecting if need be.
func (w *world) send(from, to int, typ uint16, priority uint8, data []byte) error {
	conn, err := w.conn(from, to)
	if err != nil {
		return err
	}
	return w.oracle.send(conn, from, to, typ, priority, data)
}

// conn is the connection of a node with another.
func (w *world) conn(from, to int) (msg.Connection, error) {
	peer := w.c.Nodes[to]
	return w.c.Nodes[from].ConnectTo(peer.Name().Type, peer.Addrs())
}

// crash ends a node's life: its power fails, or its process dies.
func (w *world) crash(i int, power bool) {
	w.oracle.died(i)
	if power {
		w.c.Crash(i)
	} else {
		w.c.Kill(i)
	}
}

// restart begins a node's next life.
func (w *world) restart(i int) {
	w.c.Restart(i)
	if r, ok := w.s.(restarter); ok {
		r.restarted(i)
	}
}
