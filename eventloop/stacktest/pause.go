package stacktest

import (
	"errors"
	"strings"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

func testPauseResume(e *env) {
	c, s := e.pair(plain, plain)
	total := 0
	for i := range 20 {
		s.do(func() { s.t.PauseRead() })
		before := s.count("read")
		c.send("0123456789")
		total += 10
		e.settle()
		e.settle()
		e.check(s.count("read") == before, "HandleRead while paused, round %d", i)
		s.do(func() {
			s.t.ResumeRead()
			if i%2 == 1 { // back and forth in one round
				s.t.PauseRead()
				s.t.ResumeRead()
			}
		})
		e.Until("bytes after ResumeRead", s.got(total))
	}
}

// testPauseHoldsEOF: FIN is reported after ResumeRead and all bytes, and a
// paused connection with FIN in both directions costs the worker nothing.
func testPauseHoldsEOF(e *env) {
	for _, both := range []bool{false, true} {
		c, s := e.pair(plain, plain)
		s.do(func() {
			s.t.PauseRead()
			if both {
				e.t.Log(s.t.CloseWrite())
			}
		})
		c.do(func() {
			c.flush = func(p *peer) {
				_, _ = p.t.Write([][]byte{[]byte("the end")})
				e.t.Log(p.t.CloseWrite())
			}
			c.t.WantFlush()
		})
		if both {
			e.Until("FIN at the client", c.has("eof"))
		}
		e.settle()
		e.settle()
		e.check(s.count("eof")+s.count("read")+s.count("closed") == 0, "callbacks while paused: %v", s.history())
		s.do(func() { s.t.ResumeRead() })
		e.Until("FIN after ResumeRead", s.has("eof"))
		e.check(string(s.bytes()) == "the end", "got %q before FIN", s.bytes())
		e.check(s.count("closed")+c.count("closed") == 0, "closed: %v, %v", s.closedWith(), c.closedWith())
	}
}

func testPauseReportsReset(e *env) {
	c, s := e.pair(plain, plain)
	s.do(func() { s.t.PauseRead() })
	c.send("never read")
	e.settle()
	c.do(c.abort)
	e.Until("HandleClosed while paused", s.has("closed"))
	e.check(errors.Is(s.closedWith(), syscall.ECONNRESET), "closed with %v", s.closedWith())
	e.check(s.count("read") == 0, "HandleRead while paused")
}

// testPauseInHandleRead reads one portion per permission.
func testPauseInHandleRead(e *env) {
	const size = 4 << 20
	c, s := e.pair(plain, func(p *peer) {
		p.read = func(p *peer, direct int, rest []byte) {
			p.t.PauseRead()
			p.collect(direct, rest)
		}
	})
	c.send(strings.Repeat("x", size))
	portions := 0
	for ; !s.got(size)(); portions++ {
		e.Until("a portion", func() bool { return s.count("read") > portions })
		e.settle()
		e.check(s.count("read") == portions+1, "%d portions, %d permissions", s.count("read"), portions+1)
		s.do(func() { s.t.ResumeRead() })
	}
	e.check(len(s.bytes()) == size, "got %d bytes of %d", len(s.bytes()), size)
}

// testPauseBeforeConnected pauses in Dial's round.
func testPauseBeforeConnected(e *env) {
	l := e.serve(nil, func(p *peer) {
		p.started = func(p *peer) { p.write([]byte("welcome")) }
	})
	c := e.newPeer("client", e.Client.Worker(0))
	c.do(func() {
		c.dial(l.Addr(), eventloop.DialConfig{})
		c.t.PauseRead()
	})
	e.Until("connected", c.has("connected"))
	e.settle()
	e.settle()
	e.check(c.count("read") == 0, "HandleRead while paused")
	c.do(func() { c.t.ResumeRead() })
	e.Until("bytes after ResumeRead", c.got(7))
}
