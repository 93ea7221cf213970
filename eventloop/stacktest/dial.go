package stacktest

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// dead returns an address where nobody listens any more.
func (e *env) deadAddr() netip.AddrPort {
	e.t.Helper()
	l := e.listen(func(s eventloop.Socket) { _ = s.Close() })
	e.must(l.Close())
	e.settle()
	return l.Addr()
}

// failedDial dials and returns the error.
func (e *env) failedDial(to netip.AddrPort, cfg eventloop.DialConfig) error {
	e.t.Helper()
	c := e.newPeer("client", e.Client.Pick())
	load := c.w.Load()
	c.do(func() {
		c.dial(to, cfg)
		c.t.WantFlush()
		c.t.PauseRead()
		c.t.ResumeRead()
		if c.t.RemoteAddr() != to {
			e.t.Errorf("remote address %v, dialled %v", c.t.RemoteAddr(), to)
		}
	})
	e.Until("the outcome of the dial", c.has("done"))
	e.check(len(c.history()) == 2, "callbacks: %v", c.history())
	e.check(c.w.Load() == load, "load was %d, is %d", load, c.w.Load())
	return c.closedWith()
}

func testDialRefused(e *env) {
	err := e.failedDial(e.deadAddr(), eventloop.DialConfig{Timeout: time.Minute})
	e.check(errors.Is(err, syscall.ECONNREFUSED), "closed with %v", err)
}

func testDialUnreachable(e *env) {
	if !e.Unreachable.IsValid() {
		e.t.Skip("no unreachable address given")
	}
	err := e.failedDial(e.Unreachable, eventloop.DialConfig{Timeout: time.Minute})
	e.check(errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH), "closed with %v", err)
}

func testDialInvalid(e *env) {
	err := e.failedDial(netip.AddrPort{}, eventloop.DialConfig{})
	e.check(err != nil, "dialled nowhere")
}

func testDialTimeout(e *env) {
	if e.Blackhole == nil {
		e.t.Skip("no silent address given")
	}
	to := e.Blackhole()
	err := e.failedDial(to, eventloop.DialConfig{Timeout: 30 * time.Millisecond})
	e.check(errors.Is(err, eventloop.ErrDialTimeout), "closed with %v", err)

	// Ended by this side: no outcome at all.
	for _, end := range []func(*peer){(*peer).close, (*peer).abort} {
		c := e.newPeer("client", e.Client.Worker(0))
		c.do(func() { c.dial(to, eventloop.DialConfig{Timeout: 10 * time.Millisecond}) })
		c.do(func() { end(c) })
		var passed guarded[bool]
		c.do(func() {
			c.w.SetTimer(newTimer(func() {
				passed.set(true)
				e.Notify()
			}), c.w.Now()+20*time.Millisecond)
		})
		e.Until("the time of the timeout", passed.get)
	}
}

// testDialThenClose closes in the round of the dial, whatever its outcome
// would have been.
func testDialThenClose(e *env) {
	l := e.serve(nil, plain)
	for _, to := range []netip.AddrPort{l.Addr(), e.deadAddr(), {}} {
		for _, end := range []func(*peer){(*peer).close, (*peer).abort} {
			c := e.newPeer("client", e.Client.Worker(0))
			c.do(func() {
				c.dial(to, eventloop.DialConfig{Timeout: time.Minute})
				end(c)
			})
		}
	}
	e.settle()
	e.settle()
}

func testDialLocal(e *env) {
	if !e.Local.IsValid() {
		e.t.Skip("no second local address given")
	}
	var from guarded[netip.AddrPort]
	l := e.serve(nil, func(p *peer) {
		p.started = func(p *peer) {
			from.set(p.t.RemoteAddr())
			e.Notify()
		}
	})
	c := e.dial(nil, l, eventloop.DialConfig{Local: netip.AddrPortFrom(e.Local, 0)}, plain)
	e.Until("connected", c.has("connected"))
	e.Until("accepted", func() bool { return from.get().IsValid() })
	c.do(func() {
		if c.t.LocalAddr() != from.get() || from.get().Addr() != e.Local {
			e.t.Errorf("dialled from %v, local address %v, the server saw %v", e.Local, c.t.LocalAddr(), from.get())
		}
	})
}

// testDialItself: a port that nobody listens on refuses a dial from itself too.
func testDialItself(e *env) {
	self := e.deadAddr()
	c := e.newPeer("client", e.Server.Worker(0))
	c.do(func() { c.dial(self, eventloop.DialConfig{Local: self, Timeout: time.Minute}) })
	e.Until("the outcome of the dial", c.has("done"))
	e.check(errors.Is(c.closedWith(), syscall.ECONNREFUSED), "closed with %v", c.closedWith())
}

// testListenTwice: an address has one listener.
func testListenTwice(e *env) {
	l := e.listen(func(s eventloop.Socket) { _ = s.Close() })
	e.check(l.Addr().Port() != 0, "listening on %v", l.Addr())
	_, err := e.Server.Listen(l.Addr(), eventloop.ListenConfig{}, func(eventloop.Socket) {})
	e.check(errors.Is(err, syscall.EADDRINUSE), "second listener: %v", err)
	_, err = e.Server.Listen(netip.AddrPort{}, eventloop.ListenConfig{}, func(eventloop.Socket) {})
	e.check(err != nil, "listening nowhere")
	e.must(l.Close())
	e.settle()
	again, err := e.Server.Listen(l.Addr(), eventloop.ListenConfig{}, func(eventloop.Socket) {})
	e.must(err)
	e.must(again.Close())
}

// testListenerClose: accept is not called any more, what was accepted lives on.
func testListenerClose(e *env) {
	var closed guarded[bool]
	var server guarded[*peer]
	l := e.listen(func(s eventloop.Socket) {
		if closed.get() {
			e.t.Error("accept after Close")
		}
		e.adopt(nil, s, func(p *peer) {
			echo(p)
			server.set(p)
		})
	})
	c := e.dial(nil, l, eventloop.DialConfig{}, plain)
	c2 := e.dial(nil, l, eventloop.DialConfig{}, plain)
	e.Until("connected", func() bool { return c.count("connected")+c2.count("connected") == 2 })
	c.send("one")
	e.Until("an echo", c.got(3))
	e.must(l.Close())
	e.must(l.Close())
	e.settle()
	closed.set(true)
	err := e.failedDial(l.Addr(), eventloop.DialConfig{Timeout: time.Minute})
	e.check(errors.Is(err, syscall.ECONNREFUSED), "closed with %v", err)
	c.send("two")
	e.Until("an echo", c.got(6))
}
