package async

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Messenger sends and receives messages under one name and one set of addresses.
// All methods may be called by any goroutine.
type Messenger struct {
	// Constant after New.
	cfg      Config
	log      *slog.Logger
	sessCfg  session.Config
	shared   connection.Shared
	chain    *dispatch.Chain
	queue    *dispatch.Queue
	throttle *dispatch.Throttle // nil: unbounded
	loop     *loopback

	stuckWatch stuckWatch

	authClient auth.Client
	authServer auth.Server

	// Any goroutine.
	reg         connection.Registry[*connection.Conn]
	lastConnID  atomic.Uint64
	defaultPrio atomic.Uint32
	counts      connection.Counts[connection.SharedCounter]
	losses      losses
	failures    connection.FailureLog
	identity    connection.Identity
	warned      sync.Map     // what is said once: see deliver.go
	broadcasts  atomic.Int32 // calls of Broadcast that have not returned
	steps       steps
	types       typeTable
	closed      closedWatch

	bindMu  sync.Mutex       // held by Bind and Rebind, before mu
	boundTo []netip.AddrPort // what Bind was asked for, under bindMu

	mu        sync.Mutex // guards the fields below
	state     lifeState
	nonce     uint32
	listeners []eventloop.Listener
	early     []eventloop.Socket // accepted before Start
	closing   chan struct{}      // closed when Shutdown has closed everything

	// Each worker its own: what it collects for the queue during one batch.
	batches []batch
	delays  []*delayLine     // what arrives late on purpose; nil: nothing may
	places  []dispatch.Place // the workers as such; nil: they are not, or must not be
}

// dispatchCredit is what a connection takes of the dispatch throttle at a time.
const dispatchCredit = 32 << 10

type lifeState uint8

const (
	stateNew lifeState = iota
	stateStarted
	stateClosing
)

// New returns a messenger that is not started. It starts no goroutine. An error
// means that cfg makes no sense, and names the field, or that the default stack or
// executor could not be opened.
func New(cfg Config) (*Messenger, error) {
	given := cfg
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	steps, err := given.stepPool()
	if err != nil {
		return nil, err
	}
	log := guardedLogger(cfg.Logger).With("messenger", cfg.Name.String())
	m := &Messenger{cfg: cfg, log: log, nonce: cfg.Nonce, closing: make(chan struct{})}
	if m.cfg.AuthClient == nil {
		m.cfg.AuthClient = auth.NoneClient{Name: cfg.AuthName, GlobalID: m.identity.GlobalID}
	}
	m.authClient = guardedClient{guardedAuth{m: m}, m.cfg.AuthClient}
	m.authServer = guardedServer{guardedAuth{m: m}, m.cfg.AuthServer}
	cfg.Observe = m.observing(cfg.Observe)
	m.sessCfg = cfg.session()
	m.sessCfg.Authorize = m.authorizing(cfg.Authorize)
	m.sessCfg.Live = session.NewLive(&m.sessCfg)
	m.failures.Init(m.log, m.sessCfg.ReadyTimeout)
	m.steps.pool = steps
	m.reg.Init()
	m.defaultPrio.Store(defaultPriority)
	m.identity.Init(cfg.Nonce, cfg.BindBeforeConnect.Addr(), m.hostHas)

	m.chain = dispatch.NewChain(dispatch.ChainConfig{
		FastLimit: -1, Logger: m.log, // see Messenger.watch
		OnPanic: m.userPanicked,
	})
	m.stuckWatch.init(m, cfg.Stack.Pick())
	var usage func() dispatch.Usage
	if meter, ok := cfg.Stack.(eventloop.Meter); ok {
		usage = func() dispatch.Usage { return dispatch.Usage(meter.ThreadUsage()) }
	}
	m.places = placesOf(&cfg)
	m.queue = dispatch.New(dispatch.Config{
		InPlace: cfg.placement(m.places), Usage: usage,
		Executor: cfg.Executor, Handler: m.chain, Width: cfg.DispatchWidth, Clock: cfg.Clock.Now, Logger: m.log,
		WidthMax: cfg.DispatchWidthMax, StuckLimit: cfg.DispatchLimit, CheckAfter: m.stuckWatch.in, OnStuck: m.stuck,
		OnPanic:   m.userPanicked,
		OnDiscard: m.discarded,
		Stale:     stale,
	})
	m.shared = connection.Shared{
		Session: &m.sessCfg, Env: env{&m.identity, m}, Sink: sink{m}, Log: m.log, Clock: cfg.Clock, MayWait: mayWait,
		Execute: m.steps.execute,
		Options: connection.Options{
			Send: connection.SendLimits{
				MessagesMax: cfg.SendQueueMessages, BytesMax: cfg.SendQueueBytes, HighWater: max(cfg.SendHighWater, 0),
			},
			DefaultPriority: &m.defaultPrio,
			Dial: eventloop.DialConfig{
				Local: cfg.BindBeforeConnect, Timeout: cfg.DialTimeout, Socket: cfg.Socket,
			},
			WriteBatch: cfg.WriteBatch, WriteBudget: cfg.WriteBudget, WriteBatchFixed: cfg.fixedBatch,
		},
		Stats:   make([]connection.Stats, cfg.Stack.NumWorkers()),
		Buffers: connection.WorkerBuffers(cfg.Stack),
	}
	if cfg.SendTotalBytes > 0 {
		m.shared.Options.Send.Total = connection.NewSendTotal(cfg.SendTotalBytes)
	}
	if cfg.DispatchThrottleBytes > 0 {
		m.throttle = dispatch.NewThrottle(cfg.DispatchThrottleBytes)
		m.shared.Dispatch, m.shared.Options.DispatchLimit = m.throttle, cfg.DispatchThrottleBytes
		if cfg.DispatchThrottleBytes >= 256*dispatchCredit {
			m.shared.Options.DispatchCredit = dispatchCredit
		}
	}
	if cfg.AllowFaults {
		m.shared.Inject = connection.NewInjector(m.rand64)
		m.delays = newDelays(m)
	}
	m.batches = make([]batch, cfg.Stack.NumWorkers())
	m.loop = newLoopback(m, m.lastConnID.Add(1))
	return m, nil
}

