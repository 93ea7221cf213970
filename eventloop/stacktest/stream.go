package stacktest

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// echo makes a peer send back what it receives.
func echo(p *peer) {
	p.read = func(p *peer, direct int, rest []byte) {
		p.write(p.into[:direct])
		p.write(rest)
	}
	p.sawEOF = (*peer).close
}

func testEcho(e *env) {
	c, _ := e.pair(plain, echo)
	want := ""
	for _, s := range []string{"a", "bc", strings.Repeat("def", 10_000), "g"} {
		c.send(s)
		want += s
		e.Until("the echo", c.got(len(want)))
	}
	e.check(string(c.bytes()) == want, "the echo differs")
	e.check(c.history()[0] == "connected", "first callback is %s", c.history()[0])
}

func testEcho6(e *env) {
	if e.Addr6 == nil {
		e.t.Skip("no IPv6 address given")
	}
	e.Addr = e.Addr6
	testEcho(e)
}

func testAddresses(e *env) {
	c, s := e.pair(plain, plain)
	var cl, cr, sl, sr netip.AddrPort
	c.do(func() { cl, cr = c.t.LocalAddr(), c.t.RemoteAddr() })
	s.do(func() { sl, sr = s.t.LocalAddr(), s.t.RemoteAddr() })
	e.check(cl == sr && cr == sl, "client %v -> %v, server %v <- %v", cl, cr, sl, sr)
	e.check(cl.IsValid() && cr.IsValid() && cl.Port() != 0 && cr.Port() != 0, "client %v -> %v", cl, cr)
}

// testLargeTransfer sends in both directions at once; nobody reads before both
// sockets are full, so that partial writes happen.
func testLargeTransfer(e *env) {
	size := e.bytes()
	setup := func() func(*peer) {
		src, dst := &source{size: size, rand: e.rand()}, &sink{size: size}
		return func(p *peer) {
			p.flush, p.read = src.fill, dst.read
			p.connected = func(p *peer) {
				p.t.PauseRead()
				p.t.WantFlush()
			}
			p.started = p.connected
		}
	}
	c, s := e.pair(setup(), setup())
	e.Until("full sockets", func() bool { return c.count("full") > 0 && s.count("full") > 0 })
	c.do(func() { c.t.ResumeRead() })
	s.do(func() { s.t.ResumeRead() })
	e.Until("all bytes at the server", s.has("all"))
	e.Until("all bytes at the client", c.has("all"))
}

// testReadInto receives frames, an 8-byte length and a payload, the payload in
// its own buffer.
func testReadInto(e *env) {
	const frames = 40
	rnd := e.rand()
	var stream []byte
	for i := range frames {
		size := 1 << rnd.IntN(21)
		if i == 0 {
			size = 2 << 20 // more than one read
		}
		size += rnd.IntN(7)
		stream = append(stream, byte(size), byte(size>>8), byte(size>>16), byte(size>>24))
		stream = append(stream, patternAt(0, min(size, patternLen))...)
		for got := patternLen; got < size; got += patternLen {
			stream = append(stream, patternAt(got, min(size-got, patternLen))...)
		}
	}
	var head, payload []byte
	var size, filled, done, inPlace int
	receive := func(p *peer) {
		p.readInto = func(*peer) []byte {
			if payload == nil {
				return nil
			}
			return payload[filled:]
		}
		finish := func() {
			for off := 0; off < size; off += patternLen {
				n := min(size-off, patternLen)
				if !bytes.Equal(payload[off:off+n], patternAt(off, n)) {
					p.e.t.Errorf("frame %d of %d bytes is wrong after %d", done, size, off)
					break
				}
			}
			head, payload, filled = nil, nil, 0
			if done++; done == frames {
				p.note("all")
			}
		}
		p.read = func(p *peer, direct int, rest []byte) {
			inPlace += direct
			filled += direct
			for payload != nil && filled == size || len(rest) > 0 {
				if payload != nil && filled == size {
					finish()
					continue
				}
				if payload != nil {
					n := copy(payload[filled:], rest)
					filled += n
					rest = rest[n:]
					continue
				}
				n := min(4-len(head), len(rest))
				head = append(head, rest[:n]...)
				rest = rest[n:]
				if len(head) == 4 {
					size = int(head[0]) | int(head[1])<<8 | int(head[2])<<16 | int(head[3])<<24
					payload = make([]byte, size)
				}
			}
		}
	}
	c, s := e.pair(plain, receive)
	c.do(func() { c.write(stream) })
	e.Until("all frames", s.has("all"))
	s.do(func() {})
	e.check(inPlace > 0, "nothing landed in place")
}

// testHalfCloseByClient: after FIN of one side the other still sends.
func testHalfCloseByClient(e *env) {
	c, s := e.pair(plain, plain)
	halfClose(e, c, s)
}

