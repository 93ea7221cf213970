package stacktest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// mayExit skips a test that ends goroutines of workers where that cannot be.
func (e *env) mayExit() {
	if e.NoGoexit != "" {
		e.t.Skip(e.NoGoexit)
	}
}

// crowd is what goes on beside the callbacks that end their goroutines: connections
// on the same two workers.
type crowd struct {
	e       *env
	cw, sw  eventloop.Worker
	members []*peer // the clients' ends; the others echo
	got     int     // bytes echoed to each so far
	timers  guarded[int]
	tasks   guarded[[]int]
	rounds  int
}

func (e *env) crowd(n int) *crowd {
	c := &crowd{e: e, cw: e.Client.Worker(0), sw: e.Server.Worker(0)}
	for range n {
		m, _ := e.pairOn(c.cw, c.sw, plain, echo)
		c.members = append(c.members, m)
	}
	return c
}

// around runs f on the client's worker between writes to one half of the crowd and
// to the other, so that the server finds all of it in one round, with tasks waiting
// and timers due on both workers.
func (c *crowd) around(f func()) {
	c.e.t.Helper()
	const ping = "ping"
	write := func(ms []*peer) {
		for _, m := range ms {
			if n, err := m.t.Write([][]byte{[]byte(ping)}); n != len(ping) || err != nil {
				c.e.t.Errorf("write to a neighbour: %d, %v", n, err)
			}
		}
	}
	for _, w := range []eventloop.Worker{c.cw, c.sw} {
		c.e.do(w, func() {
			for range 2 {
				w.SetTimer(newTimer(func() {
					c.timers.update(func(n *int) { *n++ })
					c.e.Notify()
				}), w.Now())
			}
		})
	}
	c.e.do(c.cw, func() {
		write(c.members[:len(c.members)/2])
		f()
		write(c.members[len(c.members)/2:])
		for range 3 {
			i := c.rounds
			c.rounds++
			c.e.must(c.sw.Post(eventloop.TaskFunc(func() {
				c.tasks.update(func(t *[]int) { *t = append(*t, i) })
				c.e.Notify()
			})))
		}
	})
	c.got += len(ping)
}

// unhurt waits until everything that around began has been done, once.
func (c *crowd) unhurt(name string) {
	c.e.t.Helper()
	for i, m := range c.members {
		c.e.Until(fmt.Sprintf("the echo to neighbour %d of %s", i, name), m.got(c.got))
	}
	c.e.Until("the neighbours' timers of "+name, func() bool { return c.timers.get() >= c.rounds/3*4 })
	c.e.Until("the neighbours' tasks of "+name, func() bool { return len(c.tasks.get()) >= c.rounds })
	c.e.settle()
	c.e.check(c.timers.get() == c.rounds/3*4, "%s: %d timers fired %d times", name, c.rounds/3*4, c.timers.get())
	for i, got := range c.tasks.get() {
		c.e.check(got == i, "%s: the tasks ran in the order %v", name, c.tasks.get())
	}
	for i, m := range c.members {
		c.e.check(string(m.bytes()) == strings.Repeat("ping", c.got/4), "neighbour %d of %s got %q", i, name, m.bytes())
		ended := m.count("closed") + m.count("eof") + m.count("abandoned")
		c.e.check(ended == 0, "neighbour %d of %s: %v", i, name, m.history())
	}
}

// firstTime makes a hook end its goroutine when it is called first.
func firstTime(f func(*peer)) func(*peer) {
	done := false
	return func(p *peer) {
		f(p)
		if !done {
			done = true
			p.exit()
		}
	}
}

