package dispatch

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

func newTestPool(t *testing.T, size int) *AntsPool {
	p, err := NewAntsPool(AntsConfig{Size: size, LineMax: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Release(context.Background())) })
	return p
}

// orderCheck is a handler that checks what the queue promises: callbacks of one
// connection never overlap, messages of one connection and priority come in order.
type orderCheck struct {
	t       *testing.T
	running []atomic.Int32 // by connection
	last    [][256]uint64  // by connection and priority; the connection's running guards it
	handled atomic.Int64
	now     atomic.Int32 // callbacks at the moment
	peak    atomic.Int32
	stopped atomic.Bool
}

func newOrderCheck(t *testing.T, conns int) *orderCheck {
	return &orderCheck{t: t, running: make([]atomic.Int32, conns+1), last: make([][256]uint64, conns+1)}
}

func (o *orderCheck) Handle(it *Item) Outcome {
	if o.stopped.Load() {
		o.t.Error("callback after Stop returned")
	}
	if o.running[it.Class].Add(1) != 1 {
		o.t.Errorf("callbacks of connection %d overlap", it.Class)
	}
	n := o.now.Add(1)
	for p := o.peak.Load(); n > p && !o.peak.CompareAndSwap(p, n); p = o.peak.Load() {
	}
	if it.Kind == KindMessage {
		last := &o.last[it.Class][it.Priority]
		if it.Msg.Seq() <= *last {
			o.t.Errorf("connection %d, priority %d: %d after %d", it.Class, it.Priority, it.Msg.Seq(), *last)
		}
		*last = it.Msg.Seq()
		if it.Msg.Seq()%7 == 0 {
			runtime.Gosched()
		}
	}
	o.now.Add(-1)
	o.running[it.Class].Add(-1)
	o.handled.Add(1)
	return Handled
}

// enqueueLoad enqueues n messages and some events for each connection, from one
// goroutine per connection, as the connections' workers would.
func enqueueLoad(q *Queue, conns []*fakeConn, n int, r *receipts) {
	prios := []uint8{5, 63, 64, 127, 127, 196, 255}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, c.id))
			var batch []Item
			for i := range n {
				if i%100 == 0 {
					batch = append(batch, EventItem(KindAccept, c, nil))
				}
				m := newMessage(c, prios[rnd.IntN(len(prios))], uint64(i+1), r, int64(c.id)<<32|int64(i))
				batch = append(batch, MessageItem(m))
				if rnd.IntN(8) == 0 {
					_ = q.EnqueueBatch(batch) // ErrStopped is the test's doing
					batch = batch[:0]
				}
			}
			_ = q.EnqueueBatch(batch)
		})
	}
	wg.Wait()
}

func requireOnce(t *testing.T, r *receipts, conns, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.done, conns*n)
	for size, times := range r.done {
		require.Equal(t, 1, times, "message %x", size)
	}
}

// waitIdle waits until the queue has nothing to do and no job.
func waitIdle(q *Queue) {
	for s := q.Stats(); s.Len > 0 || s.Drainers > 0; s = q.Stats() {
		runtime.Gosched()
	}
}

func TestDrainOrderUnderLoad(t *testing.T) {
	for _, width := range []int{1, 2, 8} {
		const conns, n = 16, 500
		o, r := newOrderCheck(t, conns), new(receipts)
		q := New(Config{Executor: newTestPool(t, 16), Handler: o, Width: width, BatchMax: 16})
		enqueueLoad(q, newConns(conns), n, r)
		waitIdle(q)
		require.NoError(t, q.Stop(context.Background()))
		require.EqualValues(t, conns*(n+n/100), o.handled.Load())
		require.LessOrEqual(t, int(o.peak.Load()), width)
		requireOnce(t, r, conns, n)
		require.Zero(t, q.Stats().Refused)
	}
}

// flaky refuses the first job, when nobody drains yet, and others at random.
type flaky struct {
	Executor
	mu   sync.Mutex
	rnd  *rand.Rand
	jobs int
}

func newFlaky(e Executor, seed uint64) *flaky {
	return &flaky{Executor: e, rnd: rand.New(rand.NewPCG(seed, 0))}
}

func (f *flaky) Submit(job func()) error {
	f.mu.Lock()
	f.jobs++
	refuse := f.jobs == 1 || f.rnd.IntN(3) > 0
	f.mu.Unlock()
	if refuse {
		return ErrExecutorFull
	}
	return f.Executor.Submit(job)
}

