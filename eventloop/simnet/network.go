package simnet

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
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
	// Asleep lends a worker (eventloop.Lender) one in so many times that somebody asks for
	// it while it has nothing to do; 0 or less: never. With it the methods of Lender belong
	// to the goroutine that runs the network, and so does Send of a connection, since it
	// calls them.
	Asleep int
	// OnLend, if set, is called right before what borrowed a worker of h runs: for what
	// other goroutines do in that moment. It may use connections as they may.
	OnLend func(h *Host)
	// Smooth turns off the splitting of writes and reads and the shuffling of ready
	// sockets: a friendly network, a little faster.
	Smooth bool
	// Epoch is the time of day at the beginning; the zero value means 2020-01-01 UTC.
	Epoch time.Time
	// Framer makes the Framer of one direction of a connection, for breakpoints and
	// for names in traces and charts; nil: bytes are bytes.
	Framer func(c Conn, fromDialer bool) Framer
	// Crowd is how many events may happen at one instant before the run ends with a
	// StuckError, because time does not go on; 0 means a million.
	Crowd int
	// Outside, if set, is where time is and where goroutines are that use the hosts:
	// package asynctest/bubble is one. Step then lets happen what is due at that time, and
	// no more, Run and RunUntil panic, and Host.Listen, Listener.Close and Socket.Close may
	// be called by any goroutine; the last two are done before the next event. Asleep must
	// be 0.
	Outside Outside
}

// Network is a set of hosts and what is between them. See the package
// documentation for who may call what.
type Network struct {
	cfg   Config
	seed  uint64
	now   atomic.Int64 // a time.Duration, of the last event at least; the running goroutine writes it
	queue eventQueue
	crowd int    // events at this instant
	steps uint64 // events that have happened
	err   error  // why nothing goes on: *PanicError, *StuckError or ErrEnded
	hits  []*Hit
	done  <-chan struct{} // of EndOn; nil: none
	looks uint            // events since the last look at done

	hosts  []*Host // in the order of their coming
	byName map[string]*machine
	byAddr map[netip.Addr]*machine
	links  map[linkKey]*link // looked up only
	local  LinkConfig        // from a host to itself
	conns  streamList        // those that have at least one living end
	lastID uint64            // of a stream
	rules  []*Fault          // all that are in force, in the order of their coming
	breaks []*Breakpoint
	trace  tracer

	everywhere     []*Fault // those of rules that have no scope
	faults, stalls uint64   // how many there have been

	// What is used again and again.
	asked   Packet  // by judge
	asking  bool    // it is in use
	packets *packet // a list
	jobPool []*job
	buffers bufferPool
	scratch []byte   // of all workers: one callback runs at a time
	locals  sync.Map // likewise; see LoadOrStore

	arriving bool    // a packet is being handed over
	due      *worker // that it has woken

	posted atomic.Bool // there is something in the fields below
	mu     sync.Mutex  // guards the fields below: any goroutine
	woken  []*worker
	jobs   []job
	calls  []func()
	// Emptied, and used in turn with those above; the running goroutine's.
	wokenSpare []*worker
	jobsSpare  []job
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
	if cfg.Crowd == 0 {
		cfg.Crowd = 1_000_000
	}
	if cfg.Outside != nil && cfg.Asleep > 0 {
		panic("simnet: Config.Asleep lends workers to one goroutine, and Config.Outside has several")
	}
	n := &Network{
		cfg: cfg, seed: seed, scratch: make([]byte, scratchSize),
		local:  LinkConfig{Latency: Fixed(10 * time.Microsecond)},
		byName: map[string]*machine{}, byAddr: map[netip.Addr]*machine{}, links: map[linkKey]*link{},
	}
	n.trace.hash = hashSeed
	return n
}

// Seed is the seed given to New.
func (n *Network) Seed() uint64 { return n.seed }

// Now is the virtual time since the beginning; any goroutine.
func (n *Network) Now() time.Duration {
	if o := n.cfg.Outside; o != nil {
		return o.Now()
	}
	return time.Duration(n.now.Load())
}

// Events is how many events have been scheduled so far, and Steps how many have happened.
func (n *Network) Events() uint64 { return n.queue.seq }

// Steps: see Events.
func (n *Network) Steps() uint64 { return n.steps }

func (n *Network) schedule(at time.Duration, do action, arg uint64) {
	n.queue.push(max(at, n.Now()), do, arg)
}

// After has f run d from now, between the callbacks of hosts; f may use the
// network and the hosts freely, but not run it.
func (n *Network) After(d time.Duration, f func()) { n.schedule(n.Now()+d, actionFunc(f), 0) }