// AddDispatcherHead puts d before all dispatchers.
func (m *Messenger) AddDispatcherHead(d msg.Dispatcher) { m.chain.AddHead(d) }

// AddDispatcherTail puts d behind all dispatchers.
func (m *Messenger) AddDispatcherTail(d msg.Dispatcher) { m.chain.AddTail(d) }

// SetDefaultSendPriority sets the priority of messages that are sent with 0.
func (m *Messenger) SetDefaultSendPriority(p uint8) {
	if p == 0 {
		p = defaultPriority
	}
	m.defaultPrio.Store(uint32(p))
}

// Name is the messenger's name.
func (m *Messenger) Name() entity.Name { return m.cfg.Name }

// GlobalID is the number that a monitor gave this messenger when it authenticated there;
// 0 if none did.
func (m *Messenger) GlobalID() uint64 { return m.identity.GlobalID() }

// Addrs are the addresses by which peers know the messenger: Config.Advertise, or
// those it is bound to (see Bind for unspecified ones). A client has one of type "any"
// with port 0 that only identifies it, with the IP address as which the first peer
// that it reached sees it. The slice is read only.
func (m *Messenger) Addrs() entity.AddrVec { return m.identity.Addrs() }

// Start lets connections in and out.
func (m *Messenger) Start() error {
	m.mu.Lock()
	if m.state != stateNew {
		s := m.state
		m.mu.Unlock()
		if s == stateClosing {
			return msg.ErrShutdown
		}
		return nil
	}
	m.state = stateStarted
	early := m.early
	m.early = nil
	m.mu.Unlock()
	for _, sock := range early {
		m.accept(sock)
	}
	return nil
}

// usable returns why connections cannot be made, or nil.
func (m *Messenger) usable() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.state {
	case stateNew:
		return msg.ErrNotStarted
	case stateClosing:
		return msg.ErrShutdown
	}
	return nil
}

