package async

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	msg.PoisonBuffers = true
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests break everything
	runChild()
	goleak.VerifyTestMain(m, leakOptions...)
}

var leakOptions = []goleak.Option{
	// netpoll's pollers live as long as the process, and so do two goroutines
	// of ants' default pool.
	goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
	goleak.IgnoreCurrent(),
}

// patience is how long a test waits for something that has to come.
const patience = 30 * time.Second

var local = netip.MustParseAddrPort("127.0.0.1:0")

// lab is a stack, a pool and the messengers on them, for one test. Its end
// checks that nothing is left.
type lab struct {
	t       testing.TB
	stack   eventloop.Stack
	pool    *dispatch.AntsPool
	changed chan struct{} // something that a test waits for may have changed
}

func newLab(t testing.TB) *lab { return newLabOf(t, 2) }

func newLabOf(t testing.TB, workers int) *lab {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t, leakOptions...) })
	s, err := netpollstack.Open(netpollstack.Config{Workers: workers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	p, err := dispatch.NewAntsPool(dispatch.AntsConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Release(timeout(t))) })
	return &lab{t: t, stack: s, pool: p, changed: make(chan struct{}, 1)}
}

// timeout is a context that ends after patience.
func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// notify says that something may have changed.
func (l *lab) notify() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// until returns when cond holds. It looks when notified, and now and then for
// counters, which notify nobody. The test's goroutine only.
func (l *lab) until(what string, cond func() bool) {
	l.t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-l.changed:
		case <-look.C:
		case <-end.C:
			l.t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

// node is a messenger and the probe that is its dispatcher.
type node struct {
	*Messenger
	*probe
}

// node returns a messenger that is neither bound nor started. Short backoffs make
// reconnections quick.
func (l *lab) node(name entity.Name, p msg.Policy, change ...func(*Config)) *node {
	l.t.Helper()
	cfg := Config{
		Name: name, Stack: l.stack, Executor: l.pool, DispatchWidth: 4,
		InitialBackoff: 5 * time.Millisecond, MaxBackoff: 40 * time.Millisecond, BindRetries: -1,
	}
	for _, f := range change {
		f(&cfg)
	}
	m, err := New(cfg)
	require.NoError(l.t, err)
	n := &node{m, &probe{l: l}}
	m.SetDefaultPolicy(p)
	m.AddDispatcherTail(n.probe)
	l.t.Cleanup(func() {
		require.NoError(l.t, m.Shutdown(timeout(l.t)))
		s := m.Stats()
		require.Zero(l.t, s.Connections, "connections left in the registry")
		require.Zero(l.t, s.Handshakes, "handshakes left")
		require.Zero(l.t, s.DispatchBytes, "dispatch throttle")
		require.Zero(l.t, s.Queue.Len)
	})
	return n
}

// server is a started node bound to loopback.
func (l *lab) server(name entity.Name, p msg.Policy, change ...func(*Config)) *node {
	l.t.Helper()
	n := l.node(name, p, change...)
	require.NoError(l.t, n.Bind(local))
	require.NoError(l.t, n.Start())
	return n
}

// client is a started node that is not bound.
func (l *lab) client(name entity.Name, p msg.Policy, change ...func(*Config)) *node {
	l.t.Helper()
	n := l.node(name, p, change...)
	require.NoError(l.t, n.Start())
	return n
}

// connect connects n with to and waits until the session stands.
func (l *lab) connect(n, to *node) msg.Connection {
	l.t.Helper()
	c, err := n.ConnectTo(to.Name().Type, to.Addrs())
	require.NoError(l.t, err)
	l.until("connected", c.IsConnected)
	return c
}

// peerOf returns n's connection with the peer of that name.
func (l *lab) peerOf(n *node, name entity.Name) msg.Connection {
	l.t.Helper()
	var found msg.Connection
	l.until("peer "+name.String(), func() bool {
		for _, c := range n.reg.Snapshot() {
			if c.PeerName() == name && c.IsConnected() {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

// happening is a callback that a probe saw.
type happening struct {
	what string // "message", "connect", ...
	conn msg.Connection
	m    *msg.Message
	text string // the message's front
	err  error
}

// probe is a dispatcher that has all optional methods and records what it sees.
// The functions, if set, run too; set them before Start.
type probe struct {
	l          *lab
	onMessage  func(m *msg.Message)
	canFast    func(m *msg.Message) bool
	onFast     func(m *msg.Message)
	preprocess func(m *msg.Message)
	onEvent    func(what string, c msg.Connection) // every kind but messages
	forget     bool                                // release messages, record none
	handsOn    bool                                // onMessage gives the message away

	count atomic.Int64 // messages
	mu    sync.Mutex
	seen  []happening
}

func (p *probe) record(h happening) {
	if h.m != nil {
		h.text = string(h.m.Front)
	}
	p.mu.Lock()
	p.seen = append(p.seen, h)
	p.mu.Unlock()
	if h.m != nil {
		p.count.Add(1)
	}
	p.l.notify()
}

func (p *probe) take(what string, m *msg.Message, f func(m *msg.Message)) {
	if p.handsOn {
		f(m)
		p.count.Add(1)
		p.l.notify()
		return
	}
	if p.forget {
		if f != nil {
			f(m)
		}
		m.Release()
		p.count.Add(1)
		p.l.notify()
		return
	}
	c := m.Connection()
	h := happening{what: what, conn: c, m: m}
	if f != nil {
		h.text = string(m.Front)
		f(m)
	}
	p.record(h)
}

func (p *probe) Dispatch(m *msg.Message) bool { p.take("message", m, p.onMessage); return true }

func (p *probe) CanFastDispatch(m *msg.Message) bool { return p.canFast != nil && p.canFast(m) }
func (p *probe) FastDispatch(m *msg.Message)         { p.take("fast", m, p.onFast) }
func (p *probe) FastPreprocess(m *msg.Message) {
	if p.preprocess != nil {
		p.preprocess(m)
	}
}

func (p *probe) event(h happening) {
	if p.onEvent != nil {
		p.onEvent(h.what, h.conn)
	}
	p.record(h)
}

func (p *probe) HandleConnect(c msg.Connection) { p.event(happening{what: "connect", conn: c}) }
func (p *probe) HandleAccept(c msg.Connection)  { p.event(happening{what: "accept", conn: c}) }
func (p *probe) HandleFastConnect(c msg.Connection) {
	p.event(happening{what: "fast connect", conn: c})
}
func (p *probe) HandleFastAccept(c msg.Connection) { p.event(happening{what: "fast accept", conn: c}) }
func (p *probe) HandleConnectFailed(c msg.Connection, err *msg.ConnectError) {
	p.event(happening{what: "connect failed", conn: c, err: err})
}
func (p *probe) HandleRejected(c msg.Connection, err *msg.RejectedError) {
	p.event(happening{what: "rejected", conn: c, err: err})
}
func (p *probe) HandleSendPressure(c msg.Connection, high bool) {
	p.event(happening{what: map[bool]string{true: "high water", false: "low water"}[high], conn: c})
}
func (p *probe) HandleRemoteReset(c msg.Connection) {
	p.event(happening{what: "remote reset", conn: c})
}
func (p *probe) HandleFastReset(c msg.Connection) { p.event(happening{what: "fast reset", conn: c}) }
func (p *probe) HandleFastRemoteReset(c msg.Connection) {
	p.event(happening{what: "fast remote reset", conn: c})
}
func (p *probe) HandleFault(c msg.Connection, err error) {
	p.event(happening{what: "fault", conn: c, err: err})
}
func (p *probe) HandleFastFault(c msg.Connection, err error) {
	p.event(happening{what: "fast fault", conn: c, err: err})
}
func (p *probe) HandleReset(c msg.Connection, err error) bool {
	p.event(happening{what: "reset", conn: c, err: err})
	return true
}
func (p *probe) HandleRefused(c msg.Connection, err error) bool {
	p.event(happening{what: "refused", conn: c, err: err})
	return true
}
func (p *probe) HandleUndeliverable(c msg.Connection, m *msg.Message, err error) {
	p.event(happening{what: "undeliverable", conn: c, text: string(m.Front), err: err})
}

// events returns what was seen, in order, of the given kinds, or all.
func (p *probe) events(kinds ...string) []happening {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []happening
	for _, h := range p.seen {
		if len(kinds) == 0 {
			out = append(out, h)
		}
		for _, k := range kinds {
			if h.what == k {
				out = append(out, h)
			}
		}
	}
	return out
}

func (p *probe) times(kind string) int { return len(p.events(kind)) }

// texts are the fronts of the messages seen.
func (p *probe) texts() []string {
	var out []string
	for _, h := range p.events("message", "fast") {
		out = append(out, h.text)
	}
	return out
}

// wantMessages waits for n messages and returns their fronts.
func (p *probe) wantMessages(n int) []string {
	p.l.t.Helper()
	p.l.until(fmt.Sprintf("%d messages", n), func() bool { return p.count.Load() >= int64(n) })
	require.EqualValues(p.l.t, n, p.count.Load())
	return p.texts()
}

// want waits until kind was seen n times, and returns the last.
func (p *probe) want(kind string, n int) happening {
	p.l.t.Helper()
	p.l.until(fmt.Sprintf("%s, %d times", kind, n), func() bool { return p.times(kind) >= n })
	all := p.events(kind)
	require.Len(p.l.t, all, n)
	if n == 0 {
		return happening{}
	}
	return all[n-1]
}

// text is a message with that front.
func text(format string, args ...any) *msg.Message {
	return &msg.Message{Type: 1000, Front: fmt.Appendf(nil, format, args...)}
}

func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// ends records how sendings ended.
type ends struct {
	l    *lab
	mu   sync.Mutex
	errs []error
}

func (e *ends) MessageSent(_ msg.Connection, _ *msg.Message, err error) {
	e.mu.Lock()
	e.errs = append(e.errs, err)
	e.mu.Unlock()
	e.l.notify()
}

func (e *ends) all() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]error(nil), e.errs...)
}

func (e *ends) want(n int) []error {
	e.l.t.Helper()
	e.l.until(fmt.Sprintf("%d notices", n), func() bool { return len(e.all()) >= n })
	all := e.all()
	require.Len(e.l.t, all, n)
	return all
}

// gate holds up whoever passes until it is opened.
type gate struct {
	ch      chan struct{}
	once    sync.Once
	arrived atomic.Int32
	l       *lab
}

func (l *lab) gate() *gate {
	g := &gate{ch: make(chan struct{}), l: l}
	l.t.Cleanup(g.open) // a test that failed must end
	return g
}

func (g *gate) pass() {
	g.arrived.Add(1)
	g.l.notify()
	<-g.ch
}
func (g *gate) open() { g.once.Do(func() { close(g.ch) }) }
func (g *gate) wantArrived(n int32) {
	g.l.t.Helper()
	g.l.until("callback", func() bool { return g.arrived.Load() >= n })
}