// testGoexitInCallbacks: user code that ends its goroutine in one callback each of two
// connections, one right after the other, harms nobody else on the worker. The
// handlers are told, and their connections go on.
func testGoexitInCallbacks(e *env) {
	e.mayExit()
	c := e.crowd(6)
	for _, at := range []string{
		"HandleConnected", "ReadInto", "HandleRead", "HandleEOF", "HandleFlush", "HandleClosed",
	} {
		if at == "HandleConnected" {
			l := e.serve(c.sw, echo)
			var two []*peer
			for range 2 {
				p := e.newPeer("client", c.cw)
				p.connected = firstTime(func(*peer) {})
				two = append(two, p)
			}
			c.around(func() {
				for _, p := range two {
					p.dial(l.Addr(), eventloop.DialConfig{})
					p.write([]byte("hello")) // asked for before: HandleFlush is due
				}
			})
			for _, p := range two {
				e.Until("Abandoned after "+at, p.has("abandoned"))
				e.Until("an echo after Goexit in "+at, p.got(5))
				e.check(p.history()[0] == "abandoned", "%v", p.history())
			}
			c.unhurt(at)
			e.must(l.Close())
			continue
		}
		var clients, servers []*peer
		for range 2 {
			p, s := e.pairOn(c.cw, c.sw, plain, func(s *peer) {
				echo(s)
				s.sawEOF = nil
				switch read := s.read; at {
				case "ReadInto":
					ask := firstTime(func(*peer) {})
					s.readInto = func(s *peer) []byte { ask(s); return nil }
				case "HandleRead":
					exit := firstTime(func(*peer) {})
					s.read = func(s *peer, direct int, rest []byte) {
						read(s, direct, rest)
						exit(s)
					}
				case "HandleEOF":
					s.sawEOF = firstTime(func(s *peer) { s.write([]byte("bye")) })
				case "HandleFlush":
					exit := firstTime(func(*peer) {})
					s.flush = func(s *peer) {
						exit(s)
						_, _ = s.t.Write([][]byte{s.out})
						s.out = nil
					}
					s.abandoned = func(s *peer) { s.t.WantFlush() }
				case "HandleClosed":
					s.closed = func(s *peer, err error) { s.exit() }
				}
			})
			clients, servers = append(clients, p), append(servers, s)
		}
		c.around(func() {
			for _, p := range clients {
				switch at {
				case "HandleEOF":
					if err := p.t.CloseWrite(); err != nil {
						e.t.Errorf("CloseWrite: %v", err)
					}
				case "HandleClosed":
					p.abort()
				default:
					p.write([]byte("hello"))
				}
			}
		})
		for i, s := range servers {
			e.Until("Abandoned after "+at, s.has("abandoned"))
			switch p := clients[i]; at {
			case "HandleClosed":
			case "HandleEOF":
				e.Until("the answer to FIN", p.got(3))
			default:
				e.Until("an echo after Goexit in "+at, p.got(5))
				p.send("again")
				e.Until("another echo after Goexit in "+at, p.got(10))
				e.check(string(p.bytes()) == "helloagain", "%s: got %q", at, p.bytes())
			}
			e.check(s.count("abandoned") == 1, "%s: %v", at, s.history())
		}
		c.unhurt(at)
		for _, ps := range [][]*peer{clients, servers} {
			for _, p := range ps {
				p.do(func() {
					if !p.ended {
						p.close()
					}
				})
			}
		}
	}
}

// exiter ends its goroutine the first times that it is called, as a task or a timer.
type exiter struct {
	e         *env
	left      int // how many times; worker only
	exiting   bool
	calls     guarded[int]
	told      guarded[int]
	abandoned func()
}

func (x *exiter) Run() {
	if x.exiting {
		x.e.t.Error("called before Abandoned")
	}
	x.calls.update(func(n *int) { *n++ })
	x.e.Notify()
	if x.left > 0 {
		x.left--
		x.exiting = true
		runtime.Goexit()
	}
}

func (x *exiter) HandleTimer(time.Duration) { x.Run() }

func (x *exiter) Abandoned() {
	if !x.exiting {
		x.e.t.Error("Abandoned, but the call returned")
	}
	x.exiting = false
	x.told.update(func(n *int) { *n++ })
	x.e.Notify()
	if x.abandoned != nil {
		x.abandoned()
	}
}

// testGoexitInTimer: timers that are due at the same moment all fire, each once.
func testGoexitInTimer(e *env) {
	e.mayExit()
	c := e.crowd(4)
	w := c.sw
	var order guarded[string]
	add := func(s string) func() {
		return func() {
			order.update(func(o *string) { *o += s })
			e.Notify()
		}
	}
	x, y := &exiter{e: e, left: 1}, &exiter{e: e, left: 1}
	var tx, ty eventloop.Timer
	tx.Init(x)
	ty.Init(y)
	x.abandoned = func() { w.SetTimer(&tx, w.Now()) }
	c.around(func() {
		e.must(w.Post(eventloop.TaskFunc(func() {
			now := w.Now()
			w.SetTimer(newTimer(add("a")), now)
			w.SetTimer(&tx, now)
			w.SetTimer(&ty, now)
			w.SetTimer(newTimer(add("b")), now)
		})))
	})
	e.Until("all timers", func() bool { return x.calls.get() >= 2 && y.calls.get() >= 1 && len(order.get()) >= 2 })
	c.unhurt("a timer")
	e.check(order.get() == "ab", "fired %q", order.get())
	e.check(x.calls.get() == 2 && x.told.get() == 1, "fired %d times, told %d times", x.calls.get(), x.told.get())
	e.check(y.calls.get() == 1 && y.told.get() == 1, "fired %d times, told %d times", y.calls.get(), y.told.get())
}

// testGoexitInTask: the tasks behind it run, in their order; a task without Abandoned
// may end its goroutine as well.
func testGoexitInTask(e *env) {
	e.mayExit()
	c := e.crowd(4)
	x := &exiter{e: e, left: 2}
	c.around(func() {
		e.must(c.sw.Post(x))
		e.must(c.sw.Post(x))
		e.must(c.sw.Post(eventloop.TaskFunc(runtime.Goexit)))
		e.must(c.sw.Post(x))
	})
	e.Until("all tasks", func() bool { return x.calls.get() == 3 })
	c.unhurt("a task")
	e.check(x.told.get() == 2, "told %d times", x.told.get())
}