// wake notes that a worker has been posted to; any goroutine.
func (n *Network) wake(w *worker) {
	n.mu.Lock()
	n.woken = append(n.woken, w)
	n.posted.Store(true)
	n.mu.Unlock()
	n.tellPosted()
}

// submit notes a job; any goroutine.
func (n *Network) submit(j job) {
	n.mu.Lock()
	n.jobs = append(n.jobs, j)
	n.posted.Store(true)
	n.mu.Unlock()
	n.tellPosted()
}

// takePosted schedules what other goroutines, or callbacks, asked for.
func (n *Network) takePosted() {
	n.mu.Lock()
	woken, jobs, calls := n.woken, n.jobs, n.calls
	n.woken, n.jobs, n.calls = n.wokenSpare, n.jobsSpare, nil
	n.posted.Store(false)
	n.mu.Unlock()
	if n.cfg.Outside != nil {
		inOrder(woken, jobs)
	}
	for _, f := range calls {
		f()
	}
	for _, w := range woken {
		w.wakeSoon()
	}
	for _, j := range jobs {
		n.scheduleJob(j)
	}
	clear(woken)
	clear(jobs)
	n.wokenSpare, n.jobsSpare = woken[:0], jobs[:0]
}

// Step lets the next event happen and moves the clock there. It returns false
// if there is none, and when the run has ended for a reason that Err tells. With
// Config.Outside it returns false, too, if the next event is not due yet.
func (n *Network) Step() bool {
	if n.cfg.Outside != nil {
		return n.step(n.Now())
	}
	return n.step(1<<63 - 1)
}

func (n *Network) step(limit time.Duration) bool {
	if n.posted.Load() {
		n.takePosted()
	}
	if n.queue.len() == 0 || n.queue.next() > limit || n.err != nil {
		return false
	}
	at, do, arg := n.queue.pop()
	if int64(at) > n.now.Load() {
		n.now.Store(int64(at))
		n.crowd = 0
	} else if n.crowd++; n.crowd > n.cfg.Crowd {
		n.fail(n.stuck("time does not go on: %d events at this instant", n.crowd))
		return false
	}
	n.steps++
	do.happen(arg)
	return n.err == nil
}

// lookEvery is how many events pass between two looks at the channel of EndOn: a
// fraction of a millisecond.
const lookEvery = 256

// EndOn has Run and RunUntil end with ErrEnded soon after done is closed, wherever they
// are: for programs that are interrupted. What happens until then is the same as without.
// nil takes it back: a run that was ended can go on.
func (n *Network) EndOn(done <-chan struct{}) {
	n.done, n.looks = done, lookEvery-1
	if done == nil && n.err == ErrEnded {
		n.err = nil
	}
}

func (n *Network) look() {
	if n.done == nil {
		return
	}
	if n.looks++; n.looks < lookEvery {
		return
	}
	n.looks = 0
	select {
	case <-n.done:
		n.fail(ErrEnded)
	default:
	}
}

// Run lets everything happen that is due within d, and moves the clock by d. It
// stops early, with a *Hit, when a breakpoint is reached: to go on, call it again.
// Any other error is that of Err and final.
func (n *Network) Run(d time.Duration) error {
	n.mustRunItself("Run")
	end := n.Now() + d
	for more := true; more; more = n.step(end) {
		n.look()
		if h := n.NextHit(); h != nil {
			return h
		}
	}
	if n.err != nil {
		return n.err
	}
	n.now.Store(int64(end))
	n.crowd = 0
	return nil
}

// RunUntil lets events happen until cond holds. If no event is left, or limit of
// virtual time has passed, it returns a *StuckError that shows all sockets. It
// stops early, with a *Hit, when a breakpoint is reached: to go on, call it again.
// Any other error is that of Err and final.
func (n *Network) RunUntil(cond func() bool, limit time.Duration) error {
	n.mustRunItself("RunUntil")
	end := n.Now() + limit
	for !cond() {
		n.look()
		if h := n.NextHit(); h != nil {
			return h
		}
		if !n.step(end) {
			switch {
			case n.err != nil:
				return n.err
			case n.queue.len() == 0:
				return n.stuck("no event is left")
			}
			return n.stuck("nothing for %v", limit)
		}
	}
	return nil
}

// Err is why the run has ended: a *PanicError when a rule panicked, a *StuckError
// when time did not go on, ErrEnded when EndOn's channel was closed, another error when
// who borrowed a worker panicked; nil while it can go on.
func (n *Network) Err() error { return n.err }

func (n *Network) fail(err error) {
	if n.err == nil {
		n.err = err
	}
}
