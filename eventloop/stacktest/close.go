package stacktest

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// testCloseInEveryCallback ends the connection by each means in each callback;
// peer complains about any callback afterwards.
func testCloseInEveryCallback(e *env) {
	ends := []struct {
		name string
		end  func(*peer)
	}{
		{"Close", (*peer).close},
		{"Abort", (*peer).abort},
		{"Detach", func(p *peer) { _ = p.detach().Close() }},
	}
	for _, at := range []string{
		"HandleConnected", "ReadInto", "HandleRead", "HandleEOF", "HandleFlush", "HandleClosed", "task", "timer",
	} {
		for _, by := range ends {
			name := fmt.Sprintf("%s in %s", by.name, at)
			end := func(p *peer) {
				if at == "HandleClosed" {
					// Dead already: all methods are harmless.
					p.t.Close()
					p.t.Abort()
					if _, err := p.t.Detach(); !errors.Is(err, eventloop.ErrTransportClosed) {
						e.t.Errorf("Detach in HandleClosed: %v", err)
					}
					return
				}
				p.t.WantFlush()
				by.end(p)
				p.t.WantFlush()
				p.t.ResumeRead()
			}
			c, s := e.pair(func(p *peer) {
				switch at {
				case "HandleConnected":
					p.connected = end
				case "ReadInto":
					p.readInto = func(p *peer) []byte {
						if !p.ended {
							end(p)
						}
						return nil
					}
				case "HandleRead":
					p.read = func(p *peer, _ int, _ []byte) { end(p) }
				case "HandleEOF":
					p.sawEOF = end
				case "HandleFlush":
					p.flush = end
				case "HandleClosed":
					p.closed = func(p *peer, _ error) { end(p) }
				}
			}, plain)
			switch at {
			case "ReadInto", "HandleRead":
				s.send("bytes")
			case "HandleEOF":
				s.do(func() { e.t.Log(s.t.CloseWrite()) })
			case "HandleFlush":
				c.do(func() { c.t.WantFlush() })
			case "HandleClosed":
				s.do(s.abort)
			case "task":
				c.do(func() { end(c) })
			case "timer":
				c.do(func() { c.w.SetTimer(newTimer(func() { end(c) }), c.w.Now()) })
			}
			e.Until(name, c.has("done"))
			if at != "HandleClosed" {
				e.Until("the server's notice of "+name, func() bool { return s.count("eof")+s.count("closed") > 0 })
			}
			s.do(func() {
				if !s.ended {
					s.close()
				}
			})
		}
	}
	e.settle()
}

// testCloseStorm opens hundreds of connections; both sides end them in random
// callbacks by random means. Nothing must be left.
func testCloseStorm(e *env) {
	const conns = 400
	rnd := e.rand()
	plan := func() (when, how int) { return rnd.IntN(5), rnd.IntN(2) }
	var clientsDone guarded[int]
	storm := func(when, how int) func(*peer) {
		return func(p *peer) {
			end := func(p *peer) {
				if p.ended {
					return
				}
				if how == 0 {
					p.close()
				} else {
					p.abort()
				}
			}
			begin := func(p *peer) {
				if when == 0 {
					end(p)
					return
				}
				p.write([]byte("some bytes"))
			}
			p.connected, p.started = begin, begin
			p.sawEOF = end
			p.read = func(p *peer, _ int, rest []byte) {
				switch when {
				case 1:
					end(p)
				case 2:
					p.write(rest)
					p.t.PauseRead()
					p.w.SetTimer(newTimer(func() { end(p) }), p.w.Now())
				default:
					p.write(rest)
				}
			}
			if when == 3 {
				p.flush = end
			}
			if when == 4 {
				// Not before the first bytes: the peer may be gone by then.
				n := 0
				p.flush = func(p *peer) {
					if n++; n == 3 {
						end(p)
						return
					}
					if _, err := p.t.Write([][]byte{p.out}); err != nil {
						end(p)
					}
				}
			}
		}
	}
	plans := make(chan [2]int, conns)
	for range conns {
		when, how := plan()
		plans <- [2]int{when, how}
	}
	l := e.listen(func(s eventloop.Socket) {
		p := <-plans
		e.adopt(nil, s, storm(p[0], p[1]))
	})
	for range conns {
		when, how := plan()
		w := e.Client.Pick()
		c := e.newPeer("client", w)
		storm(when, how)(c)
		c.done = func() { clientsDone.update(func(n *int) { *n++ }) }
		e.must(w.Post(eventloop.TaskFunc(func() { c.dial(l.Addr(), eventloop.DialConfig{}) })))
	}
	load := func() (n int) {
		for _, s := range []eventloop.Stack{e.Client, e.Server} {
			for i := range s.NumWorkers() {
				n += s.Worker(i).Load()
			}
		}
		return n
	}
	e.Until("the end of all clients", func() bool { return clientsDone.get() == conns })
	e.Until("the end of all connections", func() bool { return load() == 0 })
	e.settle() // adoptions may have been under way
	e.Until("the end of all connections", func() bool { return load() == 0 })
}

// testDeadTransport uses a transport after its end.
func testDeadTransport(e *env) {
	c, _ := e.pair(plain, plain)
	c.do(func() {
		local, remote := c.t.LocalAddr(), c.t.RemoteAddr()
		c.close()
		c.t.Close()
		c.t.Abort()
		c.t.WantFlush()
		c.t.PauseRead()
		c.t.ResumeRead()
		if err := c.t.CloseWrite(); !errors.Is(err, eventloop.ErrTransportClosed) {
			e.t.Errorf("CloseWrite: %v", err)
		}
		if _, err := c.t.Detach(); !errors.Is(err, eventloop.ErrTransportClosed) {
			e.t.Errorf("Detach: %v", err)
		}
		if _, err := c.t.Write([][]byte{{1}}); !errors.Is(err, eventloop.ErrTransportClosed) {
			e.t.Errorf("Write: %v", err)
		}
		if c.t.LocalAddr() != local || c.t.RemoteAddr() != remote {
			e.t.Error("the addresses changed")
		}
	})
	e.settle()
}
