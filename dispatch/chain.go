package dispatch

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// DefaultFastLimit is the default of ChainConfig.FastLimit.
//
// Implementation: not for users of the library; may change in any release.
const DefaultFastLimit = 100 * time.Millisecond

// ChainConfig configures a Chain. The zero value works.
//
// Implementation: not for users of the library; may change in any release.
type ChainConfig struct {
	// Clock is monotonic time, for the watchdog. nil turns that off.
	Clock func() time.Duration
	// FastLimit is how long what runs on a worker may take before it is counted
	// and reported; 0 means DefaultFastLimit, negative turns the watchdog off.
	FastLimit time.Duration
	// OnSlow is told of a callback on a worker that took longer than FastLimit,
	// after it returned. nil: it is logged.
	OnSlow func(conn msg.Connection, method string, took time.Duration)
	// OnPanic is told of each panic of a dispatcher, and with ErrGoexit as recovered
	// of each that ended its goroutine, on the goroutine where it happened, before
	// anything goes on. Should it do the same, both are logged. nil: it is logged.
	OnPanic func(conn msg.Connection, recovered any, stack []byte)
	// OnUnhandled is told of each message that no dispatcher wanted. nil: the
	// first, second, fourth, eighth ... of them is logged.
	OnUnhandled func(m *msg.Message)
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

// Chain is an ordered list of dispatchers and calls them (docs/PROTOCOL.md 4.1). All
// methods may be called by any goroutine; dispatchers may be added at any time and
// count for what begins after that. Each call of user code is guarded: a panic is
// caught, counted and reported to OnPanic, and the caller gets Panicked so that it
// can fault the connection.
//
// User code that ends its goroutine (runtime.Goexit, and with it t.FailNow) is counted
// and reported the same way, as ErrGoexit. The goroutine cannot be saved, and the
// caller gets nothing: its deferred functions run. An event reaches the other
// handlers all the same, before that.
//
// Implementation: not for users of the library; may change in any release.
type Chain struct {
	cfg   ChainConfig
	told  reporter
	mu    sync.Mutex // for adding
	links atomic.Pointer[links]

	unhandled, panics, goexits, slow atomic.Uint64
}

var _ Handler = (*Chain)(nil)

// links is one state of the chain, never changed: the dispatchers in their order,
// and for each optional interface those that have it.
type links struct {
	all           []msg.Dispatcher
	preprocess    []msg.FastPreprocessor
	fast          []msg.FastDispatcher
	connect       []msg.ConnectHandler
	accept        []msg.AcceptHandler
	fastConnect   []msg.FastConnectHandler
	fastAccept    []msg.FastAcceptHandler
	reset         []msg.ResetHandler
	remoteReset   []msg.RemoteResetHandler
	fastReset     []msg.FastResetHandler
	fastRemote    []msg.FastRemoteResetHandler
	refused       []msg.RefusedHandler
	connectFailed []msg.ConnectFailedHandler
	rejected      []msg.RejectedHandler
	sendPressure  []msg.SendPressureHandler
	fault         []msg.FaultHandler
	fastFault     []msg.FastFaultHandler
	undeliverable []msg.UndeliverableHandler
}

// ChainStats is what a Chain counted.
//
// Implementation: not for users of the library; may change in any release.
type ChainStats struct {
	Dispatchers int
	Unhandled   uint64 // messages that no dispatcher wanted
	Panics      uint64 // calls that panicked or ended their goroutine
	Goexits     uint64 // among them, those that ended their goroutine
	Slow        uint64 // calls on a worker that took longer than FastLimit
}

// NewChain returns an empty chain.
//
// Implementation: not for users of the library; may change in any release.
func NewChain(cfg ChainConfig) *Chain {
	if cfg.FastLimit == 0 {
		cfg.FastLimit = DefaultFastLimit
	}
	if cfg.FastLimit < 0 {
		cfg.Clock = nil
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Chain{cfg: cfg, told: reporter{"dispatcher", cfg.OnPanic, cfg.Logger}}
	c.links.Store(new(links))
	return c
}

// AddHead adds d as the first dispatcher. It panics if d has a method that is named
// like one of an optional interface (msg.ResetHandler, ...) but has other arguments or
// results, or only one of msg.FastDispatcher's two: such a method is never called.
// Methods of embedded types count.
func (c *Chain) AddHead(d msg.Dispatcher) { c.add(d, 0) }

// AddTail adds d as the last dispatcher. It panics as AddHead does.
func (c *Chain) AddTail(d msg.Dispatcher) { c.add(d, -1) }

func (c *Chain) add(d msg.Dispatcher, at int) {
	if d == nil {
		panic("dispatch: a nil dispatcher")
	}
	mustFit(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.links.Load().all)
	if at < 0 {
		at = len(all)
	}
	all = slices.Insert(all, at, d)
	c.links.Store(&links{
		all:           all,
		preprocess:    having[msg.FastPreprocessor](all),
		fast:          having[msg.FastDispatcher](all),
		connect:       having[msg.ConnectHandler](all),
		accept:        having[msg.AcceptHandler](all),
		fastConnect:   having[msg.FastConnectHandler](all),
		fastAccept:    having[msg.FastAcceptHandler](all),
		reset:         having[msg.ResetHandler](all),
		remoteReset:   having[msg.RemoteResetHandler](all),
		fastReset:     having[msg.FastResetHandler](all),
		fastRemote:    having[msg.FastRemoteResetHandler](all),
		refused:       having[msg.RefusedHandler](all),
		connectFailed: having[msg.ConnectFailedHandler](all),
		rejected:      having[msg.RejectedHandler](all),
		sendPressure:  having[msg.SendPressureHandler](all),
		fault:         having[msg.FaultHandler](all),
		fastFault:     having[msg.FastFaultHandler](all),
		undeliverable: having[msg.UndeliverableHandler](all),
	})
}

// having returns the dispatchers that are a T too.
func having[T any](all []msg.Dispatcher) []T {
	var with []T
	for _, d := range all {
		if t, ok := d.(T); ok {
			with = append(with, t)
		}
	}
	return with
}

// Stats is a snapshot.
func (c *Chain) Stats() ChainStats {
	return ChainStats{
		Dispatchers: len(c.links.Load().all),
		Unhandled:   c.unhandled.Load(),
		Panics:      c.panics.Load(),
		Goexits:     c.goexits.Load(),
		Slow:        c.slow.Load(),
	}
}

// Handle calls what belongs to the item. See Handler.
func (c *Chain) Handle(it *Item) Outcome {
	switch it.Kind {
	case KindMessage:
		return c.Dispatch(it.Msg)
	case KindConnect:
		return c.Connect(it.Conn)
	case KindAccept:
		return c.Accept(it.Conn)
	case KindReset:
		return c.Reset(it.Conn, it.Err)
	case KindRemoteReset:
		return c.RemoteReset(it.Conn)
	case KindRefused:
		return c.Refused(it.Conn, it.Err)
	case KindConnectFailed:
		return c.ConnectFailed(it.Conn, it.Err.(*msg.ConnectError))
	case KindRejected:
		return c.Rejected(it.Conn, it.Err.(*msg.RejectedError))
	case KindHighWater, KindLowWater:
		return c.SendPressure(it.Conn, it.Kind == KindHighWater)
	case KindFault:
		if t, ok := it.Conn.(faultTaker); ok {
			t.FaultTaken()
		}
		return c.Fault(it.Conn, it.Err)
	}
	panic("dispatch: item of unknown kind")
}

// Dispatch offers m to the dispatchers from head to tail until one takes it or
// panics. It does not touch m's throttles. After Handled and Panicked m is not the
// caller's any more.
func (c *Chain) Dispatch(m *msg.Message) Outcome {
	conn := m.Connection()
	for _, d := range c.links.Load().all {
		handled, ok := c.dispatch(d, conn, m)
		if !ok {
			return Panicked
		}
		if handled {
			return Handled
		}
	}
	n := c.unhandled.Add(1)
	if c.cfg.OnUnhandled != nil {
		c.guard(conn, func() { c.cfg.OnUnhandled(m) })
	} else if n&(n-1) == 0 {
		c.guard(conn, func() {
			c.cfg.Logger.Warn("dispatch: message that no dispatcher handles",
				"type", m.Type, "from", m.Source(), "unhandled", n)
		})
	}
	return Unhandled
}

// Fast is the part of dispatch that runs on the connection's worker: all
// preprocessors see m, then the first dispatcher that can fast dispatch it does.
// Unhandled means that m is to be enqueued; otherwise it is over with m: its
// throttles were given back, and after Panicked the connection is to be faulted.
func (c *Chain) Fast(m *msg.Message) (out Outcome) {
	ticket := msg.TicketFor(m)
	out = Panicked // for a goroutine that is being ended
	defer func() {
		if out != Unhandled {
			ticket.Done()
		}
	}()
	out = c.FastOwing(m)
	return out
}

// FastOwing is Fast that leaves the throttles to the caller, who may have many
// messages to give back at once. It owes them too when FastOwing does not return
// because a dispatcher ended the goroutine: m is then over, as after Panicked.
func (c *Chain) FastOwing(m *msg.Message) Outcome {
	l := c.links.Load()
	if len(l.preprocess) == 0 && len(l.fast) == 0 {
		return Unhandled
	}
	conn := m.Connection()
	out := Panicked
	callback.OnWorker(func() {
		var method string
		start := c.now()
		out, method = c.fast(l, conn, m)
		c.watch(conn, method, start)
	})
	return out
}

func (c *Chain) fast(l *links, conn msg.Connection, m *msg.Message) (Outcome, string) {
	for _, d := range l.preprocess {
		if !c.fastPreprocess(d, conn, m) {
			return Panicked, "FastPreprocess"
		}
	}
	for _, d := range l.fast {
		can, ok := c.canFastDispatch(d, conn, m)
		if !ok {
			return Panicked, "CanFastDispatch"
		}
		if can {
			if !c.fastDispatch(d, conn, m) {
				return Panicked, "FastDispatch"
			}
			return Handled, "FastDispatch"
		}
	}
	return Unhandled, "CanFastDispatch"
}

func (c *Chain) now() time.Duration {
	if c.cfg.Clock == nil {
		return 0
	}
	return c.cfg.Clock()
}

func (c *Chain) watch(conn msg.Connection, method string, start time.Duration) {
	if c.cfg.Clock == nil {
		return
	}
	took := c.cfg.Clock() - start
	if took <= c.cfg.FastLimit {
		return
	}
	c.slow.Add(1)
	c.guard(conn, func() {
		if c.cfg.OnSlow != nil {
			c.cfg.OnSlow(conn, method, took)
			return
		}
		c.cfg.Logger.Warn("dispatch: dispatcher held up a worker", "method", method, "took", took)
	})
}

// caught is deferred around each call of user code, with where it says that it has
// returned. If it has not and nothing is to be recovered, the goroutine is being ended.
func (c *Chain) caught(conn msg.Connection, returned *bool) {
	if *returned {
		return
	}
	r := recover()
	c.panics.Add(1)
	if r == nil {
		c.goexits.Add(1)
	}
	c.told.report(conn, r)
}

// reportsGoexit tells the queue that it need not.
func (c *Chain) reportsGoexit() {}

func (c *Chain) dispatch(d msg.Dispatcher, conn msg.Connection, m *msg.Message) (handled, ok bool) {
	defer c.caught(conn, &ok)
	handled = d.Dispatch(m)
	ok = true
	return handled, ok
}

func (c *Chain) fastPreprocess(d msg.FastPreprocessor, conn msg.Connection, m *msg.Message) (ok bool) {
	defer c.caught(conn, &ok)
	d.FastPreprocess(m)
	ok = true
	return ok
}

func (c *Chain) canFastDispatch(d msg.FastDispatcher, conn msg.Connection, m *msg.Message) (can, ok bool) {
	defer c.caught(conn, &ok)
	can = d.CanFastDispatch(m)
	ok = true
	return can, ok
}

func (c *Chain) fastDispatch(d msg.FastDispatcher, conn msg.Connection, m *msg.Message) (ok bool) {
	defer c.caught(conn, &ok)
	d.FastDispatch(m)
	ok = true
	return ok
}
