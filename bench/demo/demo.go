package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/admin"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

const (
	// quietMax is how long the store may take to answer what is in flight when
	// the traffic ends; drainMax how long what was sent may take to be acknowledged
	// then; shutdownMax how long the messengers may take to end.
	quietMax    = 10 * time.Second
	drainMax    = 10 * time.Second
	shutdownMax = 10 * time.Second
	// dispatchMax is how many dispatchers run at a time, of all messengers together.
	dispatchMax = 8
	// The backoffs are short because every failure here is over at once.
	backoffMin = 10 * time.Millisecond
	backoffMax = 200 * time.Millisecond
	// Cold objects are those no client writes: replicas get them by recovery.
	coldPerOSD = 32
	firstCold  = 1 << 24
)

func isCold(object uint32) bool { return object >= firstCold }

// demo is one run.
type demo struct {
	admin    *admin.Server // nil: not wanted
	page     *page         // nil: not wanted
	cfg      Config
	contents *contents
	oracle   *Oracle
	stack    *faultkit.CutStack
	pool     *dispatch.AntsPool
	clock    eventloop.Clock
	start    time.Time
	keys     keys

	messengersMu sync.Mutex
	messengers   []*async.Messenger // that live
	gone         []*async.Messenger // of clients that were killed

	osds    []*osd
	clients []*client
	manager *manager

	// Any goroutine.
	acked    []atomic.Uint64 // by object: generation acknowledged to its writer
	lives    []atomic.Uint64 // by client: how often it was killed
	restarts atomic.Int64    // of clients
	meters   [numClasses]*meter
	notifies atomic.Int64 // sendings with a Notify whose end is not known
	stopping atomic.Bool  // no new operations
	draining atomic.Bool  // the messengers are being drained
	closing  atomic.Bool  // the messengers are being shut down
	cuts     cutCounts

	rngMu sync.Mutex
	rng   *rand.Rand // of the cuts

	used usage // the most seen
}

type cutCounts struct {
	kinds     [3]atomic.Uint64
	dirs      [2]atomic.Uint64
	handshake atomic.Uint64 // of which before keys.handshakeBytes
}

func (d *demo) now() time.Duration { return d.clock.Now() }

// Run runs the demo until its time is over or ctx ends, whichever is first, and
// reports: when ctx ends it, everything is finished and checked all the same, the
// messengers are drained, and the report is marked Interrupted. The error is for what
// kept it from running; broken promises are in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	before := usageNow()
	d, err := newDemo(cfg)
	if err != nil {
		if cfg.Page != nil {
			_ = cfg.Page.Close()
		}
		return nil, err
	}
	err = d.open()
	if err == nil && d.cfg.Admin != "" {
		d.admin, err = admin.Listen(admin.Config{Path: d.cfg.Admin, Messengers: d.messengers, Version: "demo"})
	}
	if err == nil && d.cfg.Page != nil {
		d.page, err = newPage(d)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	r := &Report{Seed: d.cfg.Seed, OSDs: d.cfg.OSDs, Clients: d.cfg.Conns, Busy: d.cfg.Clients, Sessions: d.sessions(),
		Method: auth.MethodName(d.keys.method()), Mode: auth.ModeName(d.keys.mode())}
	if d.cfg.Began != nil {
		d.cfg.Began(r)
	}
	r.Interrupted = !d.run(ctx)
	if d.page != nil {
		d.page.close() // nobody hurts anything from here on
	}
	r.Seconds = time.Since(d.start).Seconds()
	d.quiet(quietMax)
	d.oracle.Close()
	d.verify(r)
	d.fill(r, before)
	if d.admin != nil {
		_ = d.admin.Close() // nothing depends on it
	}
	r.Drained = d.drain(drainMax)
	if err := d.close(); err != nil {
		d.oracle.Failed("shutdown: %v", err)
	}
	r.GoroutinesAfter = d.leaks(before.goroutines)
	d.conclude(r)
	return r, nil
}

func newDemo(cfg Config) (*demo, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &demo{cfg: cfg, oracle: NewOracle(), contents: newContents(cfg.Seed, cfg.Sizes),
		rng: rand.New(rand.NewPCG(cfg.Seed, 0))}
	if cfg.Secure {
		d.keys.make()
	}
	for i := range d.meters {
		d.meters[i] = newMeter()
	}
	d.acked = make([]atomic.Uint64, cfg.Conns*objectsPerClient)
	d.lives = make([]atomic.Uint64, cfg.Conns)
	return d, nil
}