// MarkDown closes the connection with the peer that has one of these addresses, as
// Connection.MarkDown does, and says whether there was one.
func (m *Messenger) MarkDown(addrs entity.AddrVec) bool {
	c := m.lookup(addrs)
	if c != nil {
		c.MarkDown()
	}
	return c != nil
}

// MarkDownAll closes all connections.
func (m *Messenger) MarkDownAll() { m.closeAll(msg.ErrMarkedDown) }

func (m *Messenger) closeAll(reason error) {
	for _, c := range m.reg.Snapshot() {
		c.Close(reason)
	}
}

// Shutdown stops listening, closes all connections (what they held is reported
// undeliverable with ErrShutdown), waits for the dispatchers that run, discards
// what is queued, and returns. No callback runs after it has returned nil. If
// ctx ends first its error is wrapped; the shutdown goes on, and another Shutdown
// or Wait waits for its end.
//
// Called by a dispatcher, it cannot wait for that dispatcher: it returns
// dispatch.ErrInDispatch. Called by what runs on a worker it cannot wait at all: it
// returns msg.ErrOnWorker, and the shutdown goes on.
func (m *Messenger) Shutdown(ctx context.Context) error {
	m.beginShutdown()
	if err := mayWait(); err != nil {
		return fmt.Errorf("shutdown, which has begun: %w", err)
	}
	return m.awaitEnd(ctx)
}

// Wait returns when Shutdown was called and has ended. Called by a dispatcher it
// returns when nothing but that is left to wait for. Called by what runs on a worker it
// returns at once, and says so in the log.
func (m *Messenger) Wait() {
	if err := mayWait(); err != nil {
		m.log.Error("Messenger.Wait does not wait", "err", err)
		return
	}
	<-m.closing
	_ = m.awaitEnd(context.Background())
}

func (m *Messenger) beginShutdown() {
	m.mu.Lock()
	if m.state == stateClosing {
		m.mu.Unlock()
		return
	}
	m.state = stateClosing
	m.losses.shutdown.Store(true)
	ls, early := m.listeners, m.early
	m.listeners, m.early = nil, nil
	m.mu.Unlock()
	m.reg.Close()
	for _, l := range ls {
		_ = l.Close()
	}
	for _, s := range early {
		_ = s.Close()
	}
	m.loop.Close(msg.ErrShutdown)
	m.closeAll(msg.ErrShutdown)
	close(m.closing)
}

// awaitEnd waits until nothing runs for the messenger any more.
func (m *Messenger) awaitEnd(ctx context.Context) error {
	err := m.awaitWorkers(ctx)
	return errors.Join(err, m.steps.wait(ctx), m.queue.Stop(ctx))
}

// awaitWorkers waits until every connection has ended, and with it has reported
// what it held, and every worker has done what was posted so far: the loopback
// connection's last run is among that.
func (m *Messenger) awaitWorkers(ctx context.Context) error {
	for _, ch := range []<-chan struct{}{m.closing, m.reg.Empty()} {
		select {
		case <-ch:
		case <-ctx.Done():
			return fmt.Errorf("shutdown: %w", ctx.Err())
		}
	}
	for m.broadcasts.Load() > 0 { // soon: it never blocks. It may post something yet
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("shutdown: %w", err)
		}
		runtime.Gosched()
	}
	return m.awaitPosted(ctx, m.endDelays)
}

// awaitPosted waits until every worker has done what was posted so far, and then last, with
// its number.
func (m *Messenger) awaitPosted(ctx context.Context, last func(worker int)) error {
	n := m.cfg.Stack.NumWorkers()
	done := make(chan struct{}, n)
	posted := 0
	for i := range n {
		end := func() {
			last(i)
			done <- struct{}{}
		}
		if m.cfg.Stack.Worker(i).Post(eventloop.TaskFunc(end)) == nil {
			posted++
		}
	}
	for range posted {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("shutdown: %w", ctx.Err())
		}
	}
	return nil
}

// env is what sessions ask of the messenger.
type env struct {
	*connection.Identity
	m *Messenger
}

func (e env) Rand64() uint64          { return e.m.rand64() }
func (e env) AuthClient() auth.Client { return e.m.authClient }
func (e env) AuthServer() auth.Server { return e.m.authServer }
