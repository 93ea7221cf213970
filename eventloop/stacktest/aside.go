package stacktest

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// asider is w as an Asider; the test is skipped if it is none.
func (e *env) asider(w eventloop.Worker) eventloop.Asider {
	e.t.Helper()
	a, ok := w.(eventloop.Asider)
	if !ok {
		e.t.Skip("the workers run nothing aside")
	}
	return a
}

// aside runs job aside of w, and fails the test if that does not run it. It is called on w. The test
// ends after the job: one that has no processor for a while may begin when the worker has gone on.
func (e *env) aside(w eventloop.Worker, job func()) (stays bool) {
	e.jobs.Add(1)
	ran, stays := w.(eventloop.Asider).RunAside(func() {
		defer e.jobs.Done()
		job()
	})
	if !ran {
		e.jobs.Done()
		e.t.Error("RunAside did not run its job")
	}
	return stays
}

// posts has w run f soon. Any goroutine.
func (e *env) posts(w eventloop.Worker, f func()) {
	if err := w.Post(eventloop.TaskFunc(f)); err != nil {
		e.t.Error(err)
	}
}

// testAside: a job runs once, before RunAside returns, in each kind of callback, and nothing
// else of the worker runs meanwhile. A borrower has no carrier, and none of its jobs runs.
func testAside(e *env) {
	w := e.Client.Worker(0)
	e.asider(w)
	var jobs guarded[int]
	here := func(string) {
		done, others := false, 0
		stays := e.aside(w, func() {
			e.posts(w, func() { others++ })
			done = true
			jobs.update(func(n *int) { *n++ })
		})
		if stays {
			return // the machine is slow
		}
		if !done || others != 0 {
			e.t.Errorf("the job was done: %v, with %d tasks within", done, others)
		}
	}
	c, s := e.pairOn(w, nil, func(p *peer) {
		p.connected = func(*peer) { here("HandleConnected") }
		p.readInto = func(*peer) []byte { here("ReadInto"); return nil }
		p.read = func(p *peer, direct int, rest []byte) { here("HandleRead"); p.collect(direct, rest) }
		p.sawEOF = func(*peer) { here("HandleEOF") }
		p.flush = func(p *peer) { here("HandleFlush"); p.writeOut() }
	}, echo)
	var fired guarded[bool]
	c.do(func() {
		here("a task")
		w.SetTimer(newTimer(func() { here("a timer"); fired.set(true); e.Notify() }), w.Now())
		c.write([]byte("ping"))
	})
	e.Until("an echo", c.got(4))
	e.Until("a timer", fired.get)
	s.do(s.close)
	e.Until("the peer's end", c.has("eof"))
	e.settle()
	if n := jobs.get(); n < 7 {
		e.t.Errorf("%d jobs", n)
	}
	if _, lends := w.(eventloop.Lender); lends {
		e.lend(w, func() {
			if ran, stays := w.(eventloop.Asider).RunAside(func() { e.t.Error("a borrower's job ran") }); ran || stays {
				e.t.Errorf("a borrower's job: %v, %v", ran, stays)
			}
		})
	}
}

// testAsideStays: a job that waits for what its worker does gets it. The callback that
// it was run by goes on in the midst of what it did, with the bytes that it was given, and
// the worker does all that it always does.
func testAsideStays(e *env) {
	w := e.Client.Worker(0)
	e.asider(w)
	big := patternAt(3, patternLen)
	var stayed, ended guarded[int]
	release := make(chan struct{})
	c, _ := e.pairOn(w, nil, func(p *peer) {
		p.read = func(p *peer, direct int, rest []byte) {
			if stayed.get() < 3 {
				stayed.update(func(n *int) { *n++ })
				before := bytes.Clone(rest)
				task := make(chan struct{})
				if !e.aside(w, func() {
					e.posts(w, func() { close(task) })
					<-task // the worker goes on
					<-release
					ended.update(func(n *int) { *n++ })
					e.Notify()
				}) {
					e.t.Error("a job that waits for its worker has not held it up")
				}
				if !bytes.Equal(before, rest) {
					e.t.Error("the bytes of HandleRead were overwritten by who took the worker")
				}
			}
			p.collect(direct, rest)
		}
	}, echo)
	n, _ := e.pairOn(w, nil, plain, echo)
	var fired guarded[bool]
	c.do(func() {
		w.SetTimer(newTimer(func() { fired.set(true); e.Notify() }), w.Now()+time.Millisecond)
		n.write([]byte("neighbour"))
		c.write(big)
	})
	e.Until("all that was echoed", c.got(len(big)))
	e.Until("what was echoed to the neighbour", n.got(len("neighbour")))
	e.Until("a timer", fired.get)
	e.check(bytes.Equal(c.bytes(), big), "the bytes are not those that were sent")
	e.check(ended.get() == 0, "%d jobs have ended", ended.get())
	close(release)
	e.Until("the ends of the jobs", func() bool { return ended.get() == stayed.get() })
	c.send("more")
	e.Until("an echo", c.got(len(big)+4))
}

