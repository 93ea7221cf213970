package async

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// What users hand to a messenger besides dispatchers is called on workers too, from
// within the session: sources of chance, throttlers, authentication methods, observers,
// log handlers. The guards of this file stop a panic there and report it. (A
// runtime.Goexit cannot be stopped: it is reported, the worker survives it, and the
// connection that it happened for ends: connection.Conn.Abandoned.)

// guard is deferred around such a call; returned says that it did.
func (m *Messenger) guard(what string, returned *bool) {
	if !*returned {
		m.failed(what, recover())
	}
}

// failed reports such a call that did not return; recovered is nil for a Goexit.
func (m *Messenger) failed(what string, recovered any) {
	if recovered == nil {
		recovered = msg.ErrGoexit
	}
	m.userPanicked(nil, fmt.Sprintf("in %s: %v", what, recovered), debug.Stack())
}

// observing is Config.Observe.
func (m *Messenger) observing(observe func(session.State, frame.Tag)) func(session.State, frame.Tag) {
	if observe == nil {
		return nil
	}
	return func(st session.State, tag frame.Tag) {
		returned := false
		defer m.guard("Config.Observe", &returned)
		callback.OnWorker(func() { observe(st, tag) })
		returned = true
	}
}

// rand64 is Config.Rand; the system's takes its place when it fails.
func (m *Messenger) rand64() (x uint64) {
	returned := false
	defer func() {
		if !returned {
			m.failed("Config.Rand", recover())
			x = systemRand()
		}
	}()
	callback.OnWorker(func() { x = m.cfg.Rand() })
	returned = true
	return x
}

// guardThrottlers guards those of p that are not this library's.
func (m *Messenger) guardThrottlers(p msg.Policy) msg.Policy {
	for _, t := range []*msg.Throttler{&p.ThrottleMessages, &p.ThrottleBytes} {
		switch (*t).(type) {
		case nil, *dispatch.Throttle, guardedThrottler:
		default:
			*t = guardedThrottler{m, *t}
		}
	}
	return p
}

// guardedThrottler lets in what its throttler fails to decide about, as Take does, so
// that its Release has something to give back.
type guardedThrottler struct {
	m *Messenger
	t msg.Throttler
}

func (g guardedThrottler) Acquire(n int64, w msg.ThrottleWaiter) (ok bool) {
	decided := false
	g.call("Throttler.Acquire", func() { ok, decided = g.t.Acquire(n, w), true })
	if !decided {
		g.Take(n)
		return true
	}
	return ok
}

func (g guardedThrottler) Cancel(w msg.ThrottleWaiter) (ok bool) {
	g.call("Throttler.Cancel", func() { ok = g.t.Cancel(w) })
	return ok
}

func (g guardedThrottler) Take(n int64) { g.call("Throttler.Take", func() { g.t.Take(n) }) }

func (g guardedThrottler) Release(n int64) { g.call("Throttler.Release", func() { g.t.Release(n) }) }

func (g guardedThrottler) call(what string, f func()) {
	returned := false
	defer g.m.guard(what, &returned)
	callback.OnWorker(f)
	returned = true
}

// authorizing is Config.Authorize.
func (m *Messenger) authorizing(authorize func(auth.Peer) error) func(auth.Peer, bool) error {
	if authorize == nil {
		return nil
	}
	return func(p auth.Peer, slow bool) (err error) {
		g := guardedAuth{m, slow}
		g.call("Config.Authorize", &err, func() { err = authorize(p) })
		return err
	}
}

// guardedAuth turns what an authentication method panics with into its error.
type guardedAuth struct {
	m    *Messenger
	slow bool // it is called on the executor, where it may block
}

func (g guardedAuth) call(what string, err *error, f func()) {
	returned := false
	defer func() {
		if !returned {
			*err = fmt.Errorf("%w: %s", ErrPanic, what)
		}
	}()
	defer g.m.guard(what, &returned)
	if g.slow {
		callback.OnPool(f)
	} else {
		callback.OnWorker(f)
	}
	returned = true
}