// An executor that refuses most jobs: nothing is lost, the order holds, and no more
// than Width callbacks run.
func TestDrainFlakyExecutor(t *testing.T) {
	for seed := range uint64(3) {
		t.Log("seed", seed)
		const conns, n, width = 8, 300, 3
		o, r := newOrderCheck(t, conns), new(receipts)
		e := newFlaky(newTestPool(t, 4), seed)
		q := New(Config{Executor: e, Handler: o, Width: width, BatchMax: 4})
		enqueueLoad(q, newConns(conns), n, r)
		waitIdle(q)
		require.NoError(t, q.Stop(context.Background()))
		require.EqualValues(t, conns*(n+n/100), o.handled.Load())
		require.LessOrEqual(t, int(o.peak.Load()), width)
		requireOnce(t, r, conns, n)
		require.Positive(t, q.Stats().Refused)
		require.Positive(t, q.Stats().StandIns)
	}
}

// A pool that is full of other work, for ever: the queue goes on with its stand-in.
func TestDrainPoolFull(t *testing.T) {
	pool := newTestPool(t, 1)
	release := make(chan struct{})
	require.NoError(t, pool.Submit(func() { <-release }))
	require.ErrorIs(t, pool.Submit(func() {}), ErrExecutorFull)

	const conns, n = 4, 200
	o, r := newOrderCheck(t, conns), new(receipts)
	q := New(Config{Executor: pool, Handler: o, Width: 2, BatchMax: 8})
	enqueueLoad(q, newConns(conns), n, r)
	waitIdle(q)
	requireOnce(t, r, conns, n)
	require.EqualValues(t, 1, o.peak.Load())
	close(release)
	require.NoError(t, q.Stop(context.Background()))
}

// The pool is released while messages are enqueued: nothing is lost.
func TestDrainReleaseDuringSubmit(t *testing.T) {
	for range 20 {
		pool, err := NewAntsPool(AntsConfig{Size: 2})
		require.NoError(t, err)
		const conns, n = 4, 50
		o, r := newOrderCheck(t, conns), new(receipts)
		q := New(Config{Executor: pool, Handler: o, Width: 2, BatchMax: 3})
		released := make(chan error)
		go func() { released <- pool.Release(context.Background()) }()
		enqueueLoad(q, newConns(conns), n, r)
		require.NoError(t, <-released)
		waitIdle(q)
		require.NoError(t, q.Stop(context.Background()))
		require.EqualValues(t, conns*(n+1), o.handled.Load())
		requireOnce(t, r, conns, n)
	}
}

// A dispatcher that never returns holds up its own connection only, and what is
// queued behind it is bounded by the throttle.
func TestDrainBlockedDispatcher(t *testing.T) {
	const limit = 10
	pool := newTestPool(t, 8)
	throttle := NewThrottle(limit)
	blocked, release := make(chan struct{}), make(chan struct{})
	others := make(chan uint64, 100)
	q := New(Config{Executor: pool, Width: 2, Handler: handlerFunc(func(it *Item) Outcome {
		if it.Class == 1 {
			blocked <- struct{}{}
			<-release
			return Handled
		}
		others <- it.Msg.Seq()
		return Handled
	})})
	c := newConns(2)
	send := func(c *fakeConn, prio uint8, seq uint64, th *Throttle) bool {
		if th != nil && !th.Acquire(1, nil) {
			return false
		}
		in := msg.Incoming{Conn: c, Seq: seq, Charge: 1}
		if th != nil {
			in.Receipt = heldBy{th}
		}
		m := newIncoming(in)
		m.Priority = prio
		require.NoError(t, q.Enqueue(MessageItem(m)))
		return true
	}
	accepted := 0
	for i := range 3 * limit {
		if send(c[0], 255, uint64(i+1), throttle) {
			accepted++
		}
	}
	<-blocked
	require.Equal(t, limit, accepted, "then its socket is not read any more")
	require.Equal(t, limit-1, q.Len())
	for i := range uint64(50) {
		send(c[1], 64, i+1, nil)
		require.Equal(t, i+1, <-others)
	}
	require.Equal(t, limit-1, q.Discard(1, true))
	close(release)
	require.NoError(t, q.Stop(context.Background()))
	require.Zero(t, throttle.Stats().Held)
}

// One burst: the job that is blocked by its first item has started another before.
func TestDrainWidthWithinOneBurst(t *testing.T) {
	const width = 3
	var all sync.WaitGroup
	all.Add(width)
	q := New(Config{Executor: newTestPool(t, width), Width: width, Handler: handlerFunc(func(*Item) Outcome {
		all.Done()
		all.Wait()
		return Handled
	})})
	var burst []Item
	for _, c := range newConns(width) {
		burst = append(burst, EventItem(KindAccept, c, nil))
	}
	require.NoError(t, q.EnqueueBatch(burst))
	all.Wait()
	require.NoError(t, q.Stop(context.Background()))
}

