package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Mux carries streams over the connections of one messenger. A messenger has at most one.
// All methods may be called by any goroutine; those of msg.Dispatcher and its companions
// are the messenger's.
type Mux struct {
	m   *async.Messenger
	opt Options

	sessions sync.Map // msg.Connection -> *session
	lastID   atomic.Uint64
	promised atomic.Int64 // bytes of windows
	count    counts

	mu        sync.Mutex
	listeners map[string]*Listener
	closed    error
}

// New returns a Mux for m, which it adds to m's dispatchers, as the first. It is called before
// m is started; both ends of a connection need a Mux. An error says that opts make no sense,
// or wraps a *msg.TypesTakenError: m has a Mux already.
func New(m *async.Messenger, opts Options) (*Mux, error) {
	if m == nil {
		return nil, errors.New("stream: nil Messenger")
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := m.ReserveTypes("async/stream", msg.TypeStreamFirst, msg.TypeStreamLast); err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	x := &Mux{m: m, opt: opts, listeners: map[string]*Listener{}}
	x.lastID.Store(m.Rand64())
	m.WatchClosed(x.closedConn)
	m.AddDispatcherHead(x)
	return x, nil
}

// Messenger is the messenger that x is on.
func (x *Mux) Messenger() *async.Messenger { return x.m }

// Listen returns a listener for the streams that peers dial to the service of that name,
// over any connection of the messenger. The name may be empty. Errors: ErrServiceTaken,
// net.ErrClosed.
func (x *Mux) Listen(service string) (net.Listener, error) {
	if err := checkService(service); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed != nil {
		return nil, x.closed
	}
	if x.listeners[service] != nil {
		return nil, fmt.Errorf("%w: %q", ErrServiceTaken, service)
	}
	l := &Listener{x: x, service: service}
	l.cond.L = &l.mu
	x.listeners[service] = l
	return l, nil
}

// Dial opens a stream over c to the service of that name at the peer, and returns when the
// peer has taken it, which need not mean that Accept has. If there is no session at the
// moment it waits for one; ctx, whose end it wraps, bounds that.
//
// Errors: a *CloseError if the peer refuses (errors.Is: ErrNoService, ErrBacklogFull,
// ErrTooManyStreams, ErrNoMemory, ErrVersion); the same ErrTooManyStreams and ErrNoMemory
// if this side has no room; ErrPeerReset; net.ErrClosed; msg.ErrOnWorker.
func (x *Mux) Dial(ctx context.Context, c msg.Connection, service string, opts ...DialOption) (*Conn, error) {
	err := ctx.Err()
	if err == nil {
		err = mayBlock()
	}
	var st *Conn
	if err == nil {
		st, err = x.begin(c, service, opts)
	}
	if err == nil {
		err = st.awaitOpen(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("stream: Dial of %q: %w", service, err)
	}
	x.count.dialed.Add(1)
	return st, nil
}

// begin dials, and does not wait.
func (x *Mux) begin(c msg.Connection, service string, opts []DialOption) (*Conn, error) {
	if err := checkService(service); err != nil {
		return nil, err
	}
	if err := x.isClosed(); err != nil {
		return nil, err
	}
	var d dialing
	for _, o := range opts {
		o(&d)
	}
	s, err := x.session(c)
	if err != nil {
		return nil, err
	}
	return s.dial(service, d)
}

func checkService(name string) error {
	if len(name) > ServiceMax {
		return fmt.Errorf("stream: the name of a service has %d bytes, more than %d", len(name), ServiceMax)
	}
	return nil
}

// DialOption is an option of Dial.
type DialOption func(*dialing)

type dialing struct{ prio uint8 }

// WithPriority sets the priority of all messages of the stream, in both directions; 0, the
// default, is the messenger's default.
func WithPriority(p uint8) DialOption { return func(d *dialing) { d.prio = p } }

// Close closes all listeners and streams, and returns at once; what was written is still
// sent. Afterwards Dial, Listen and Accept answer net.ErrClosed, and what peers dial is
// refused. The messenger goes on.
func (x *Mux) Close() error {
	x.end(net.ErrClosed)
	for _, s := range x.all() {
		for _, c := range s.all() {
			_ = c.Close()
		}
	}
	return nil
}

// end closes the listeners, for that reason.
func (x *Mux) end(reason error) {
	x.mu.Lock()
	if x.closed == nil {
		x.closed = reason
	}
	ls := x.listeners
	x.listeners = map[string]*Listener{}
	x.mu.Unlock()
	for _, l := range ls {
		l.end(reason)
	}
}

// session returns what is known of the streams of c.
func (x *Mux) session(c msg.Connection) (*session, error) {
	if s, ok := x.sessions.Load(c); ok {
		return s.(*session), nil
	}
	s, _ := x.sessions.LoadOrStore(c, newSession(x, c))
	if c.IsClosed() { // closedConn may have been told before
		err := fmt.Errorf("stream: %w: %w", net.ErrClosed, msg.ErrClosed)
		x.over(c, err)
		return nil, err
	}
	return s.(*session), nil
}

// known returns the session of c, nil if there is none.
func (x *Mux) known(c msg.Connection) *session {
	if s, ok := x.sessions.Load(c); ok {
		return s.(*session)
	}
	return nil
}

func (x *Mux) all() (ss []*session) {
	x.sessions.Range(func(_, s any) bool {
		ss = append(ss, s.(*session))
		return true
	})
	slices.SortFunc(ss, func(a, b *session) int { return cmp.Compare(a.conn.ID(), b.conn.ID()) })
	return ss
}

// isClosed is why the Mux is closed, or nil.
func (x *Mux) isClosed() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.closed
}

func (x *Mux) listener(service string) *Listener {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.listeners[service]
}

// take promises n bytes more, if that leaves them within limit.
func (x *Mux) take(n, limit int64) bool {
	for {
		p := x.promised.Load()
		if p+n > limit {
			return false
		}
		if x.promised.CompareAndSwap(p, p+n) {
			return true
		}
	}
}

// closedConn is told of each connection that is closed for good.
func (x *Mux) closedConn(c msg.Connection, reason error) {
	x.over(c, ending(reason))
	if c.IsLoopback() && c.IsClosed() {
		x.end(ending(reason)) // Shutdown
	}
}

// ending is what streams end with when their connection is closed for that reason.
func ending(reason error) error {
	if errors.Is(reason, msg.ErrMarkedDown) || errors.Is(reason, msg.ErrShutdown) {
		return fmt.Errorf("stream: %w: %w", net.ErrClosed, reason)
	}
	return fmt.Errorf("%w: %w", ErrPeerReset, reason)
}

// over ends the streams of a connection that is closed for good.
func (x *Mux) over(c msg.Connection, reason error) {
	if s, ok := x.sessions.LoadAndDelete(c); ok {
		s.(*session).fail(reason, true)
	}
}