// testGoexitInAccept: a socket that accept kept to itself is closed, and the listener
// goes on.
func testGoexitInAccept(e *env) {
	e.mayExit()
	c := e.crowd(4)
	exits := 2
	w := e.Server.Worker(0)
	l := e.listen(func(s eventloop.Socket) {
		if exits > 0 {
			exits--
			runtime.Goexit()
		}
		e.adopt(w, s, echo)
	})
	var three []*peer
	for range 3 {
		three = append(three, e.newPeer("client", c.cw))
	}
	c.around(func() {
		for _, p := range three {
			p.dial(l.Addr(), eventloop.DialConfig{})
			p.write([]byte("hello"))
		}
	})
	e.Until("two ends and an echo", func() bool {
		over, echoes := 0, 0
		for _, p := range three {
			over += min(p.count("eof")+p.count("closed"), 1)
			if p.got(5)() {
				echoes++
			}
		}
		return over == 2 && echoes == 1
	})
	c.unhurt("accept")
	for _, p := range three {
		p.do(func() {
			if !p.ended {
				p.close()
			}
		})
	}
	e.must(l.Close())
}

// testGoexitInAbandoned: who ends the goroutine in Abandoned is not told again.
func testGoexitInAbandoned(e *env) {
	e.mayExit()
	c := e.crowd(4)
	x := &exiter{e: e, left: 1, abandoned: runtime.Goexit}
	p, s := e.pairOn(c.cw, c.sw, plain, func(p *peer) {
		echo(p)
		read := p.read
		p.read = func(p *peer, direct int, rest []byte) {
			read(p, direct, rest)
			p.exit()
		}
		p.abandoned = func(*peer) { runtime.Goexit() }
	})
	c.around(func() {
		e.must(c.sw.Post(x))
		e.must(c.sw.Post(x))
		p.write([]byte("hello"))
	})
	e.Until("an echo", p.got(5))
	e.Until("both tasks", func() bool { return x.calls.get() == 2 })
	c.unhurt("Abandoned")
	e.check(x.told.get() == 1 && s.count("abandoned") == 1, "told %d times, %v", x.told.get(), s.history())
	s.do(func() { s.close() })
}

// testGoexitWhileClosing: what was posted before Close is run, also when some of it
// ends its goroutine.
func testGoexitWhileClosing(e *env) {
	e.mayExit()
	w := e.Client.Worker(0)
	x := &exiter{e: e, left: 3}
	e.do(w, func() {
		for range 5 {
			e.must(w.Post(x))
		}
		// The end begins in the round in which they run, or after it.
		go func() { _ = e.Client.Close() }()
	})
	e.must(e.Client.Close())
	calls, told := x.calls.get(), x.told.get()
	e.check(calls == 5 && told == 3, "5 tasks: %d calls, told %d times of 3", calls, told)
}

// testGoexitStorm sends streams back and forth while callbacks end their goroutines at
// random; what the handlers had not done they do in Abandoned. Every byte arrives.
func testGoexitStorm(e *env) {
	e.mayExit()
	const conns = 16
	size := e.bytes() / 64
	rnd := e.rand()
	var exits guarded[int]
	// setup makes a peer send size bytes, and check what it gets.
	setup := func(finished func()) func(*peer) {
		mine := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		src, dst := &source{size: size, rand: mine}, &sink{size: size}
		chance := func(p *peer) {
			if mine.IntN(4) == 0 {
				exits.update(func(n *int) { *n++ })
				p.exit()
			}
		}
		return func(p *peer) {
			p.connected = func(p *peer) { p.t.WantFlush(); chance(p) }
			p.started = func(p *peer) { p.t.WantFlush() }
			p.readInto = func(p *peer) []byte { chance(p); return nil }
			p.read = func(p *peer, direct int, rest []byte) {
				dst.read(p, direct, rest)
				if dst.got == size {
					finished()
				}
				chance(p)
			}
			p.flush = func(p *peer) {
				if src.sent < size {
					src.moved = true // it may be called once without room, after Abandoned
					src.fill(p)
				}
				chance(p)
			}
			p.abandoned = func(p *peer) {
				if p.up && !p.ended {
					p.t.WantFlush()
				}
			}
		}
	}
	var finished guarded[int]
	end := func() { finished.update(func(n *int) { *n++ }); e.Notify() }
	var plans []func(*peer)
	for range 2 * conns {
		plans = append(plans, setup(end))
	}
	var next guarded[int]
	l := e.serve(nil, func(p *peer) {
		i := 0
		next.update(func(n *int) { i = *n; *n++ })
		plans[conns+i](p)
	})
	for i := range conns {
		e.dial(nil, l, eventloop.DialConfig{}, plans[i])
	}
	e.Until("all bytes on all ends", func() bool { return finished.get() == 2*conns })
	e.t.Logf("%d callbacks ended their goroutine", exits.get())
	e.check(exits.get() > conns, "only %d callbacks ended their goroutine", exits.get())
}