// open starts everything and connects it.
func (d *demo) open() error {
	inner, err := netpollstack.Open(netpollstack.Config{Workers: d.cfg.Workers})
	if err != nil {
		return err
	}
	d.stack = faultkit.NewCutStack(inner, faultkit.CutConfig{Plan: d.planCut, OnCut: d.onCut})
	d.stack.Calm(true)
	d.clock = d.stack.Stack().Clock()
	width := dispatchMax
	if d.cfg.Page != nil {
		width += 2 * d.cfg.OSDs * stallWidth
	}
	if d.pool, err = dispatch.NewAntsPool(dispatch.AntsConfig{Size: width}); err != nil {
		return err
	}
	for i := range d.cfg.OSDs {
		o, err := newOSD(d, i)
		if err != nil {
			return err
		}
		d.osds = append(d.osds, o)
		for k := range coldPerOSD {
			id := uint32(firstCold + i*coldPerOSD + k)
			h, b := d.contents.body(id, 1)
			o.objects[id] = object{1, append(h, b...)}
			o.own = append(o.own, id)
		}
	}
	for _, o := range d.osds {
		if err := o.connect(); err != nil {
			return err
		}
	}
	for i := range d.cfg.Conns {
		c, err := newClient(d, i)
		if err != nil {
			return err
		}
		d.clients = append(d.clients, c)
	}
	d.manager, err = newManager(d)
	return err
}

// messenger returns a messenger on the demo's pool and a stack, and with what else change sets.
func (d *demo) messenger(name entity.Name, change func(*async.Config)) (*async.Messenger, error) {
	cfg := async.Config{
		Name: name, Stack: d.stack.Stack(), Executor: d.pool, AllowFaults: d.cfg.Admin != "" || d.cfg.Page != nil,
		InitialBackoff: backoffMin, MaxBackoff: backoffMax,
		Logger: slog.New(slog.DiscardHandler), // it would tell of every cut, and those are counted
	}
	if change != nil {
		change(&cfg)
	}
	if err := d.configure(&cfg); err != nil {
		return nil, err
	}
	m, err := async.New(cfg)
	if err == nil {
		d.messengersMu.Lock()
		defer d.messengersMu.Unlock()
		d.messengers = append(d.messengers, m)
	}
	return m, err
}

// left says that a messenger is no more.
func (d *demo) left(m *async.Messenger) {
	d.messengersMu.Lock()
	defer d.messengersMu.Unlock()
	d.messengers = slices.DeleteFunc(d.messengers, func(x *async.Messenger) bool { return x == m })
	d.gone = append(d.gone, m)
}

// primaryOf is the OSD that takes writes and reads of an object.
func (d *demo) primaryOf(object uint32) int {
	if isCold(object) {
		return int(object-firstCold) / coldPerOSD
	}
	return int(mix(uint64(object)) % uint64(d.cfg.OSDs))
}

