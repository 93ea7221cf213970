package stacktest

import (
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// lender is w as a Lender; the test is skipped if it is none.
func (e *env) lender(w eventloop.Worker) eventloop.Lender {
	e.t.Helper()
	l, ok := w.(eventloop.Lender)
	if !ok {
		e.t.Skip("the workers cannot be lent")
	}
	return l
}

// rest lets workers that have nothing to do come to rest.
func (e *env) rest() {
	if e.Rest != nil {
		e.Rest()
	} else {
		runtime.Gosched()
	}
}

// lendMax is how often lend asks; never reached unless a test fails.
const lendMax = 1 << 24

// lend lends w as soon as that sleeps.
func (e *env) lend(w eventloop.Worker, f func()) {
	e.t.Helper()
	l := e.lender(w)
	for range lendMax {
		ran := false
		lent := l.Lend(eventloop.TaskFunc(func() {
			ran = true
			f()
		}))
		if ran != lent { // no lock: the task runs on this goroutine, before Lend returns
			e.t.Fatalf("Lend returned %v, and the task has run: %v", lent, ran)
		}
		if lent {
			return
		}
		e.rest()
	}
	e.t.Fatal("the worker does not sleep")
}

// testLend: a borrower is the worker before Lend returns, and while it is, or while
// the worker is awake, or when the stack is closed, nobody else is.
func testLend(e *env) {
	w := e.Client.Worker(0)
	l := e.lender(w)
	refused := eventloop.TaskFunc(func() { e.t.Error("a task of a Lend that returned false, or had to, ran") })
	awake := func(where string) {
		if l.Lend(refused) {
			e.t.Errorf("lent %s", where)
		}
	}
	c, s := e.pairOn(w, nil, func(p *peer) {
		p.read = func(p *peer, direct int, rest []byte) {
			awake("in HandleRead")
			p.collect(direct, rest)
		}
		p.flush = func(p *peer) {
			awake("in HandleFlush")
			p.writeOut()
		}
		p.connected = func(*peer) { awake("in HandleConnected") }
	}, echo)
	e.lend(w, func() {
		awake("while lent")
		n, err := c.t.Write([][]byte{[]byte("lent")})
		if n != 4 || err != nil {
			e.t.Errorf("written %d, %v", n, err)
		}
		awake("while lent, after a write")
	})
	e.Until("an echo of what was lent", c.got(4))
	var fired guarded[bool]
	c.do(func() {
		awake("in a task")
		w.SetTimer(newTimer(func() {
			awake("in a timer")
			fired.set(true)
			e.Notify()
		}), w.Now()+time.Millisecond)
		c.write([]byte("awake"))
	})
	e.Until("a timer", fired.get)
	e.Until("an echo", c.got(9))
	// It may be lent again, any number of times.
	for range 10 {
		before := w.Now()
		e.lend(w, func() {
			if w.Now() < before {
				e.t.Errorf("Now is %v, it was %v before", w.Now(), before)
			}
		})
	}
	c.do(c.close)
	e.Until("the peer's end", s.has("eof"))
	e.settle()
	e.must(e.Client.Close())
	for i := range e.Client.NumWorkers() {
		if e.Client.Worker(i).(eventloop.Lender).Lend(refused) {
			e.t.Error("lent after Close")
		}
	}
}

// testLendLeaves: the worker does what a borrower has left, each thing for itself, and
// never within the loan.
func testLendLeaves(e *env) {
	w := e.Client.Worker(0)
	e.lender(w)
	borrowed := false // worker only
	var done guarded[bool]
	tell := func() {
		if borrowed {
			e.t.Error("done within the loan")
		}
		done.set(true)
		e.Notify()
	}
	c, s := e.pairOn(w, nil, func(p *peer) { p.flush = func(*peer) { tell() } }, plain)
	timer := newTimer(tell)
	for _, left := range []struct {
		what  string
		leave func()
	}{
		{"WantFlush", func() { c.t.WantFlush() }},
		{"a task", func() {
			if err := w.Post(eventloop.TaskFunc(tell)); err != nil {
				e.t.Error(err)
			}
		}},
		{"a timer that is due", func() { w.SetTimer(timer, w.Now()) }},
		{"a timer", func() { w.SetTimer(timer, w.Now()+time.Millisecond) }},
		{"a dial that fails", func() {
			p := e.newPeer("invalid", w)
			p.closed = func(*peer, error) { tell() }
			p.dial(netip.AddrPort{}, eventloop.DialConfig{})
		}},
	} {
		done.set(false)
		e.lend(w, func() {
			borrowed = true
			left.leave()
			borrowed = false
		})
		e.Until(left.what+" that a borrower left", done.get)
	}
	// An end that the borrower made reaches the peer.
	e.lend(w, c.close)
	e.Until("the peer's end", s.has("eof"))
}

// testLendExclusive: borrowers, tasks, timers and callbacks are never the worker at the
// same time, whoever asks, and nothing is lost or done twice.
func testLendExclusive(e *env) {
	const borrowers, each = 4, 1000
	w := e.Client.Worker(0)
	l := e.lender(w)
	var inside atomic.Bool
	// The worker's.
	count, left, stop := 0, len("first"), false
	alone := func() {
		if inside.Swap(true) {
			e.t.Error("two are the worker at once")
		}
		count++
		inside.Store(false)
	}
	c, _ := e.pairOn(w, nil, func(p *peer) {
		p.read = func(p *peer, direct int, rest []byte) {
			alone()
			if left -= direct + len(rest); left == 0 && !stop {
				left = len("again")
				p.write([]byte("again"))
			}
		}
	}, echo)
	var tick *eventloop.Timer
	tick = newTimer(func() {
		if alone(); !stop {
			w.SetTimer(tick, w.Now()+time.Millisecond)
		}
	})
	c.do(func() { w.SetTimer(tick, w.Now()) })
	c.send("first")
	var loans, posts, ran guarded[int]
	add := func(g *guarded[int]) { g.update(func(n *int) { *n++ }) }
	task := eventloop.TaskFunc(func() {
		alone()
		add(&ran)
		e.Notify()
	})
	ask := func(i int) {
		switch {
		case i%4 > 0 && l.Lend(task):
			add(&loans)
		case w.Post(task) == nil:
			add(&posts)
		default:
			e.t.Error("neither lent nor posted")
		}
	}
	if e.OneGoroutine != "" {
		for i := range borrowers * each {
			ask(i)
			if i%3 == 0 {
				e.rest()
			}
		}
	} else {
		var wg sync.WaitGroup
		for range borrowers {
			wg.Go(func() {
				for i := range each {
					ask(i)
					if i%64 == 0 {
						runtime.Gosched()
					}
				}
			})
		}
		wg.Wait()
	}
	e.Until("all tasks", func() bool { return ran.get() >= borrowers*each })
	for range 20 { // whatever the others were like
		e.lend(w, alone)
	}
	c.do(func() {
		stop = true
		c.close()
	})
	e.settle()
	e.check(ran.get() == borrowers*each && loans.get()+posts.get() == borrowers*each,
		"%d run, %d lent and %d posted of %d", ran.get(), loans.get(), posts.get(), borrowers*each)
	e.t.Logf("%d lent, %d posted", loans.get(), posts.get())
}

// testLoadOrStore: the first value stays, for all and for each worker its own, unless all
// workers are one goroutine.
func testLoadOrStore(e *env) {
	if _, ok := e.Client.Worker(0).(eventloop.Local); !ok {
		e.t.Skip("the workers have no room for what belongs to them")
	}
	type key struct{ n int }
	const callers = 8
	seen := map[any]bool{}
	for i := range e.Client.NumWorkers() {
		l := e.Client.Worker(i).(eventloop.Local)
		for n := range 3 {
			var got [callers]any
			var wg sync.WaitGroup
			for k := range callers {
				wg.Go(func() { got[k] = l.LoadOrStore(key{n}, new(int)) })
			}
			wg.Wait()
			for _, v := range got {
				e.check(v == got[0], "worker %d has several values under one key", i)
			}
			e.check(l.LoadOrStore(key{n}, nil) == got[0], "worker %d has forgotten a value", i)
			e.check(e.Client.Worker(i).(eventloop.Local).LoadOrStore(key{n}, nil) == got[0], "it is not worker %d's", i)
			if e.OneGoroutine == "" || i == 0 {
				e.check(!seen[got[0]], "a value is under two keys, or of two workers")
			}
			seen[got[0]] = true
		}
	}
}
