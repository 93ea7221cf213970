package simnet

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// HostConfig configures a Host; the zero value works.
type HostConfig struct {
	// Workers is the number of workers; 0 means 1.
	Workers int
	// Addrs are the host's addresses, the one that it is best reached by first; none means
	// one that is free, 10.0.0.1 the first. With several, of whatever kind, the host
	// can be dialled at each, and dials from the first of the peer's kind.
	Addrs []netip.Addr
	// RoundTime is how long a round of a worker takes, at least; 0 means 1 µs. A
	// large one is a slow machine.
	RoundTime time.Duration
	// ClockSkew is how far the host's time of day is wrong, ClockDrift what its
	// clocks gain each second; see Host.SetClock.
	ClockSkew, ClockDrift time.Duration
}

// machine is what a host's lives have in common.
type machine struct {
	name  string
	no    uint32 // from 0 up
	host  *Host  // the last life; nil: not added yet
	index int    // in Network.hosts
	rules []*Fault
	held  stallList // what waits for its next life
}

// machine is that of a name, a new one if there is none.
func (n *Network) machine(name string) *machine {
	m := n.byName[name]
	if m == nil {
		m = &machine{name: name, no: uint32(len(n.byName))}
		n.byName[name] = m
	}
	return m
}

type hostState uint8

const (
	running hostState = iota
	closing           // in Close
	closed
	crashed
)

// Host is one life of a machine: an eventloop.Stack, and an executor of jobs. A
// crash ends it; Restart gives the next one.
type Host struct {
	net     *Network
	name    string
	machine *machine
	life    int // 0 for the first
	cfg     HostConfig
	rand    rand.PCG
	clock   clock
	state   hostState // written under mu
	paused  bool
	slept   []job // submitted while paused

	workers   []*worker
	placement eventloop.Placement
	sockets   endpointList
	lastDial  uint16 // port given to a dial

	mu         sync.Mutex // guards the fields below: any goroutine listens
	listeners  []*listener
	lastListen uint16 // port given to a listener
}

// AddHost adds a machine. The name must be new.
func (n *Network) AddHost(name string, cfg HostConfig) *Host {
	m := n.machine(name)
	if m.host != nil {
		panic(fmt.Sprintf("simnet: there is a host %q already; Restart gives a new one", name))
	}
	for k := len(n.hosts) + 1; len(cfg.Addrs) == 0; k++ {
		a := netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)})
		if n.byAddr[a] == nil {
			cfg.Addrs = []netip.Addr{a}
		}
	}
	for _, a := range cfg.Addrs {
		if n.byAddr[a] != nil {
			panic(fmt.Sprintf("simnet: %s and %s have the same address %s", n.byAddr[a].name, name, a))
		}
	}
	if cfg.Workers == 0 {
		cfg.Workers = 1
	}
	if cfg.RoundTime == 0 {
		cfg.RoundTime = time.Microsecond
	}
	m.index = len(n.hosts)
	for _, a := range cfg.Addrs {
		n.byAddr[a] = m
	}
	n.hosts = append(n.hosts, nil)
	h := n.newHost(m, 0, cfg)
	if cfg.ClockSkew != 0 || cfg.ClockDrift != 0 {
		h.clock.set(cfg.ClockSkew, cfg.ClockDrift)
	}
	return h
}

func (n *Network) newHost(m *machine, life int, cfg HostConfig) *Host {
	h := &Host{
		net: n, name: m.name, machine: m, life: life, cfg: cfg,
		rand:       *split(n.seed, fmt.Sprintf("host %s %d", m.name, life)),
		lastDial:   firstDialPort - 1 + uint16(life%100)*100,
		lastListen: firstListenPort - 1,
	}
	h.clock.n = n
	for i := range cfg.Workers {
		w := &worker{host: h, id: i}
		w.mailbox.Init(func() { n.wake(w) })
		w.wakeSoon() // the first round, after which the mailbox wakes it
		h.workers = append(h.workers, w)
	}
	m.host = h
	n.hosts[m.index] = h
	return h
}

// Host is the machine of that name in its present life, nil if there is none.
func (n *Network) Host(name string) *Host {
	if m := n.byName[name]; m != nil {
		return m.host
	}
	return nil
}

// Name is the machine's name, the same in all its lives.
func (h *Host) Name() string { return h.name }

// Addr is the host's first address.
func (h *Host) Addr() netip.Addr { return h.cfg.Addrs[0] }

// Rand gives numbers from the host's generator: for Config.Rand of what runs here.
// It belongs to the goroutine that runs the network.
func (h *Host) Rand() uint64 { return h.rand.Uint64() }

// NumWorkers implements eventloop.Stack.
func (h *Host) NumWorkers() int { return len(h.workers) }

// Worker implements eventloop.Stack.
func (h *Host) Worker(i int) eventloop.Worker { return h.workers[i] }

// Pick implements eventloop.Stack.
func (h *Host) Pick() eventloop.Worker {
	return h.workers[h.placement.Pick(len(h.workers), func(i int) int { return h.workers[i].Load() })]
}