func testHalfCloseByServer(e *env) {
	c, s := e.pair(plain, plain)
	halfClose(e, s, c)
}

func halfClose(e *env, first, second *peer) {
	first.do(func() {
		first.flush = func(p *peer) {
			if _, err := p.t.Write([][]byte{[]byte("last words")}); err != nil {
				e.t.Errorf("write: %v", err)
			}
			if err := p.t.CloseWrite(); err != nil {
				e.t.Errorf("CloseWrite: %v", err)
			}
		}
		first.t.WantFlush()
	})
	e.Until("FIN at the second", second.has("eof"))
	e.check(string(second.bytes()) == "last words", "got %q before FIN", second.bytes())
	for range 3 {
		before := len(first.bytes())
		second.send(strings.Repeat("still here", 1000))
		e.Until("bytes after FIN", first.got(before+10_000))
	}
	second.do(func() { e.t.Log(second.t.CloseWrite()) })
	e.Until("FIN at the first", first.has("eof"))
	e.settle()
	for _, p := range []*peer{first, second} {
		e.check(p.count("closed") == 0, "%s was closed: %v", p.name, p.closedWith())
		p.do(p.close)
	}
}

func testResetByClient(e *env) {
	c, s := e.pair(plain, plain)
	reset(e, c, s)
}

func testResetByServer(e *env) {
	c, s := e.pair(plain, plain)
	reset(e, s, c)
}

func reset(e *env, by, at *peer) {
	by.do(by.abort)
	e.Until("HandleClosed", at.has("closed"))
	e.check(errors.Is(at.closedWith(), syscall.ECONNRESET), "closed with %v, not ECONNRESET", at.closedWith())
	e.check(at.count("eof") == 0, "a reset is no end of stream")
}

// testResetAfterEOF: an error is reported even when reading is over.
func testResetAfterEOF(e *env) {
	c, s := e.pair(plain, plain)
	c.do(func() { e.t.Log(c.t.CloseWrite()) })
	e.Until("FIN", s.has("eof"))
	c.do(c.abort)
	e.Until("HandleClosed", s.has("closed"))
	e.check(s.closedWith() != nil, "no error")
}

// testCloseSendsWhatWasWritten closes right after a write while the peer keeps
// sending: what Write took still arrives.
func testCloseSendsWhatWasWritten(e *env) {
	const size = 1000
	done := 0
	e.t.Cleanup(func() { e.t.Logf("%d connections", done) })
	for ; done < 20; done++ {
		c, s := e.pair(plain, plain)
		s.do(func() {
			s.t.PauseRead() // what the client sends stays unread
		})
		c.send(strings.Repeat("x", 50_000))
		s.do(func() {
			s.flush = func(p *peer) {
				if n, err := p.t.Write([][]byte{bytes.Repeat([]byte("y"), size)}); n != size || err != nil {
					e.t.Errorf("write: %d, %v", n, err)
				}
				p.close()
			}
			s.t.WantFlush()
		})
		e.Until("the last bytes", func() bool { return c.got(size)() || c.count("closed") > 0 })
		e.check(len(c.bytes()) == size, "got %d bytes, then %v", len(c.bytes()), c.closedWith())
		c.do(func() {
			if !c.ended {
				c.close()
			}
		})
	}
}

// testSlowPeerDelaysNobody fills one connection to the brim and uses another
// one between the same two workers.
func testSlowPeerDelaysNobody(e *env) {
	size := e.bytes()
	cw, sw := e.Client.Worker(0), e.Server.Worker(0)
	dst := &sink{size: size}
	src := &source{size: size, rand: e.rand()}
	slow, stuck := e.pairOn(cw, sw, func(p *peer) {
		p.flush = src.fill
		p.connected = func(p *peer) { p.t.WantFlush() }
	}, func(p *peer) {
		p.read = dst.read
		p.started = func(p *peer) { p.t.PauseRead() }
	})
	c, _ := e.pairOn(cw, sw, plain, echo)
	for i := range 100 {
		c.send("ping")
		e.Until("the neighbour's echo", c.got(4*(i+1)))
	}
	e.check(slow.count("sent") == 0, "%d bytes fit into the socket: use a larger Harness.Bytes", size)
	stuck.do(func() { stuck.t.ResumeRead() })
	e.Until("the slow peer's bytes", stuck.has("all"))
}

