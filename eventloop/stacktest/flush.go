package stacktest

import (
	"bytes"
	"errors"
	"math/rand/v2"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// stuck returns a connection whose server side does not read and whose client
// side writes as soon as there is room, with the client's worker given.
func (e *env) stuck(size int) (c, s *peer) {
	src, dst := &source{size: size, rand: e.rand()}, &sink{size: size}
	return e.pair(func(p *peer) {
		p.flush = src.fill
		p.connected = func(p *peer) { p.t.WantFlush() }
	}, func(p *peer) {
		p.read = dst.read
		p.started = func(p *peer) { p.t.PauseRead() }
	})
}

// testFlushWhenRoomAgain: HandleFlush follows a short Write by itself.
func testFlushWhenRoomAgain(e *env) {
	c, s := e.stuck(e.bytes())
	e.Until("the first HandleFlush", c.has("flush"))
	e.settle()
	e.check(c.count("sent") == 0, "everything fits into the socket: use a larger Harness.Bytes")
	s.do(func() { s.t.ResumeRead() })
	e.Until("all bytes", s.has("all"))
}

// testFlushCoalesces: any number of WantFlush make one HandleFlush a round.
func testFlushCoalesces(e *env) {
	c, _ := e.pair(plain, plain)
	for i := range 10 {
		before := c.count("flush")
		e.check(before == i, "%d HandleFlush after %d rounds", before, i)
		c.do(func() {
			for range 100 {
				c.t.WantFlush()
			}
			if c.count("flush") != before {
				e.t.Error("HandleFlush within WantFlush")
			}
		})
		e.Until("HandleFlush", func() bool { return c.count("flush") > before })
	}
	e.settle()
	e.check(c.count("flush") == 10, "%d HandleFlush after 10 rounds", c.count("flush"))
}

// testFlushDeferredWhileFull: source.fill reports each HandleFlush without room.
func testFlushDeferredWhileFull(e *env) {
	c, s := e.stuck(e.bytes())
	e.Until("the first HandleFlush", c.has("flush"))
	for range 100 {
		c.do(func() {
			c.t.WantFlush()
			c.t.WantFlush()
		})
	}
	s.do(func() { s.t.ResumeRead() })
	e.Until("all bytes", s.has("all"))
}

// testFlushWhilePaused: who does not read is still told of room, each time the socket
// was full.
func testFlushWhilePaused(e *env) {
	const tries = 5 // a writer that has no turn while the peer reads finds room for all that is left
	for range tries {
		if e.flushWhilePaused() > 1 {
			return
		}
	}
	e.t.Errorf("full only once, in each of %d tries: use a larger Harness.Bytes", tries)
}

// flushWhilePaused returns how often the socket was full.
func (e *env) flushWhilePaused() int {
	c, s := e.stuck(e.bytes())
	e.Until("a full socket", c.has("full"))
	c.do(func() { c.t.PauseRead() })
	s.send("never read") // so that the pause takes effect
	e.settle()
	// The peer takes one portion at a time: full again and again.
	s.do(func() {
		read := s.read
		s.read = func(p *peer, direct int, rest []byte) {
			read(p, direct, rest)
			p.t.PauseRead()
			e.must(p.w.Post(eventloop.TaskFunc(p.t.ResumeRead)))
		}
		s.t.ResumeRead()
	})
	e.Until("all bytes", s.has("all"))
	e.check(c.count("read") == 0, "HandleRead while paused")
	return c.count("full")
}

// testFlushBeforeConnected: what is asked for during Dial comes once connected.
func testFlushBeforeConnected(e *env) {
	var got guarded[*peer]
	l := e.serve(nil, func(p *peer) { got.set(p) })
	c := e.newPeer("client", e.Client.Worker(0))
	c.do(func() {
		c.dial(l.Addr(), eventloop.DialConfig{})
		if n, err := c.t.Write([][]byte{[]byte("early")}); n != 0 || err != nil {
			e.t.Errorf("write while connecting: %d, %v", n, err)
		}
		c.write([]byte("hello"))
		c.t.WantFlush()
	})
	e.Until("the bytes", func() bool { return got.get() != nil && got.get().got(5)() })
	e.check(string(got.get().bytes()) == "hello", "got %q", got.get().bytes())
	e.check(c.count("flush") == 1, "%d HandleFlush", c.count("flush"))
}

// testFlushAgainInHandleFlush: asked for in HandleFlush, the next comes in a
// later round, so that it keeps nobody from working.
func testFlushAgainInHandleFlush(e *env) {
	flushes, stop := 0, false
	c, _ := e.pair(func(p *peer) {
		p.flush = func(p *peer) {
			flushes++
			if !stop {
				p.t.WantFlush()
			}
		}
	}, plain)
	c.do(func() { c.t.WantFlush() })
	c.do(func() {}) // gets its turn
	e.Until("many HandleFlush", func() bool { return c.count("flush") > 1000 })
	c.do(func() { stop = true })
}

// testWriteErrorIsFinal: after an error of Write nothing is called back.
func testWriteErrorIsFinal(e *env) {
	c, s := e.pair(func(p *peer) {
		p.flush = func(p *peer) {
			if _, err := p.t.Write([][]byte{make([]byte, 1000)}); err != nil {
				p.ended = true // the peer complains about any callback from here
				p.t.WantFlush()
				p.t.ResumeRead()
				if n, err := p.t.Write([][]byte{{1}}); n != 0 || err == nil {
					e.t.Errorf("write after an error: %d, %v", n, err)
				}
				p.note("failed")
				return
			}
			p.t.WantFlush()
		}
	}, plain)
	c.do(func() { e.t.Log(c.t.CloseWrite()) })
	e.Until("FIN", s.has("eof"))
	c.do(func() { c.t.WantFlush() })
	e.Until("an error of Write", c.has("failed"))
	s.do(s.abort)
	e.settle()
	c.do(c.close)
}

// testWriteManySlices: more slices than one system call takes, some empty.
func testWriteManySlices(e *env) {
	c, s := e.pair(plain, plain)
	rnd := e.rand()
	var want []byte
	var bufs [][]byte
	for range 5000 {
		bufs = append(bufs, randomBytes(rnd, rnd.IntN(4)*rnd.IntN(10)))
		want = append(want, bufs[len(bufs)-1]...)
	}
	c.do(func() {
		n, err := c.t.Write(bufs)
		if n != len(want) || err != nil {
			e.t.Errorf("wrote %d of %d bytes: %v", n, len(want), err)
		}
		if n, err := c.t.Write(nil); n != 0 || err != nil {
			e.t.Errorf("wrote nothing: %d, %v", n, err)
		}
		if n, err := c.t.Write([][]byte{nil, {}}); n != 0 || err != nil {
			e.t.Errorf("wrote nothing: %d, %v", n, err)
		}
	})
	e.Until("all bytes", s.got(len(want)))
	e.check(bytes.Equal(s.bytes(), want), "the bytes differ")
	c.do(func() {
		c.close()
		if _, err := c.t.Write(bufs); !errors.Is(err, eventloop.ErrTransportClosed) {
			e.t.Errorf("write after Close: %v", err)
		}
	})
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
