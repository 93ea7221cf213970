package simnet

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Config configures a Network; the zero value works.
type Config struct {
	// Link is what links are unless SetLink says otherwise.
	Link LinkConfig
	// Window is how many bytes of one direction of a connection may be under way
	// or unread; 0 means 64 KiB. Write takes no more.
	Window int
	// ShortWrites makes one in so many writes take less than there is room for, as
	// a kernel short of memory does; 0: none. (The suite of package stacktest has
	// small writes that must not be short.)
	ShortWrites int
	// Smooth turns off the splitting of writes and reads and the shuffling of ready
	// sockets: a friendly network, a little faster.
	Smooth bool
	// Epoch is the time of day at the beginning; the zero value means 2020-01-01 UTC.
	Epoch time.Time
}

// Network is a set of hosts and what is between them. See the package
// documentation for who may call what.
type Network struct {
	cfg   Config
	seed  uint64
	now   atomic.Int64 // a time.Duration; the running goroutine writes it
	queue eventQueue
	seq   uint64

	hosts  []*Host              // in the order of their coming
	byAddr map[netip.Addr]*Host // the last incarnation
	links  map[linkKey]*link    // looked up only
	conns  map[uint64]*stream   // established or on the way there
	lastID uint64               // of a stream
	rules  []*Fault
	trace  tracer

	mu    sync.Mutex // guards the fields below: any goroutine
	woken []*worker
	jobs  []job
}

// New returns an empty network.
func New(seed uint64, cfg Config) *Network {
	if cfg.Link.Latency == nil {
		cfg.Link.Latency = Uniform(100*time.Microsecond, 300*time.Microsecond)
	}
	if cfg.Window == 0 {
		cfg.Window = 64 << 10
	}
	if cfg.Epoch.IsZero() {
		cfg.Epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	n := &Network{
		cfg: cfg, seed: seed,
		byAddr: map[netip.Addr]*Host{}, links: map[linkKey]*link{}, conns: map[uint64]*stream{},
	}
	n.trace.hash = fnvOffset
	return n
}

// Seed is the seed given to New.
func (n *Network) Seed() uint64 { return n.seed }

// Now is the virtual time since the beginning; any goroutine.
func (n *Network) Now() time.Duration { return time.Duration(n.now.Load()) }

// event is something that happens at a time; equal times in the order of seq.
type event struct {
	at  time.Duration
	seq uint64
	do  action
	arg uint64
}

type action interface{ happen(arg uint64) }

type actionFunc func()

func (f actionFunc) happen(uint64) { f() }

func (n *Network) schedule(at time.Duration, do action, arg uint64) {
	n.seq++
	n.queue.push(event{max(at, n.Now()), n.seq, do, arg})
}

// After has f run d from now, between the callbacks of hosts; f may use the
// network and the hosts freely, but not run it.
func (n *Network) After(d time.Duration, f func()) { n.schedule(n.Now()+d, actionFunc(f), 0) }

// wake notes that a worker has been posted to; any goroutine.
func (n *Network) wake(w *worker) {
	n.mu.Lock()
	n.woken = append(n.woken, w)
	n.mu.Unlock()
}

// takeWoken schedules what other goroutines, or callbacks, asked for.
func (n *Network) takeWoken() {
	n.mu.Lock()
	woken, jobs := n.woken, n.jobs
	n.woken, n.jobs = nil, nil
	n.mu.Unlock()
	for _, w := range woken {
		w.wakeSoon()
	}
	for _, j := range jobs {
		if j.host.state != crashed {
			n.schedule(n.Now()+j.host.jitter(), j, 0)
		}
	}
}

// Step lets the next event happen and moves the clock there. It returns false
// if there is none.
func (n *Network) Step() bool { return n.step(1<<63 - 1) }

func (n *Network) step(limit time.Duration) bool {
	n.takeWoken()
	if len(n.queue) == 0 || n.queue[0].at > limit {
		return false
	}
	ev := n.queue.pop()
	n.now.Store(int64(ev.at))
	ev.do.happen(ev.arg)
	return true
}

// Run lets everything happen that is due within d, and moves the clock by d.
func (n *Network) Run(d time.Duration) {
	end := n.Now() + d
	for n.step(end) {
	}
	n.now.Store(int64(end))
}

// RunUntil lets events happen until cond holds. If no event is left, or limit of
// virtual time has passed, it returns a *StuckError that shows all sockets.
func (n *Network) RunUntil(cond func() bool, limit time.Duration) error {
	end := n.Now() + limit
	for !cond() {
		if !n.step(end) {
			why := fmt.Sprintf("nothing for %v", limit)
			if len(n.queue) == 0 {
				why = "no event is left"
			}
			return &StuckError{At: n.Now(), Why: why, Seed: n.seed, Sockets: n.Netstat(), Last: n.Last()}
		}
	}
	return nil
}

// StuckError says that what RunUntil waited for did not happen.
type StuckError struct {
	At      time.Duration
	Why     string
	Seed    uint64
	Sockets string // see Network.Netstat
	Last    string // see Network.Last
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("simnet: no progress at %v: %s (seed %d)\n%s%s", e.At, e.Why, e.Seed, e.Sockets, e.Last)
}

// clock is a host's clock.
type clock struct {
	n    *Network
	skew time.Duration
}

func (c clock) Now() time.Duration { return c.n.Now() }
func (c clock) Wall() time.Time    { return c.n.cfg.Epoch.Add(c.n.Now() + c.skew) }

var _ eventloop.Clock = clock{}

// eventQueue is a binary heap.
type eventQueue []event

func (q eventQueue) less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}

func (q *eventQueue) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if !h.less(i, p) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
}

func (q *eventQueue) pop() event {
	h := *q
	top, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	*q = h
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			return top
		}
		if c+1 < last && h.less(c+1, c) {
			c++
		}
		if !h.less(c, i) {
			return top
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