// testFastPeerDelaysNobody has a connection whose next bytes are there whenever some
// were read: both its ends are the same worker's. It must not keep the worker from the
// neighbours.
func testFastPeerDelaysNobody(e *env) {
	const readsMax = 1 << 16
	w, chunk := e.Server.Worker(0), make([]byte, 4<<10)
	reads, stop := 0, false
	var from *peer
	from, _ = e.pairOn(w, w, plain, func(p *peer) {
		p.read = func(p *peer, direct int, rest []byte) {
			if reads++; reads == readsMax {
				e.t.Errorf("%d reads, and a neighbour waits", reads)
				stop = true
			}
			for n := direct + len(rest); n > 0 && !stop; n -= len(chunk) {
				if _, err := from.t.Write([][]byte{chunk}); err != nil {
					e.t.Errorf("write: %v", err)
					stop = true
				}
			}
		}
	})
	from.flush = func(*peer) {}
	c, _ := e.pairOn(w, w, plain, echo)
	e.do(w, func() {
		for range 16 {
			if _, err := from.t.Write([][]byte{chunk}); err != nil {
				e.t.Errorf("write: %v", err)
			}
		}
	})
	for i := range 10 {
		c.send("ping")
		e.Until("the neighbour's echo", c.got(4*(i+1)))
		e.do(w, func() { reads = 0 })
	}
	e.do(w, func() { stop = true })
}

// testDetachMidStream moves both ends of a busy connection from worker to
// worker.
func testDetachMidStream(e *env) {
	size := e.bytes()
	moves := guarded[int]{}
	var mover func(stack eventloop.Stack, src *source, dst *sink) func(*peer)
	mover = func(stack eventloop.Stack, src *source, dst *sink) func(*peer) {
		return func(p *peer) {
			next := dst.got + size/20
			p.flush = func(p *peer) { src.fill(p) }
			p.connected = func(p *peer) { p.t.WantFlush() }
			p.started = p.connected
			p.read = func(p *peer, direct int, rest []byte) {
				dst.read(p, direct, rest)
				if dst.got < next || dst.got >= size {
					return
				}
				moves.update(func(n *int) { *n++ })
				src.moved = true
				sock := p.detach()
				w := stack.Worker((p.w.ID() + 1) % stack.NumWorkers())
				e.adopt(w, sock, mover(stack, src, dst))
			}
		}
	}
	cSink, sSink := &sink{size: size}, &sink{size: size}
	e.pair(mover(e.Client, &source{size: size, rand: e.rand()}, cSink),
		mover(e.Server, &source{size: size, rand: e.rand()}, sSink))
	e.Until("all bytes on both ends", func() bool {
		return cSink.complete() && sSink.complete()
	})
	e.check(moves.get() >= 4, "moved only %d times", moves.get())
}

func testDetachWhileConnecting(e *env) {
	l := e.serve(nil, plain)
	c := e.newPeer("client", e.Client.Worker(0))
	c.do(func() {
		c.dial(l.Addr(), eventloop.DialConfig{})
		if s, err := c.t.Detach(); !errors.Is(err, syscall.ENOTCONN) || s != nil {
			e.t.Errorf("detached a connection that is not established: %v, %v", s, err)
		}
	})
	e.Until("connected", c.has("connected"))
}

// testSocketClose: who owns a Socket may close it instead of adopting it.
func testSocketClose(e *env) {
	l := e.listen(func(s eventloop.Socket) {
		if err := s.Close(); err != nil {
			e.t.Errorf("close: %v", err)
		}
	})
	c := e.dial(nil, l, eventloop.DialConfig{}, plain)
	e.Until("the end of the accepted socket", func() bool { return c.count("eof")+c.count("closed") > 0 })

	a, b := e.pair(plain, plain)
	a.do(func() {
		s := a.detach()
		e.t.Log(s.Close())
		p := e.newPeer("late", a.w)
		p.up = true
		p.closed = func(p *peer, err error) {
			if !errors.Is(err, eventloop.ErrTransportClosed) {
				e.t.Errorf("adopted a closed socket: %v", err)
			}
			c.note("late")
		}
		p.t = a.w.Adopt(s, p)
	})
	e.Until("the end of the detached socket", func() bool { return b.count("eof")+b.count("closed") > 0 })
	e.Until("the failed adoption", c.has("late"))
}

// testLoad follows Worker.Load through the life of a connection.
func testLoad(e *env) {
	load := func() (n int) {
		for i := range e.Client.NumWorkers() {
			n += e.Client.Worker(i).Load()
		}
		return n
	}
	before := load()
	c, s := e.pair(plain, plain)
	ends := 1
	if e.Client == e.Server {
		ends = 2
	}
	e.check(load() == before+ends, "load %d, want %d", load(), before+ends)
	var sock eventloop.Socket
	c.do(func() { sock = c.detach() })
	e.check(load() == before+ends, "load %d after detach, want %d", load(), before+ends)
	e.must(sock.Close())
	s.do(func() {
		if !s.ended {
			s.close()
		}
	})
	e.Until("no load", func() bool { return load() == before })
}