// quiet ends cuts and traffic and waits until everything under way has its
// answer, at most for limit.
func (d *demo) quiet(limit time.Duration) {
	for _, o := range d.osds {
		o.hurt.heal()
	}
	d.stack.Calm(true)
	d.stopping.Store(true)
	deadline := time.Now().Add(limit)
	for {
		ops, pushes := 0, 0
		for _, c := range d.clients {
			ops += c.inFlight()
		}
		for _, o := range d.osds {
			o.mu.Lock()
			pushes += len(o.pushes) + len(o.writes)
			o.mu.Unlock()
		}
		missing, _ := d.oracle.Missing()
		notifies, polls, held := d.notifies.Load(), d.manager.outstanding(), d.throttled()
		if ops == 0 && pushes == 0 && missing == 0 && notifies == 0 && polls == 0 && held == 0 {
			return
		}
		if time.Now().After(deadline) {
			d.oracle.Failed("not quiet after %v: %d operations, %d pushes and replications, %d messages, "+
				"%d notifications, %d polls; %d held of throttles",
				limit, ops, pushes, missing, notifies, polls, held)
			for _, m := range d.messengers {
				for _, l := range d.linksOf(m) {
					if !l.conn.IsConnected() {
						d.oracle.Failed("%s is not connected: %v", m.Name(), l.conn)
					}
				}
			}
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// throttled is what messages hold of all throttles: nothing when all is quiet.
func (d *demo) throttled() (n int64) {
	for _, o := range d.osds {
		for _, t := range o.throttles {
			n += t.Stats().Held
		}
	}
	for _, m := range d.messengers {
		n += m.Stats().DispatchBytes
	}
	return n
}

func (d *demo) linksOf(m *async.Messenger) (ls []*link) {
	for _, c := range d.clients {
		if c.m == m {
			return c.links
		}
	}
	for _, o := range d.osds {
		if o.clu == m {
			for _, l := range o.peers {
				if l != nil {
					ls = append(ls, l)
				}
			}
		}
	}
	return ls
}

// verify compares every copy of every object with what was acknowledged.
func (d *demo) verify(r *Report) {
	check := func(id uint32, want uint64) {
		p := d.primaryOf(id)
		for _, at := range append([]int{p}, d.osds[p].replicas...) {
			x, err := d.osds[at].copyOf(id)
			switch {
			case err != nil && isCold(id) && at != p:
				r.NotRecovered++ // the run was too short for that
				continue
			case err != nil:
				d.oracle.Lost(1, "%v, gen %d was acknowledged", err, want)
			case x.gen != want:
				d.oracle.Lost(1, "%s has object %d gen %d, gen %d was acknowledged", d.osds[at].name, id, x.gen, want)
			case !d.contents.is(id, x.gen, x.header(), x.data()):
				d.oracle.Failed("%s: object %d gen %d has a wrong content", d.osds[at].name, id, x.gen)
			}
			r.Copies++
			r.CopyBytes += uint64(len(x.body))
		}
	}
	for id := range d.acked {
		if gen := d.acked[id].Load(); gen > 0 {
			r.Objects++
			check(uint32(id), gen)
		}
	}
	for id := range uint32(d.cfg.OSDs * coldPerOSD) {
		r.Objects++
		check(firstCold+id, 1)
	}
}

// drain ends the messengers as a daemon ends its own on SIGTERM: what was sent arrives
// before. All of them take part in that until nothing is left to be acknowledged
// anywhere; then one after the other goes. false: it took too long, and the rest is close's.
func (d *demo) drain(limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, m := range d.messengers {
		if err := m.Flush(ctx); err != nil {
			d.oracle.Failed("%s: flush: %v", m.Name(), err)
			return false
		}
	}
	d.draining.Store(true)
	for _, m := range d.messengers {
		if err := m.Drain(ctx); err != nil {
			d.oracle.Failed("%s: drain: %v", m.Name(), err)
			return false
		}
	}
	return true
}

// close ends everything, in any state of open.
func (d *demo) close() error {
	d.stopping.Store(true)
	d.closing.Store(true)
	if d.cfg.Page != nil {
		_ = d.cfg.Page.Close() // it may be closed already
	}
	for _, o := range d.osds {
		o.hurt.heal()
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownMax)
	defer cancel()
	var errs []error
	for _, m := range d.messengers {
		if err := m.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Name(), err))
		}
	}
	if d.pool != nil {
		errs = append(errs, d.pool.Release(ctx))
	}
	if d.stack != nil {
		errs = append(errs, d.stack.Stack().Close())
	}
	return errors.Join(errs...)
}

// leaks waits until no more goroutines run than before, and netpoll's pollers,
// which stay, and returns how many those are.
func (d *demo) leaks(before int) int {
	most := before + d.stack.Stack().NumWorkers()
	deadline := time.Now().Add(shutdownMax)
	for {
		n := usageNow().goroutines
		if n <= most {
			return n
		}
		if time.Now().After(deadline) {
			d.oracle.Failed("%d goroutines are left, there were %d and %d pollers",
				n, before, d.stack.Stack().NumWorkers())
			return n
		}
		time.Sleep(time.Millisecond)
	}
}

// sessions is the number of sessions of the first moment.
func (d *demo) sessions() int {
	return d.cfg.Conns*d.cfg.OSDs + d.cfg.OSDs*(d.cfg.OSDs-1)/2 + d.cfg.OSDs
}

var _ msg.Notifier = (*writeOp)(nil)