// guardedExchange is what both sides' exchanges have in common: that they may be slow, and
// closed. what is that one.
type guardedExchange struct {
	guardedAuth
	what any
	name string
	err  error // instead of an exchange
}

// ask finds out whether the exchange is slow.
func (g *guardedExchange) ask() {
	if g.err == nil {
		g.call(g.name+".Slow", &g.err, func() { g.slow, g.err = auth.IsSlow(g.what), nil })
	}
}

// Slow implements auth.Slow.
func (g *guardedExchange) Slow() bool { return g.slow }

// Close implements io.Closer. It must not block wherever it is called.
func (g *guardedExchange) Close() (err error) {
	c := g.guardedAuth
	c.slow = false
	c.call(g.name+".Close", &err, func() { err = auth.Close(g.what) })
	return err
}

type guardedClient struct {
	guardedAuth
	c auth.Client
}

func (g guardedClient) NewExchange(self, peer entity.Type) auth.ClientExchange {
	x := &guardedClientExchange{}
	x.guardedAuth, x.name = g.guardedAuth, "auth.ClientExchange"
	g.call("auth.Client.NewExchange", &x.err, func() { x.x, x.err = g.c.NewExchange(self, peer), nil })
	x.what = x.x
	x.ask()
	return x
}

type guardedClientExchange struct {
	guardedExchange
	x auth.ClientExchange
}

func (g *guardedClientExchange) Request() (r auth.Request, err error) {
	if g.err != nil {
		return r, g.err
	}
	g.call("auth.ClientExchange.Request", &err, func() { r, err = g.x.Request() })
	return r, err
}

func (g *guardedClientExchange) BadMethod(refusal *auth.RefusedError) (r auth.Request, err error) {
	g.call("auth.ClientExchange.BadMethod", &err, func() { r, err = g.x.BadMethod(refusal) })
	return r, err
}

func (g *guardedClientExchange) More(payload []byte) (p []byte, err error) {
	g.call("auth.ClientExchange.More", &err, func() { p, err = g.x.More(payload) })
	return p, err
}

func (g *guardedClientExchange) Done(id uint64, mode uint32, payload []byte) (r auth.Result, err error) {
	g.call("auth.ClientExchange.Done", &err, func() { r, err = g.x.Done(id, mode, payload) })
	return r, err
}

type guardedServer struct {
	guardedAuth
	s auth.Server
}

func (g guardedServer) NewExchange(self, peer entity.Type) auth.ServerExchange {
	x := &guardedServerExchange{}
	x.guardedAuth, x.name = g.guardedAuth, "auth.ServerExchange"
	g.call("auth.Server.NewExchange", &x.err, func() { x.x, x.err = g.s.NewExchange(self, peer), nil })
	x.what = x.x
	x.ask()
	return x
}

type guardedServerExchange struct {
	guardedExchange
	x auth.ServerExchange
}

func (g *guardedServerExchange) Request(q auth.Request) (r auth.Reply, err error) {
	if g.err != nil {
		return r, g.err
	}
	g.call("auth.ServerExchange.Request", &err, func() { r, err = g.x.Request(q) })
	return r, err
}

func (g *guardedServerExchange) More(payload []byte) (r auth.Reply, err error) {
	g.call("auth.ServerExchange.More", &err, func() { r, err = g.x.More(payload) })
	return r, err
}

// guardedHandler is a log handler that may panic, and be left out then: there is no
// place to say so. It has no mark of a callback: the goroutine that logs is the user's
// as often as a worker.
type guardedHandler struct{ slog.Handler }

func guardedLogger(l *slog.Logger) *slog.Logger { return slog.New(guardedHandler{l.Handler()}) }

func (h guardedHandler) Enabled(ctx context.Context, level slog.Level) (on bool) {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, level)
}

func (h guardedHandler) Handle(ctx context.Context, r slog.Record) error {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, r)
}

func (h guardedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return guardedHandler{h.Handler.WithAttrs(attrs)}
}

func (h guardedHandler) WithGroup(name string) slog.Handler {
	return guardedHandler{h.Handler.WithGroup(name)}
}
