package simnet

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

const (
	tasksPerRound = 1024
	scratchSize   = 32 << 10
	// readBudget bounds what one socket reads in a round.
	readBudget = 256 << 10
	// connectTimeout ends a dial without a timeout of its own, as the kernel's
	// retries do.
	connectTimeout = 127 * time.Second
)

// worker implements eventloop.Worker.
type worker struct {
	host    *Host
	id      int
	mailbox eventloop.Mailbox
	load    atomic.Int32

	timers   eventloop.TimerHeap
	ready    []serviceable
	serving  []serviceable
	dirty    []*transport
	flushing []*transport
	scratch  []byte

	rounding bool
	earliest time.Duration // of the next round
	at       time.Duration // of the scheduled round
	ticket   uint64        // of the scheduled round; other tickets are void
	waiting  bool          // a round is scheduled
}

// serviceable is a transport or a listener.
type serviceable interface{ service() }

// wakeAt has a round begin at that time or before.
func (w *worker) wakeAt(at time.Duration) {
	if w.rounding {
		return // the end of the round looks after it
	}
	at = max(at, w.earliest)
	if w.waiting && w.at <= at {
		return
	}
	w.waiting, w.at = true, at
	w.ticket++
	w.host.net.schedule(at, w, w.ticket)
}

func (w *worker) wakeSoon() { w.wakeAt(w.host.net.Now() + w.host.jitter()) }

// happen is a round.
func (w *worker) happen(ticket uint64) {
	if ticket != w.ticket || !w.alive() {
		return
	}
	now := w.host.net.Now()
	w.waiting, w.rounding = false, true
	w.mailbox.Awake()
	w.service()
	w.timers.Expire(now)
	for t := w.timers.PopExpired(); t != nil && w.alive(); t = w.timers.PopExpired() {
		t.Fire(now)
	}
	if w.alive() {
		w.mailbox.Run(tasksPerRound)
	}
	w.flush()
	w.rounding = false
	w.earliest = now + w.host.cfg.RoundTime
	if !w.alive() {
		return
	}
	if len(w.ready) > 0 || len(w.dirty) > 0 || !w.mailbox.Sleep() {
		w.wakeAt(w.earliest)
	}
	if at, ok := w.timers.Next(); ok {
		w.wakeAt(at)
	}
}

// alive: a callback may have ended the host.
func (w *worker) alive() bool { return w.host.state == running }

func (w *worker) service() {
	w.ready, w.serving = w.serving[:0], w.ready
	if len(w.serving) > 1 && !w.host.net.cfg.Smooth {
		w.host.rand.Shuffle(len(w.serving), func(i, j int) { w.serving[i], w.serving[j] = w.serving[j], w.serving[i] })
	}
	for i, s := range w.serving {
		w.serving[i] = nil
		if w.alive() {
			s.service()
		}
	}
}

func (w *worker) flush() {
	w.dirty, w.flushing = w.flushing[:0], w.dirty
	for i, t := range w.flushing {
		w.flushing[i] = nil
		if w.alive() {
			t.flush()
		}
	}
}

func (w *worker) mark(s serviceable) {
	w.ready = append(w.ready, s)
	w.wakeAt(w.host.net.Now())
}

func (w *worker) ID() int   { return w.id }
func (w *worker) Load() int { return int(w.load.Load()) }

func (w *worker) Now() time.Duration { return w.host.net.Now() }

func (w *worker) Post(t eventloop.Task) error { return w.mailbox.Post(t) }

func (w *worker) SetTimer(t *eventloop.Timer, at time.Duration) {
	w.timers.Set(t, at)
	w.wakeAt(at)
}

func (w *worker) StopTimer(t *eventloop.Timer) { w.timers.Stop(t) }

// Dial implements eventloop.Worker.
func (w *worker) Dial(remote netip.AddrPort, cfg eventloop.DialConfig, h eventloop.Handler) eventloop.Transport {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	t := &transport{w: w, h: h, local: cfg.Local, remote: remote, full: true}
	local, err := w.host.source(remote, cfg.Local)
	if err != nil {
		t.failLater(fmt.Errorf("simnet: connect %s: %w", remote, err))
		return t
	}
	t.e = w.host.net.connect(w.host, local, remote)
	t.e.t = t
	t.state = connecting
	w.load.Add(1)
	t.timer.Init(t)
	t.timeout = eventloop.ErrDialTimeout
	if cfg.Timeout <= 0 {
		cfg.Timeout = connectTimeout
		t.timeout = fmt.Errorf("simnet: connect %s: %w", remote, syscall.ETIMEDOUT)
	}
	w.SetTimer(&t.timer, w.Now()+cfg.Timeout)
	return t
}

// source chooses the local address of a dial.
func (h *Host) source(remote, local netip.AddrPort) (netip.AddrPort, error) {
	if !remote.IsValid() || remote.Port() == 0 {
		return local, syscall.EINVAL
	}
	if local.IsValid() && !h.owns(local.Addr()) {
		return local, syscall.EADDRNOTAVAIL
	}
	a := local.Addr()
	if !a.IsValid() || a.IsUnspecified() {
		a = netip.Addr{}
		for _, mine := range h.cfg.Addrs {
			if mine.Is4() == remote.Addr().Is4() {
				a = mine
				break
			}
		}
	}
	if !a.IsValid() || h.net.byAddr[remote.Addr()] == nil {
		return local, syscall.ENETUNREACH
	}
	port := local.Port()
	if port == 0 {
		port = h.port(0)
	}
	return netip.AddrPortFrom(a, port), nil
}

// Adopt implements eventloop.Worker.
func (w *worker) Adopt(s eventloop.Socket, h eventloop.Handler) eventloop.Transport {
	sock, ok := s.(*socket)
	if !ok || sock.host != w.host {
		panic(fmt.Sprintf("simnet: Adopt of a %T of another host", s))
	}
	t := &transport{w: w, h: h, local: sock.LocalAddr(), remote: sock.RemoteAddr()}
	e := sock.take()
	if e == nil {
		t.failLater(eventloop.ErrTransportClosed)
		return t
	}
	t.e, t.state = e, open
	e.t = t
	w.load.Add(1)
	if e.out.room() <= 0 {
		t.full = true
		e.out.blocked()
	}
	t.mark() // what came meanwhile
	return t
}

// socket implements eventloop.Socket.
type socket struct {
	host          *Host
	e             *endpoint // nil when closed or adopted
	from          *worker   // whose load it still is; nil after accept
	local, remote netip.AddrPort
}

func newSocket(e *endpoint, from *worker) *socket {
	s := &socket{host: e.host, e: e, from: from, local: e.local, remote: e.remote}
	e.socket = s
	if from != nil {
		from.load.Add(1)
	}
	return s
}

func (s *socket) LocalAddr() netip.AddrPort  { return s.local }
func (s *socket) RemoteAddr() netip.AddrPort { return s.remote }

func (s *socket) take() *endpoint {
	e := s.e
	s.e = nil
	if e == nil || s.host.state != running {
		return nil
	}
	e.socket = nil
	if s.from != nil {
		s.from.load.Add(-1)
	}
	return e
}

func (s *socket) Close() error {
	if e := s.take(); e != nil {
		e.close()
	}
	return nil
}