// Clock implements eventloop.Stack.
func (h *Host) Clock() eventloop.Clock { return &h.clock }

// job is something submitted.
type job struct {
	host *Host
	run  func()
}

func (n *Network) scheduleJob(j job) {
	switch {
	case j.host.state == crashed:
	case j.host.paused:
		j.host.slept = append(j.host.slept, j)
	default:
		var p *job
		if k := len(n.jobPool); k > 0 {
			p = n.jobPool[k-1]
			n.jobPool = n.jobPool[:k-1]
		} else {
			p = new(job)
		}
		*p = j
		n.schedule(n.Now()+j.host.jitter(), p, 0)
	}
}

func (p *job) happen(uint64) {
	j := *p
	*p = job{}
	j.host.net.jobPool = append(j.host.net.jobPool, p)
	switch {
	case j.host.state == crashed:
	case j.host.paused:
		j.host.slept = append(j.host.slept, j)
	default:
		j.run()
	}
}

// Submit has a job run soon, between the callbacks of the workers, as a pool of
// goroutines would (dispatch.Executor). It never refuses; the jobs of a host that
// crashes do not run. Any goroutine.
func (h *Host) Submit(run func()) error {
	h.net.submit(job{h, run})
	return nil
}

// jitter is how long something woken takes to run.
func (h *Host) jitter() time.Duration {
	if h.net.cfg.Smooth {
		return time.Microsecond
	}
	return time.Duration(h.below(5000))
}

// chance is true once in n times, on average; never in a smooth network.
func (h *Host) chance(n int) bool { return !h.net.cfg.Smooth && h.below(n) == 0 }

// below is a random number from 0 to n-1.
func (h *Host) below(n int) int {
	hi, _ := bits.Mul64(h.rand.Uint64(), uint64(n))
	return int(hi)
}

// Close implements eventloop.Stack: an orderly end, as of a process that exits.
// Its connections are closed.
func (h *Host) Close() error {
	if h.state != running {
		return nil
	}
	h.setState(closing)
	for _, w := range h.workers {
		w.mailbox.Close()
	}
	for again := true; again; {
		again = false
		for _, w := range h.workers {
			again = w.mailbox.Run(1024) > 0 || again
		}
	}
	h.end(closed, (*endpoint).close)
	return nil
}

// Crash is a power failure: the host is gone at once, and nobody is told. Its
// peers notice when they get no answer, or RST after Restart.
func (h *Host) Crash() { h.die((*endpoint).vanish) }

// Kill is the sudden death of the process: its connections are reset.
func (h *Host) Kill() { h.die((*endpoint).abort) }

func (h *Host) die(end func(*endpoint)) {
	if h.state == crashed {
		return
	}
	h.net.note("crash", h.name)
	was := h.state
	h.setState(crashed)
	if was == running {
		for _, w := range h.workers {
			w.mailbox.Close() // what was posted never runs
		}
	}
	h.end(crashed, end)
}

func (h *Host) setState(s hostState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = s
}

func (h *Host) end(state hostState, each func(*endpoint)) {
	for _, l := range h.allListeners() {
		l.shut()
		l.dropBacklog()
	}
	h.setState(state)
	h.paused, h.slept = false, nil
	for e := h.sockets.first; e != nil; e = h.sockets.first {
		if e.t != nil {
			e.t.state, e.t.e, e.t.h = dead, nil, nil
		}
		e.t, e.socket = nil, nil
		each(e)
		e.leave()
	}
	for _, w := range h.workers {
		w.load.Store(0)
		w.ready, w.dirty = nil, nil
	}
}

// Down says whether the host has crashed, or was killed, and not come back.
func (h *Host) Down() bool { return h.state == crashed && h.machine.host == h }

// Paused says whether Pause has stopped the process.
func (h *Host) Paused() bool { return h.paused }

// Pause stops the process, as SIGSTOP does: its kernel goes on taking and
// granting, nothing of its own runs until Resume. Its clocks go on meanwhile.
func (h *Host) Pause() {
	if h.state == running && !h.paused {
		h.net.note("pause", h.name)
		h.paused = true
	}
}

// Resume ends Pause.
func (h *Host) Resume() {
	if !h.paused {
		return
	}
	h.net.note("resume", h.name)
	h.paused = false
	slept := h.slept
	h.slept = nil
	for _, j := range slept {
		h.net.scheduleJob(j)
	}
	for _, w := range h.workers {
		w.wakeSoon()
	}
}

// Restart gives the machine its next life, with the same name, addresses and
// clock, and nothing else: Rand gives other numbers than it gave in the life
// before. The host must have crashed or been closed.
func (h *Host) Restart() *Host {
	n := h.net
	if h.state == running || h.machine.host != h {
		panic(fmt.Sprintf("simnet: Restart of %s, which runs", h.name))
	}
	n.note("restart", h.name)
	next := n.newHost(h.machine, h.life+1, h.cfg)
	next.clock.p.Store(h.clock.p.Load())
	resend(h.machine.held.take())
	return next
}

// Submit and Stack are all that a messenger needs.
var _ interface {
	eventloop.Stack
	eventloop.Hosted
} = (*Host)(nil)
