package bubble

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// World is a simulated network inside of a bubble. Its methods may be called by any
// goroutine of the bubble, callbacks on the network among them, unless they say otherwise.
type World struct {
	// Net is the network, for what is done within Do: rules, links, breakpoints, traces.
	Net *simnet.Network

	t     *testing.T // that of the bubble
	main  uint64     // the goroutine of t
	seed  uint64
	start time.Time
	guard *guard

	// ctx ends with the world.
	ctx    context.Context
	cancel context.CancelFunc

	kick    chan struct{} // there may be something to do
	stopped chan struct{} // closed when the driver has ended
	holder  atomic.Uint64 // the goroutine that has the network; 0: none
	limit   atomic.Int64  // virtual time at which the test has taken too long

	mu    sync.Mutex // guards the fields below; held shortly, never while waiting
	turns []*turn
	hosts []*Host
	over  bool // no turns any more
}

// Limit is how much virtual time a test may take, unless SetLimit says otherwise.
const Limit = 24 * time.Hour

// Test runs f in a bubble with a network of that seed, and t is failed by what goes wrong
// there: see the package documentation. It returns when f, the cleanups that it
// registered with the t that it was given, and all goroutines have ended. What T does not
// have in a bubble (Run, Parallel, Deadline) panics there.
//
// Config.Epoch is the beginning of the bubble's time, 2000-01-01 UTC, unless it is set;
// Asleep must be 0, and Outside is the world's.
func Test(t *testing.T, seed uint64, cfg simnet.Config, f func(t *testing.T, w *World)) {
	t.Helper()
	g := newGuard(t, seed)
	defer g.end()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, cfg, g)
		t.Logf("bubble: seed %d", seed)
		t.Cleanup(w.end) // the last one
		go w.drive()
		defer w.catch("the test")
		f(t, w)
	})
}

func newWorld(t *testing.T, seed uint64, cfg simnet.Config, g *guard) *World {
	w := &World{
		t: t, main: goroutineID(), seed: seed, start: time.Now(), guard: g,
		kick: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.limit.Store(int64(Limit))
	if cfg.Epoch.IsZero() {
		cfg.Epoch = w.start
	}
	cfg.Outside = (*outside)(w)
	w.Net = simnet.New(seed, cfg)
	g.bubble.Store(bubbleOf(firstLine()))
	return w
}

// outside implements simnet.Outside.
type outside World

func (o *outside) Now() time.Duration { return time.Since(o.start) }

func (o *outside) Posted() { (*World)(o).wakeDriver() }

// Seed is the one given to Test.
func (w *World) Seed() uint64 { return w.seed }

// Now is the virtual time since the beginning, the same as Net.Now.
func (w *World) Now() time.Duration { return time.Since(w.start) }

// Hash is a hash of all that has happened on the network (simnet.Network.Hash).
func (w *World) Hash() (hash uint64) {
	w.Do(func() { hash = w.Net.Hash() })
	return hash
}

// SetLimit changes how much virtual time the test may take, from its beginning on.
func (w *World) SetLimit(d time.Duration) {
	w.limit.Store(int64(d))
	w.wakeDriver()
}

// Add puts a rule of faults into force (simnet.Network.Add): it returns what lifts it, which any
// goroutine may call, and more than once.
func (w *World) Add(name string, rule simnet.Rule) (lift func()) {
	var fault *simnet.Fault
	w.Do(func() { fault = w.Net.Add(name, rule) })
	return func() { w.Do(fault.Lift) }
}

// Go runs f on a goroutine. A panic in it fails the test. f should end when ctx does,
// which is when the test has ended, or failed by what the package documentation lists.
func (w *World) Go(f func(ctx context.Context)) {
	go func() {
		defer w.catch("a goroutine of World.Go")
		f(w.ctx)
	}()
}

// settleMax is how much virtual time goroutines may take to end after the test has.
const settleMax = time.Minute

// end is the last cleanup of the test, on its goroutine.
func (w *World) end() {
	w.cancel()
	for _, h := range w.allHosts() {
		w.try(func() { _ = h.Host.Close() })
	}
	w.finish()
	<-w.stopped // from here on this goroutine alone waits for quiet
	if w.t.Failed() {
		w.t.Logf("bubble: failed with seed %d, after %v of virtual time", w.seed, w.Now())
	}
	for until := w.Now() + settleMax; w.Now() < until; time.Sleep(time.Second) {
		synctest.Wait()
		if len(w.guard.others()) == 0 {
			return
		}
	}
	if !w.t.Failed() {
		w.fail("goroutines are left %v after the end of the test", settleMax)
	}
}

func (w *World) allHosts() []*Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*Host(nil), w.hosts...)
}
