package stacktest

import (
	"errors"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// testPostOrder: goroutines post to all workers at once; the tasks of each run
// in order, one at a time, none twice, none lost.
func testPostOrder(e *env) {
	const posters, each = 8, 2000
	s := e.Client
	// next[w][p] is touched by worker w only.
	next := make([][posters]int, s.NumWorkers())
	var ran guarded[int]
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each * s.NumWorkers() {
				w := i % s.NumWorkers()
				err := s.Worker(w).Post(eventloop.TaskFunc(func() {
					if next[w][p] != i/s.NumWorkers() {
						e.t.Errorf("worker %d: task %d of poster %d, want %d", w, i/s.NumWorkers(), p, next[w][p])
					}
					next[w][p]++
					ran.update(func(n *int) { *n++ })
					e.Notify()
				}))
				if err != nil {
					e.t.Errorf("post: %v", err)
				}
			}
		})
	}
	wg.Wait()
	e.Until("all tasks", func() bool { return ran.get() == posters*each*s.NumWorkers() })
	for w := range next {
		e.do(s.Worker(w), func() {
			for p, n := range next[w] {
				if n != each {
					e.t.Errorf("worker %d ran %d tasks of poster %d, want %d", w, n, p, each)
				}
			}
		})
	}
}

// testPostFromTask: a task posted by a task runs after it, not within Post.
func testPostFromTask(e *env) {
	s := e.Client
	var hops guarded[int]
	var hop func(w eventloop.Worker)
	hop = func(w eventloop.Worker) {
		inside := true
		next := s.Worker((w.ID() + hops.get()%2) % s.NumWorkers())
		hops.update(func(n *int) { *n++ })
		e.Notify()
		if hops.get() < 5000 {
			err := next.Post(eventloop.TaskFunc(func() {
				if next == w && inside {
					e.t.Error("a task within another one")
				}
				hop(next)
			}))
			if err != nil {
				e.t.Errorf("post: %v", err)
			}
		}
		if next == w {
			inside = false
		}
	}
	e.do(s.Worker(0), func() { hop(s.Worker(0)) })
	e.Until("all hops", func() bool { return hops.get() >= 5000 })
}

// testPostDoesNotStarveSockets: a task that posts itself again and again leaves
// room for sockets and timers.
func testPostDoesNotStarveSockets(e *env) {
	w := e.Client.Worker(0)
	c, _ := e.pairOn(w, nil, plain, echo)
	stop := false
	var again func()
	again = func() {
		if !stop {
			_ = w.Post(eventloop.TaskFunc(again))
		}
	}
	e.do(w, again)
	for i := range 10 {
		c.send("ping")
		e.Until("an echo", c.got(4*(i+1)))
	}
	var fired guarded[bool]
	e.do(w, func() {
		w.SetTimer(newTimer(func() {
			fired.set(true)
			e.Notify()
		}), w.Now())
	})
	e.Until("a timer", fired.get)
	e.do(w, func() { stop = true })
}

// testStackPick: every worker gets connections.
func testStackPick(e *env) {
	s := e.Client
	seen := map[int]bool{}
	for range s.NumWorkers() {
		seen[s.Pick().ID()] = true
	}
	e.check(len(seen) == s.NumWorkers(), "%d picks gave %d workers", s.NumWorkers(), len(seen))
	for i := range s.NumWorkers() {
		e.check(s.Worker(i).ID() == i, "worker %d has ID %d", i, s.Worker(i).ID())
	}
	if s.NumWorkers() > 1 {
		c, _ := e.pairOn(s.Worker(0), nil, plain, plain)
		for range 10 {
			if e.Client != e.Server {
				e.check(s.Pick() != s.Worker(0), "picked the only worker with load")
			}
		}
		c.do(c.close)
	}
}

// testStackClose closes with everything alive: connections, listeners, timers,
// posted tasks.
func testStackClose(e *env) {
	live := func(p *peer) {
		p.connected = func(p *peer) { p.write([]byte("hello")) }
		p.started = func(p *peer) {
			p.write([]byte("hello"))
			p.w.SetTimer(newTimer(func() {}), p.w.Now()+1e9)
		}
	}
	l := e.serve(nil, live)
	var peers []*peer
	for range 20 {
		peers = append(peers, e.dial(nil, l, eventloop.DialConfig{}, live))
	}
	for _, p := range peers {
		e.Until("a connection", p.got(5))
	}
	var ran, posted int
	var mu sync.Mutex
	for i := range e.Client.NumWorkers() {
		for range 100 {
			if e.Client.Worker(i).Post(eventloop.TaskFunc(func() {
				mu.Lock()
				ran++
				mu.Unlock()
			})) == nil {
				posted++
			}
		}
	}
	e.must(e.Client.Close())
	e.must(e.Client.Close())
	mu.Lock()
	e.check(ran == posted && posted == 100*e.Client.NumWorkers(), "%d tasks posted, %d run", posted, ran)
	mu.Unlock()
	for i := range e.Client.NumWorkers() {
		err := e.Client.Worker(i).Post(eventloop.TaskFunc(func() { e.t.Error("a refused task ran") }))
		e.check(errors.Is(err, eventloop.ErrStackClosed), "post after Close: %v", err)
		e.check(e.Client.Worker(i).Load() == 0, "load %d after Close", e.Client.Worker(i).Load())
	}
	_, err := e.Client.Listen(e.Addr(), eventloop.ListenConfig{}, func(eventloop.Socket) {})
	e.check(errors.Is(err, eventloop.ErrStackClosed), "listen after Close: %v", err)
	e.must(e.Server.Close())
	e.closed.Store(true)
	e.must(l.Close())
	if e.Client != e.Server {
		// Within one stack a worker may live to see the end of another's sockets.
		for _, p := range peers {
			e.check(p.count("closed")+p.count("eof") == 0, "callbacks of Close: %v", p.history())
		}
	}
}

// testStackCloseUnderLoad closes while goroutines post: everything is run or
// refused, nothing runs after Close.
func testStackCloseUnderLoad(e *env) {
	var accepted, ran guarded[int]
	var closed guarded[bool]
	var wg sync.WaitGroup
	for p := range 4 {
		w := e.Client.Worker(p % e.Client.NumWorkers())
		wg.Go(func() {
			for {
				err := w.Post(eventloop.TaskFunc(func() {
					ran.update(func(n *int) { *n++ })
					if closed.get() {
						e.t.Error("a task after Close")
					}
					e.Notify()
				}))
				if err != nil {
					return
				}
				accepted.update(func(n *int) { *n++ })
			}
		})
	}
	e.Until("some tasks", func() bool { return ran.get() > 1000 })
	e.must(e.Client.Close())
	closed.set(true)
	wg.Wait()
	e.check(accepted.get() == ran.get(), "%d tasks accepted, %d run", accepted.get(), ran.get())
}