// testAsideStaysInTheMidst: a job that holds up its worker between two events of a round
// costs none of the others, nor tasks and timers, which some stacks are told of once.
func testAsideStaysInTheMidst(e *env) {
	c := e.crowd(6)
	e.asider(c.sw)
	var in, out guarded[int]
	hold := make(chan struct{})
	x, _ := e.pairOn(c.cw, c.sw, plain, func(p *peer) {
		p.read = func(p *peer, direct int, rest []byte) {
			b := append([]byte(nil), rest...)
			e.aside(c.sw, func() {
				in.update(func(n *int) { *n++ })
				e.Notify()
				<-hold
				out.update(func(n *int) { *n++ })
				e.Notify()
			})
			p.write(b)
		}
	})
	const rounds = 5
	for i := range rounds {
		c.around(func() { x.write([]byte("hold")) })
		c.unhurt("a job that holds up its worker")
		e.Until("an echo", x.got(4*(i+1)))
	}
	// One may be without a processor at its first step still, which holds up the worker as well.
	e.Until("the jobs", func() bool { return in.get() == rounds })
	e.check(out.get() == 0, "%d jobs ended", out.get())
	close(hold)
	e.Until("the ends of the jobs", func() bool { return out.get() == rounds })
}

// testAsideGoexit: a job that ends its goroutine, at once or when the worker has gone on
// without it, is over, and the worker is not. Nor does it matter that it leaves its
// goroutine locked to a thread.
func testAsideGoexit(e *env) {
	w := e.Client.Worker(0)
	e.asider(w)
	c, _ := e.pairOn(w, nil, plain, echo)
	task := make(chan struct{}, 1)
	for i := range 60 {
		c.do(func() {
			switch i % 4 {
			case 0:
				e.aside(w, runtime.Goexit)
			case 1:
				e.aside(w, func() { runtime.LockOSThread() })
			case 2:
				e.aside(w, func() { runtime.LockOSThread(); runtime.LockOSThread(); runtime.Goexit() })
			default:
				if !e.aside(w, func() {
					e.posts(w, func() { task <- struct{}{} })
					<-task
					runtime.LockOSThread()
					runtime.Goexit()
				}) {
					e.t.Error("a job that waits for its worker has not held it up")
				}
			}
			c.write([]byte("ping"))
		})
		e.Until("an echo", c.got(4*(i+1)))
	}
}

// testAsideCloses: a job may close the stack that it runs on, though a callback of a
// worker may not.
func testAsideCloses(e *env) {
	w := e.Client.Worker(0)
	e.asider(w)
	c, s := e.pairOn(w, nil, plain, echo)
	closed := make(chan error, 1)
	c.send("ping")
	e.Until("an echo", c.got(4))
	e.posts(w, func() { e.aside(w, func() { closed <- e.Client.Close() }) })
	e.must(<-closed)
	e.check(w.Post(eventloop.TaskFunc(func() {})) != nil, "a closed stack takes tasks")
	if e.Client != e.Server {
		e.Until("the peer's end", func() bool { return s.count("eof")+s.count("closed") > 0 })
	}
}

// testAsideStorm: jobs of all kinds on all workers, with tasks and loans from outside:
// one carries the worker at a time, and each job runs once.
func testAsideStorm(e *env) {
	if e.OneGoroutine != "" {
		e.t.Skip(e.OneGoroutine)
	}
	const workers, each = 2, 400
	r := e.rand()
	var began, ended atomic.Int64
	var wg sync.WaitGroup
	held := make(chan struct{})
	for k := range workers {
		w := e.Client.Worker(k % e.Client.NumWorkers())
		e.asider(w)
		var inside atomic.Bool
		kinds := make([]int, each)
		for i := range kinds {
			kinds[i] = r.IntN(16)
		}
		wg.Go(func() {
			for i, kind := range kinds {
				wg.Add(1)
				task := eventloop.TaskFunc(func() {
					defer wg.Done()
					if inside.Swap(true) {
						e.t.Error("two are the worker at once")
					}
					began.Add(1)
					e.aside(w, func() {
						defer ended.Add(1)
						switch kind {
						case 0:
							runtime.Goexit()
						case 1:
							if i%8 == 0 {
								<-held
							}
						case 2:
							runtime.Gosched()
						}
					})
					inside.Store(false)
				})
				if err := w.Post(task); err != nil {
					e.t.Error(err)
					wg.Done()
				}
				if l, ok := w.(eventloop.Lender); ok && i%5 == 0 {
					l.Lend(eventloop.TaskFunc(func() {
						if inside.Swap(true) {
							e.t.Error("two are the worker at once")
						}
						inside.Store(false)
					}))
				}
			}
		})
	}
	wg.Wait()
	e.check(began.Load() == workers*each, "%d began", began.Load())
	close(held)
	for i := 0; ended.Load() < workers*each; i++ {
		e.check(i < 1<<26, "%d of %d jobs ended", ended.Load(), workers*each)
		runtime.Gosched()
	}
}
