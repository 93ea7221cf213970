package threadpipe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// Messenger is the subset of async.Messenger that comparisons need, with the same
// meaning. All methods may be called by any goroutine; Shutdown not by one of the
// messenger's own.
type Messenger struct {
	// Constant after New.
	cfg      Config
	log      *slog.Logger
	sessCfg  session.Config
	net      network
	chain    *dispatch.Chain
	queue    *dispatch.Queue
	thread   *dispatchThread
	throttle *dispatch.Throttle // nil: unbounded
	// creditStep is dispatchCredit, or 0 where that is not small beside the bound.
	creditStep int64
	epoch      time.Time
	auth       authNone
	ctx        context.Context // ends with Shutdown
	cancel     context.CancelFunc

	reg       registry
	globalSeq atomic.Uint64
	lastID    atomic.Uint64
	addrs     atomic.Pointer[entity.AddrVec]
	wg        sync.WaitGroup // everything that was spawned
	arbMu     sync.Mutex     // one arbitration at a time; see the package comment

	mu        sync.Mutex // guards the fields below
	state     lifeState
	listeners []listener
	def       msg.Policy
	byType    map[entity.Type]msg.Policy
}

type lifeState uint8

const (
	stateNew lifeState = iota
	stateStarted
	stateClosing
)

type authNone struct {
	client auth.NoneClient
	server auth.NoneServer
}

// New returns a messenger that is not started; it has its dispatch thread already,
// so that Shutdown must be called. An error means that the system cannot do what
// cfg asks for.
func New(cfg Config) (*Messenger, error) {
	cfg = cfg.withDefaults()
	m := &Messenger{
		cfg: cfg, log: cfg.Logger.With("messenger", cfg.Name.String()), epoch: time.Now(),
		def: msg.DefaultPolicy(), byType: map[entity.Type]msg.Policy{},
	}
	m.net = netNetwork{}
	if cfg.Threads {
		n, err := newThreadNetwork()
		if err != nil {
			return nil, err
		}
		m.net = n
	}
	m.sessCfg = session.Config{
		Self: cfg.Name, Limits: cfg.Limits, InitialBackoff: cfg.InitialBackoff, MaxBackoff: cfg.MaxBackoff,
		ReadyTimeout: cfg.ReadyTimeout, IdleTimeout: cfg.IdleTimeout, KeepaliveInterval: cfg.KeepaliveInterval,
		KeepaliveTimeout: cfg.KeepaliveTimeout, Epoch: m.epoch,
	}.WithDefaults()
	name := entity.AuthName{Type: cfg.Name.Type}
	if cfg.Name.Num >= 0 {
		name.ID = strconv.FormatInt(cfg.Name.Num, 10)
	}
	m.auth.client.Name = name
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.reg.init()
	any := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	m.addrs.Store(&entity.AddrVec{{Type: entity.AddrAny, Nonce: cfg.Nonce, AddrPort: any}})
	m.thread = &dispatchThread{wake: m.net.newWaker(), ended: make(chan struct{})}
	m.chain = dispatch.NewChain(dispatch.ChainConfig{FastLimit: -1, Logger: m.log, OnPanic: m.userPanicked})
	m.queue = dispatch.New(dispatch.Config{
		Executor: m.thread, Handler: m.chain, Width: 1, Logger: m.log, OnPanic: m.userPanicked, Stale: stale,
	})
	if cfg.DispatchThrottleBytes > 0 {
		m.throttle = dispatch.NewThrottle(cfg.DispatchThrottleBytes)
		if cfg.DispatchThrottleBytes >= 256*dispatchCredit {
			m.creditStep = dispatchCredit
		}
	}
	m.spawn(m.thread.run)
	return m, nil
}

// spawn runs f as a thread of the messenger.
func (m *Messenger) spawn(f func()) {
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		if m.cfg.Threads {
			runtime.LockOSThread() // and never unlocked: the thread ends with f
		}
		f()
	}()
}

// stale says that an item is not to be dispatched any more. After Close that goes
// for events too.
func stale(it *dispatch.Item) bool {
	p := it.Conn.(*Pipe)
	return p.isDown.Load() || it.Kind == dispatch.KindMessage && p.IsClosed()
}

func (m *Messenger) userPanicked(c msg.Connection, r any, stack []byte) {
	m.log.Error("panic in a callback", "conn", c, "panic", r, "stack", string(stack))
	if p, ok := c.(*Pipe); ok {
		p.Fault(fmt.Errorf("threadpipe: a dispatcher panicked: %v", r))
	}
}

// now is the monotonic time that sessions go by.
func (m *Messenger) now() time.Duration { return time.Since(m.epoch) }

// AddDispatcherHead puts d before all dispatchers.
func (m *Messenger) AddDispatcherHead(d msg.Dispatcher) { m.chain.AddHead(d) }

// AddDispatcherTail puts d behind all dispatchers.
func (m *Messenger) AddDispatcherTail(d msg.Dispatcher) { m.chain.AddTail(d) }

// SetDefaultPolicy sets the policy for types of peers that have none of their own.
func (m *Messenger) SetDefaultPolicy(p msg.Policy) {
	m.mu.Lock()
	m.def = p
	m.mu.Unlock()
}

// SetPolicy sets the policy for peers of type t.
func (m *Messenger) SetPolicy(t entity.Type, p msg.Policy) {
	m.mu.Lock()
	m.byType[t] = p
	m.mu.Unlock()
}

