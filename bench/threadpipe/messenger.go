package threadpipe

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Messenger is async.Messenger's counterpart with the threads of SimpleMessenger;
// what its methods have in common with those means the same. All may be called by
// any goroutine; Shutdown not by one of the messenger's own.
type Messenger struct {
	// Constant after New.
	cfg      Config
	log      *slog.Logger
	epoch    time.Time // when its time began
	clock    eventloop.Clock
	sessCfg  session.Config
	net      network
	chain    *dispatch.Chain
	queue    *dispatch.Queue
	thread   *dispatchThread
	loop     *loopback
	throttle *dispatch.Throttle // nil: unbounded
	// creditStep is dispatchCredit, or 0 where that is not small beside the bound.
	creditStep int64
	sendLimits connection.SendLimits
	ctx        context.Context // ends with Shutdown
	cancel     context.CancelFunc

	connection.Identity
	reg         connection.Registry[*Pipe]
	lastID      atomic.Uint64
	defaultPrio atomic.Uint32
	wg          sync.WaitGroup // everything that was spawned
	arbMu       sync.Mutex     // one arbitration at a time; see the package comment

	counts   [countStripes]counts
	threads  atomic.Int64 // that run now
	failures connection.FailureLog
	adopted  atomic.Bool // that policies do not match has been logged

	bindMu  sync.Mutex       // held by Bind and Rebind, before mu
	boundTo []netip.AddrPort // what Bind was asked for, under bindMu

	mu        sync.Mutex // guards the fields below
	state     lifeState
	nonce     uint32
	listeners []listener
}

type lifeState uint8

const (
	stateNew lifeState = iota
	stateStarted
	stateClosing
)

// New returns a messenger that is not started; it has its dispatch thread already,
// so that Shutdown must be called. An error means that the system cannot do what
// cfg asks for.
func New(cfg Config) (*Messenger, error) {
	cfg = cfg.withDefaults()
	m := &Messenger{cfg: cfg, log: cfg.Logger.With("messenger", cfg.Name.String()), epoch: time.Now(), nonce: cfg.Nonce}
	m.clock = clock{m.epoch}
	m.sessCfg = cfg.session(m.epoch)
	if err := m.sessCfg.Check(); err != nil {
		return nil, fmt.Errorf("threadpipe: Config.%w", err)
	}
	m.sessCfg = m.sessCfg.WithDefaults()
	m.sendLimits = connection.SendLimits{
		MessagesMax: cfg.SendQueueMessages, BytesMax: cfg.SendQueueBytes, HighWater: max(cfg.SendHighWater, 0),
	}
	if cfg.SendTotalBytes > 0 {
		m.sendLimits.Total = connection.NewSendTotal(cfg.SendTotalBytes)
	}
	m.net = netNetwork{}
	if cfg.Threads {
		n, err := newThreadNetwork()
		if err != nil {
			return nil, err
		}
		m.net = n
	}
	name := entity.AuthName{Type: cfg.Name.Type}
	if cfg.Name.Num >= 0 {
		name.ID = strconv.FormatInt(cfg.Name.Num, 10)
	}
	if m.cfg.AuthClient == nil {
		m.cfg.AuthClient = auth.NoneClient{Name: name, GlobalID: m.GlobalID}
	}
	if m.cfg.AuthServer == nil {
		m.cfg.AuthServer = &auth.NoneServer{}
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.reg.Init()
	m.failures.Init(m.log, m.sessCfg.ReadyTimeout)
	m.defaultPrio.Store(msg.PriorityDefault)
	m.Identity.Init(cfg.Nonce, netip.Addr{}, hostHas)
	m.thread = &dispatchThread{wake: m.net.newWaker(), spawn: m.spawn, ended: make(chan struct{})}
	m.chain = dispatch.NewChain(dispatch.ChainConfig{FastLimit: -1, Logger: m.log, OnPanic: m.userPanicked})
	m.queue = dispatch.New(dispatch.Config{
		Executor: m.thread, Handler: m.chain, Width: 1, Logger: m.log, OnPanic: m.userPanicked, Stale: stale,
		OnDiscard: m.discardedItem,
	})
	m.loop = newLoopback(m)
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
	m.threads.Add(1)
	go func() {
		defer m.wg.Done()
		defer m.threads.Add(-1)
		if m.cfg.Threads {
			runtime.LockOSThread() // and never unlocked: the thread ends with f
		}
		f()
	}()
}

// stale says that an item is not to be dispatched any more. After Close that goes
// for events too.
func stale(it *dispatch.Item) bool {
	if p, ok := it.Conn.(*Pipe); ok && p.MarkedDown() {
		return true
	}
	return it.Kind == dispatch.KindMessage && it.Conn.IsClosed()
}

func (m *Messenger) userPanicked(c msg.Connection, r any, stack []byte) {
	m.countsOf(0).Panics.Add(1)
	if len(stack) == 0 {
		stack = debug.Stack()
	}
	m.log.Error("panic in a callback", "conn", c, "panic", r, "stack", string(stack))
	if p, ok := c.(*Pipe); ok && r != any(msg.ErrGoexit) { // which says nothing about the connection
		p.Fault(fmt.Errorf("threadpipe: a dispatcher panicked: %v", r))
	}
}

// now is the monotonic time that sessions go by.
func (m *Messenger) now() time.Duration { return time.Since(m.epoch) }

// Name is the messenger's name.
func (m *Messenger) Name() entity.Name { return m.cfg.Name }

// AddDispatcherHead puts d before all dispatchers.
func (m *Messenger) AddDispatcherHead(d msg.Dispatcher) { m.chain.AddHead(d) }

// AddDispatcherTail puts d behind all dispatchers.
func (m *Messenger) AddDispatcherTail(d msg.Dispatcher) { m.chain.AddTail(d) }

// SetDefaultSendPriority sets the priority of messages that are sent with 0.
func (m *Messenger) SetDefaultSendPriority(p uint8) {
	if p == 0 {
		p = msg.PriorityDefault
	}
	m.defaultPrio.Store(uint32(p))
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

// MarkDownAll closes all connections.
func (m *Messenger) MarkDownAll() { m.closeAll(msg.ErrMarkedDown) }

// closeAll closes all pipes, whatever user code does that is told of what they held.
func (m *Messenger) closeAll(reason error) {
	all := m.reg.Snapshot()
	defer func() {
		if len(all) > 0 { // it has ended the goroutine
			m.closeAll(reason)
		}
	}()
	for len(all) > 0 {
		p := all[0]
		all = all[1:]
		p.Close(reason)
	}
}

// closeEverything is closeAll for Shutdown.
func (m *Messenger) closeEverything() {
	defer m.cancel() // last: what is being dialled does not fail, it is given up
	defer m.closeAll(msg.ErrShutdown)
	m.loop.close(msg.ErrShutdown)
}

// Shutdown closes everything, waits for all threads and discards what is queued.
// If ctx ends first its error is wrapped; the shutdown goes on. It does not wait when
// called by what runs on one of the threads (msg.ErrOnWorker) or by a dispatcher
// (dispatch.ErrInDispatch).
func (m *Messenger) Shutdown(ctx context.Context) error {
	m.mu.Lock()
	m.state = stateClosing
	ls := m.listeners
	m.listeners = nil
	m.mu.Unlock()
	for _, l := range ls {
		l.close()
	}
	m.reg.Close()
	m.closeEverything()
	if err := mayWait(); err != nil {
		return fmt.Errorf("shutdown, which has begun: %w", err)
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
