package simnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// HostConfig configures a Host; the zero value works.
type HostConfig struct {
	// Workers is the number of workers; 0 means 1.
	Workers int
	// Addrs are the host's addresses; none means one that is free, 10.0.0.1 the
	// first.
	Addrs []netip.Addr
	// RoundTime is how long a round of a worker takes, at least; 0 means 1 µs. A
	// large one is a slow machine.
	RoundTime time.Duration
	// ClockSkew is how far the host's time of day is wrong.
	ClockSkew time.Duration
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
	net   *Network
	name  string
	life  int // 0 for the first
	cfg   HostConfig
	rand  *rand.Rand
	clock clock
	state hostState

	workers   []*worker
	placement eventloop.Placement
	listeners []*listener
	sockets   []*endpoint // in the order of their coming
	lastPort  [2]uint16   // given to a dial, to a listener
}

// Where ports are looked for.
const (
	firstDialPort   = 32768
	firstListenPort = 20000
)

// AddHost adds a machine. The name must be new.
func (n *Network) AddHost(name string, cfg HostConfig) *Host {
	for _, h := range n.hosts {
		if h.name == name {
			panic(fmt.Sprintf("simnet: there is a host %q already; Restart gives a new one", name))
		}
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
	h := n.newHost(name, 0, cfg)
	n.hosts = append(n.hosts, h)
	return h
}

func (n *Network) newHost(name string, life int, cfg HostConfig) *Host {
	h := &Host{
		net: n, name: name, life: life, cfg: cfg, clock: clock{n, cfg.ClockSkew},
		rand:     split(n.seed, fmt.Sprintf("host %s %d", name, life)),
		lastPort: [2]uint16{firstDialPort - 1 + uint16(life%100)*100, firstListenPort - 1},
	}
	for i := range cfg.Workers {
		w := &worker{host: h, id: i, scratch: make([]byte, scratchSize)}
		w.mailbox.Init(func() { n.wake(w) })
		w.wakeSoon() // the first round, after which the mailbox wakes it
		h.workers = append(h.workers, w)
	}
	for _, a := range cfg.Addrs {
		n.byAddr[a] = h
	}
	return h
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
func (h *Host) Clock() eventloop.Clock { return h.clock }

// job is something submitted.
type job struct {
	host *Host
	run  func()
}

func (j job) happen(uint64) {
	if j.host.state != crashed {
		j.run()
	}
}

// Submit has a job run soon, between the callbacks of the workers, as a pool of
// goroutines would (dispatch.Executor). It never refuses; the jobs of a host that
// crashes do not run. Any goroutine.
func (h *Host) Submit(run func()) error {
	n := h.net
	n.mu.Lock()
	n.jobs = append(n.jobs, job{h, run})
	n.mu.Unlock()
	return nil
}

// jitter is how long something woken takes to run.
func (h *Host) jitter() time.Duration {
	if h.net.cfg.Smooth {
		return time.Microsecond
	}
	return time.Duration(h.rand.IntN(5000))
}

// chance is true once in n times, on average; never in a smooth network.
func (h *Host) chance(n int) bool { return !h.net.cfg.Smooth && h.rand.IntN(n) == 0 }

// Close implements eventloop.Stack: an orderly end, as of a process that exits.
// Its connections are closed.
func (h *Host) Close() error {
	if h.state != running {
		return nil
	}
	h.state = closing
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
	h.state = crashed
	if was == running {
		for _, w := range h.workers {
			w.mailbox.Close() // what was posted never runs
		}
	}
	h.end(crashed, end)
}

func (h *Host) end(state hostState, each func(*endpoint)) {
	for len(h.listeners) > 0 {
		_ = h.listeners[0].Close()
	}
	h.state = state
	for len(h.sockets) > 0 {
		e := h.sockets[0]
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
func (h *Host) Down() bool { return h.state == crashed && h.net.byAddr[h.Addr()] == h }

// Restart gives the machine its next life, with the same name and addresses and
// nothing else. The host must have crashed or been closed.
func (h *Host) Restart() *Host {
	n := h.net
	if h.state == running || n.byAddr[h.Addr()] != h {
		panic(fmt.Sprintf("simnet: Restart of %s, which runs", h.name))
	}
	n.note("restart", h.name)
	next := n.newHost(h.name, h.life+1, h.cfg)
	for i, old := range n.hosts {
		if old == h {
			n.hosts[i] = next
		}
	}
	n.Recheck()
	return next
}

// Submit and Stack are all that a messenger needs.
var _ eventloop.Stack = (*Host)(nil)

// owns says whether a is an address of the host, or any.
func (h *Host) owns(a netip.Addr) bool {
	if a.IsUnspecified() {
		return true
	}
	for _, mine := range h.cfg.Addrs {
		if mine == a {
			return true
		}
	}
	return false
}

// port finds a free port, for a dial (0) or a listener (1).
func (h *Host) port(what int) uint16 {
	first, last := uint16(firstDialPort), uint16(65535)
	if what == 1 {
		first, last = firstListenPort, firstDialPort-1
	}
	for {
		p := &h.lastPort[what]
		if *p++; *p < first || *p > last {
			*p = first
		}
		if !h.portUsed(*p) {
			return *p
		}
	}
}

func (h *Host) portUsed(p uint16) bool {
	for _, l := range h.listeners {
		if l.addr.Port() == p {
			return true
		}
	}
	return false
}

// Listen implements eventloop.Stack.
func (h *Host) Listen(addr netip.AddrPort, cfg eventloop.ListenConfig, accept func(eventloop.Socket)) (eventloop.Listener, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	switch {
	case h.state != running:
		return nil, eventloop.ErrStackClosed
	case !addr.Addr().IsValid():
		return nil, fmt.Errorf("simnet: listen: %w", syscall.EINVAL)
	case !h.owns(addr.Addr()):
		return nil, fmt.Errorf("simnet: listen %s: %w", addr, syscall.EADDRNOTAVAIL)
	}
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), h.port(1))
	}
	for _, l := range h.listeners {
		if l.addr.Port() == addr.Port() && (l.addr.Addr() == addr.Addr() || l.addr.Addr().IsUnspecified() || addr.Addr().IsUnspecified()) {
			return nil, fmt.Errorf("simnet: listen %s: %w", addr, syscall.EADDRINUSE)
		}
	}
	if cfg.Backlog == 0 {
		cfg.Backlog = 512
	}
	l := &listener{host: h, addr: addr, cfg: cfg, accept: accept, w: h.Pick().(*worker)}
	h.listeners = append(h.listeners, l)
	return l, nil
}

func (h *Host) listenerAt(a netip.AddrPort) *listener {
	for _, l := range h.listeners {
		if l.addr == a || l.addr.Port() == a.Port() && l.addr.Addr().IsUnspecified() {
			return l
		}
	}
	return nil
}

// listener implements eventloop.Listener.
type listener struct {
	host    *Host
	addr    netip.AddrPort
	cfg     eventloop.ListenConfig
	accept  func(eventloop.Socket)
	w       *worker
	backlog []*endpoint
	queued  bool // in w.ready
	done    bool
}

func (l *listener) Addr() netip.AddrPort { return l.addr }

func (l *listener) Close() error {
	if l.done {
		return nil
	}
	l.done = true
	for i, other := range l.host.listeners {
		if other == l {
			l.host.listeners = append(l.host.listeners[:i:i], l.host.listeners[i+1:]...)
		}
	}
	for _, e := range l.backlog {
		if l.host.state != crashed {
			e.abort()
		}
	}
	l.backlog = nil
	return nil
}

// service accepts all that wait.
func (l *listener) service() {
	l.queued = false
	for len(l.backlog) > 0 && !l.done {
		e := l.backlog[0]
		l.backlog = l.backlog[1:]
		if e.over() {
			continue // reset meanwhile
		}
		l.accept(newSocket(e, nil))
	}
}