func (m *Messenger) policyFor(t entity.Type) msg.Policy {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.byType[t]; ok {
		return p
	}
	return m.def
}

// Addrs are the messenger's addresses; the slice is read only.
func (m *Messenger) Addrs() entity.AddrVec { return *m.addrs.Load() }

// Bind listens; before Start. A second Bind adds an address.
func (m *Messenger) Bind(at netip.AddrPort) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != stateNew {
		return errors.New("threadpipe: Bind after Start")
	}
	l, err := m.net.listen(at)
	if err != nil {
		return err
	}
	vec := entity.AddrVec{}
	if len(m.listeners) > 0 {
		vec = m.Addrs().Clone()
	}
	vec = append(vec, entity.Addr{Type: entity.AddrMsgr2, Nonce: m.cfg.Nonce, AddrPort: l.addr()})
	m.listeners = append(m.listeners, l)
	m.addrs.Store(&vec)
	return nil
}

// Start lets connections in and out.
func (m *Messenger) Start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == stateClosing {
		return msg.ErrShutdown
	}
	if m.state == stateNew {
		m.state = stateStarted
		for _, l := range m.listeners {
			m.spawn(func() { m.acceptLoop(l) })
		}
	}
	return nil
}

// acceptLoop is the accepter.
func (m *Messenger) acceptLoop(l listener) {
	for {
		sock, err := l.accept()
		if err != nil {
			if m.ctx.Err() != nil {
				return
			}
			m.log.Warn("accept", "err", err)
			t := time.NewTimer(10 * time.Millisecond) // out of descriptors, most likely
			select {
			case <-t.C:
				continue
			case <-m.ctx.Done():
				t.Stop()
				return
			}
		}
		p := m.newAcceptor()
		p.mu.Lock()
		if !m.reg.addHandshake(p, m.cfg.HandshakesMax) {
			p.mu.Unlock()
			sock.close()
			continue
		}
		p.attach(sock)
		m.spawn(p.writeLoop)
		p.mu.Unlock()
	}
}

// ConnectTo returns the connection with the peer and begins to connect if there is
// none.
func (m *Messenger) ConnectTo(t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	m.mu.Lock()
	state := m.state
	m.mu.Unlock()
	switch state {
	case stateNew:
		return nil, msg.ErrNotStarted
	case stateClosing:
		return nil, msg.ErrShutdown
	}
	if p := m.reg.lookup(addrs.Key()); p != nil {
		return p, nil
	}
	policy := m.policyFor(t)
	if policy.Server {
		return nil, fmt.Errorf("%w: %s %s has to connect to us", msg.ErrNoSession, t, addrs)
	}
	if addrs.Msgr2().AddrPort.Port() == 0 {
		return nil, fmt.Errorf("threadpipe: connect: no msgr2 address to dial in %s", addrs)
	}
	p := m.newConnector(session.Peer{Type: t, Addrs: addrs.Clone(), Policy: policy})
	p.mu.Lock()
	defer p.mu.Unlock()
	if ex, err := m.reg.add(p, addrs.Key()); err != nil {
		return nil, err
	} else if ex != nil {
		return ex, nil // another goroutine was faster
	}
	p.s.Start(m.now())
	m.spawn(p.writeLoop)
	return p, nil
}

// Shutdown closes everything, waits for all threads and discards what is queued.
// If ctx ends first its error is wrapped; the shutdown goes on.
func (m *Messenger) Shutdown(ctx context.Context) error {
	m.mu.Lock()
	m.state = stateClosing
	ls := m.listeners
	m.listeners = nil
	m.mu.Unlock()
	m.cancel()
	for _, l := range ls {
		l.close()
	}
	for _, p := range m.reg.close() {
		p.Close(msg.ErrShutdown)
	}
	if err := m.queue.Stop(ctx); err != nil {
		return err
	}
	m.thread.stop()
	done := make(chan struct{})
	go func() {
		m.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("threadpipe: shutdown: %w", ctx.Err())
	}
}

func rand64() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// env is what sessions ask of the messenger.
type env struct{ m *Messenger }

func (e env) Addrs() entity.AddrVec              { return e.m.Addrs() }
func (e env) PolicyFor(t entity.Type) msg.Policy { return e.m.policyFor(t) }
func (e env) Rand64() uint64                     { return rand64() }
func (e env) AuthClient() auth.Client            { return e.m.auth.client }
func (e env) AuthServer() auth.Server            { return &e.m.auth.server }

// LearnAddr fills in an own address that is still unspecified.
func (e env) LearnAddr(seen entity.Addr) {
	ip := seen.AddrPort.Addr()
	if !ip.IsValid() || ip.IsUnspecified() {
		return
	}
	for {
		old := e.m.addrs.Load()
		next, changed := old.Clone(), false
		for i := range next {
			if a := next[i].AddrPort; a.Addr().IsUnspecified() && (a.Addr().Is4() == ip.Is4() || next[i].Type == entity.AddrAny) {
				next[i].AddrPort, changed = netip.AddrPortFrom(ip, a.Port()), true
			}
		}
		if !changed || e.m.addrs.CompareAndSwap(old, &next) {
			return
		}
	}
}

// NextGlobalSeq implements session.Env (msgr2 spec 3.2).
func (e env) NextGlobalSeq(atLeast uint64) uint64 {
	for {
		old := e.m.globalSeq.Load()
		next := max(old, atLeast) + 1
		if e.m.globalSeq.CompareAndSwap(old, next) {
			return next
		}
	}
}
