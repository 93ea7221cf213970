package stacktest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// env is one running subtest.
type env struct {
	Harness
	t      testing.TB
	closed atomic.Bool    // the stacks are closed: nothing calls back
	jobs   sync.WaitGroup // that run aside
}

// bytes is the size of a large transfer.
func (e *env) bytes() int {
	if e.Bytes > 0 {
		return e.Bytes
	}
	return 16 << 20
}

// rand returns a random source whose seed is printed if the test fails.
func (e *env) rand() *rand.Rand {
	seed := rand.Uint64()
	e.t.Cleanup(func() {
		if e.t.Failed() {
			e.t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// must fails the test if err is not nil.
func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// check fails the test if ok is false.
func (e *env) check(ok bool, format string, args ...any) {
	e.t.Helper()
	if !ok {
		e.t.Fatalf(format, args...)
	}
}

// do runs f on w and waits for it.
func (e *env) do(w eventloop.Worker, f func()) {
	e.t.Helper()
	var done guarded[bool]
	e.must(w.Post(eventloop.TaskFunc(func() {
		f()
		done.set(true)
		e.Notify()
	})))
	e.Until("a posted task", done.get)
}

// settle has every worker run one more task, so that what was posted or closed
// before has taken effect.
func (e *env) settle() {
	e.t.Helper()
	for _, s := range []eventloop.Stack{e.Client, e.Server} {
		for i := range s.NumWorkers() {
			e.do(s.Worker(i), func() {})
		}
	}
}

// listen accepts on the server; accept runs on the listener's worker.
func (e *env) listen(accept func(eventloop.Socket)) eventloop.Listener {
	e.t.Helper()
	l, err := e.Server.Listen(e.Addr(), eventloop.ListenConfig{}, accept)
	e.must(err)
	return l
}

// serve accepts connections, each with a new peer that setup prepares, on w or,
// if that is nil, on the server's pick.
func (e *env) serve(w eventloop.Worker, setup func(*peer)) eventloop.Listener {
	return e.listen(func(s eventloop.Socket) { e.adopt(w, s, setup) })
}

// adopt hands s to a worker; if the worker refuses, it is closed.
func (e *env) adopt(w eventloop.Worker, s eventloop.Socket, setup func(*peer)) {
	if w == nil {
		w = e.Server.Pick()
	}
	err := w.Post(eventloop.TaskFunc(func() {
		p := e.newPeer("server", w)
		p.up = true
		setup(p)
		p.t = w.Adopt(s, p)
		if p.started != nil {
			p.started(p)
		}
	}))
	if err != nil {
		_ = s.Close()
	}
}

// dial starts a connection on w, or the client's pick, and returns its peer
// after Dial has returned.
func (e *env) dial(w eventloop.Worker, l eventloop.Listener, cfg eventloop.DialConfig, setup func(*peer)) *peer {
	e.t.Helper()
	if w == nil {
		w = e.Client.Pick()
	}
	p := e.newPeer("client", w)
	setup(p)
	e.do(w, func() { p.dial(l.Addr(), cfg) })
	return p
}

// pair connects two peers and waits until both ends exist.
func (e *env) pair(client, server func(*peer)) (c, s *peer) {
	e.t.Helper()
	return e.pairOn(nil, nil, client, server)
}

func (e *env) pairOn(cw, sw eventloop.Worker, client, server func(*peer)) (c, s *peer) {
	e.t.Helper()
	var accepted guarded[*peer]
	l := e.serve(sw, func(p *peer) {
		server(p)
		started := p.started
		p.started = func(p *peer) {
			if started != nil {
				started(p)
			}
			accepted.set(p)
			e.Notify()
		}
	})
	c = e.dial(cw, l, eventloop.DialConfig{}, client)
	e.Until("both ends of a connection", func() bool {
		return accepted.get() != nil && c.count("connected")+c.count("done") > 0
	})
	e.must(l.Close())
	return c, accepted.get()
}

func plain(*peer) {}

// guarded is a value shared by workers and the test's goroutine.
type guarded[T any] struct {
	mu sync.Mutex
	v  T
}

func (g *guarded[T]) set(v T) { g.update(func(p *T) { *p = v }) }

func (g *guarded[T]) get() (v T) {
	g.update(func(p *T) { v = *p })
	return v
}

func (g *guarded[T]) update(f func(*T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.v)
}