// Discard under load: once it returned, nothing that was enqueued before is
// dispatched, but for what already was.
func TestDrainDiscardUnderLoad(t *testing.T) {
	pool := newTestPool(t, 4)
	const conns, n = 4, 400
	r := new(receipts)
	o := newOrderCheck(t, conns)
	var floor [conns + 1]atomic.Uint64 // messages up to here were discarded
	q := New(Config{Executor: pool, Width: 3, BatchMax: 32, Handler: handlerFunc(func(it *Item) Outcome {
		// What began before the Discard may still run; one that begins now may not.
		if it.Msg.Seq() <= floor[it.Class].Load() {
			t.Errorf("connection %d: %d was discarded", it.Class, it.Msg.Seq())
		}
		return o.Handle(it)
	}), OnDiscard: func(*Item) { o.handled.Add(1) }})
	var wg sync.WaitGroup
	for _, c := range newConns(conns) {
		wg.Go(func() {
			for i := uint64(1); i <= n; i++ {
				_ = q.Enqueue(MessageItem(newMessage(c, 127, i, r, int64(c.id)<<32|int64(i))))
				if i%20 == 0 {
					q.Discard(c.id, true)
					// Wait for the one that may run, if any: the promise is about the queued.
					q.mu.Lock()
					for k := q.prio.classes[c.id]; k != nil && k.busy; k = q.prio.classes[c.id] {
						q.mu.Unlock()
						runtime.Gosched()
						q.mu.Lock()
					}
					q.mu.Unlock()
					floor[c.id].Store(i)
				}
			}
		})
	}
	wg.Wait()
	waitIdle(q)
	require.NoError(t, q.Stop(context.Background()))
	require.EqualValues(t, conns*n, o.handled.Load())
	requireOnce(t, r, conns, n)
	s := q.Stats()
	require.EqualValues(t, conns*n, s.Dispatched+s.Discarded)
}

// Stop under load, by two at once: no callback after it returned, everything is
// given back once.
func TestDrainStopUnderLoad(t *testing.T) {
	for range 20 {
		pool := newTestPool(t, 4)
		const conns, n = 4, 100
		o, r := newOrderCheck(t, conns), new(receipts)
		q := New(Config{Executor: pool, Handler: o, Width: 3, BatchMax: 8})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for o.handled.Load() < 50 {
					runtime.Gosched()
				}
				if err := q.Stop(context.Background()); err != nil {
					t.Error(err)
				}
				o.stopped.Store(true)
			})
		}
		enqueueLoad(q, newConns(conns), n, r)
		wg.Wait()
		require.ErrorIs(t, q.Enqueue(EventItem(KindAccept, newConns(1)[0], nil)), ErrStopped)
		requireOnce(t, r, conns, n)
		s := q.Stats()
		require.EqualValues(t, o.handled.Load(), s.Dispatched)
		require.EqualValues(t, conns*(n+1)+1, s.Dispatched+s.Discarded)
	}
}

// Callbacks that stop the queue, panic, discard and enqueue, with pools that refuse.
func TestDrainCallbacksThatCallBack(t *testing.T) {
	pool := newTestPool(t, 2)
	c := newConns(8)
	r := new(receipts)
	var q *Queue
	var seq, panicked atomic.Int64
	q = New(Config{Executor: pool, Width: 4, BatchMax: 5,
		OnPanic: func(msg.Connection, any, []byte) { panicked.Add(1) },
		Handler: handlerFunc(func(it *Item) Outcome {
			i := seq.Add(1)
			switch {
			case i == 5000:
				if err := q.Stop(context.Background()); err != nil && !errors.Is(err, ErrInDispatch) {
					t.Error(err)
				}
			case i%17 == 0:
				q.Discard(uint64(i)%8+1, i%2 == 0)
			case i%29 == 0:
				panic("sometimes")
			}
			for k := range int64(2) {
				_ = q.Enqueue(MessageItem(newMessage(c[(i+k)%8], uint8(i+k), uint64(i), r, 4*i+k)))
			}
			return Handled
		})})
	for i, c := range c {
		_ = q.Enqueue(MessageItem(newMessage(c, 127, 1, r, -int64(i)-1)))
	}
	for {
		q.mu.Lock()
		stopping := q.stopping
		q.mu.Unlock()
		if stopping {
			break
		}
		if q.Stats().Drainers == 0 { // everything was discarded; start anew
			_ = q.Enqueue(EventItem(KindAccept, c[0], nil))
		}
		runtime.Gosched()
	}
	require.NoError(t, q.Stop(context.Background()))
	require.Zero(t, r.held.Load())
	require.Positive(t, panicked.Load())
	requireEmpty(t, &q.prio)
}
