package bubble_test

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// node is a messenger on a host of its own.
type node struct {
	*async.Messenger
	host *bubble.Host
	got  atomic.Int64
	// dispatch, if set, is called on the host's executor, and may block.
	dispatch func(m *msg.Message)
}

func (n *node) CanFastDispatch(*msg.Message) bool { return false }
func (n *node) FastDispatch(*msg.Message)         {}

func (n *node) Dispatch(m *msg.Message) bool {
	if n.dispatch != nil {
		n.dispatch(m)
	}
	m.Release()
	n.got.Add(1)
	return true
}

const port = 6800

// start makes a messenger on a host.
func start(t *testing.T, h *bubble.Host, num int64, change ...func(*async.Config)) *node {
	t.Helper()
	cfg := async.Config{Name: entity.OSD(num), Stack: h, Executor: h, Rand: h.Rand, Nonce: uint32(num + 1),
		Logger: h.Logger()}
	for _, f := range change {
		f(&cfg)
	}
	m, err := async.New(cfg)
	require.NoError(t, err)
	n := &node{Messenger: m, host: h}
	m.SetDefaultPolicy(msg.LosslessPeer())
	m.AddDispatcherTail(n)
	require.NoError(t, m.Bind(netip.AddrPortFrom(h.Addr(), port)))
	require.NoError(t, m.Start())
	return n
}

// two are the messengers of most tests, shut down at the end.
func two(t *testing.T, w *bubble.World, change ...func(*async.Config)) (a, b *node) {
	t.Helper()
	a = start(t, w.Host("a", simnet.HostConfig{}), 0, change...)
	b = start(t, w.Host("b", simnet.HostConfig{}), 1, change...)
	t.Cleanup(func() {
		require.NoError(t, a.Shutdown(context.Background()))
		require.NoError(t, b.Shutdown(context.Background()))
	})
	return a, b
}

func connect(t *testing.T, from, to *node) msg.Connection {
	t.Helper()
	c, err := from.ConnectTo(entity.TypeOSD, to.Addrs())
	require.NoError(t, err)
	return c
}

func text(s string) *msg.Message { return &msg.Message{Type: 0xf000, Front: []byte(s)} }

func TestExample(t *testing.T) { storing(t) }

// TestFlush: Flush waits for the acknowledgement, which takes a round trip of virtual time.
func TestFlush(t *testing.T) {
	bubble.Test(t, 1, simnet.Config{Link: simnet.LinkConfig{Latency: simnet.Fixed(time.Second)}},
		func(t *testing.T, w *bubble.World) {
			a, b := two(t, w)
			c := connect(t, a, b)
			begin := time.Now()
			require.NoError(t, c.SendContext(t.Context(), text("hello")))
			require.NoError(t, c.Flush(t.Context()))
			require.EqualValues(t, 1, b.got.Load())
			require.GreaterOrEqual(t, time.Since(begin), 2*time.Second)
			require.Equal(t, w.Now(), time.Since(begin))
		})
}

// TestSendContextAtAFullQueue: it waits for room, which comes when the peer can be reached
// again, and it gives up in virtual time.
func TestSendContextAtAFullQueue(t *testing.T) {
	bubble.Test(t, 2, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		a, b := two(t, w, func(c *async.Config) { c.SendQueueMessages = 4 })
		c := connect(t, a, b)
		lift := w.Add("cut", simnet.Isolate("b"))
		for range 4 {
			require.NoError(t, c.SendContext(t.Context(), text("fills")))
		}
		require.ErrorIs(t, c.Send(text("one more")), msg.ErrQueueFull)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := w.Now()
		require.ErrorIs(t, c.SendContext(ctx, text("in vain")), context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, w.Now()-begin)

		sent := make(chan error)
		w.Go(func(ctx context.Context) { sent <- c.SendContext(ctx, text("waits")) })
		w.Wait()
		select {
		case err := <-sent:
			t.Fatalf("did not wait: %v", err)
		default:
		}
		lift()
		require.NoError(t, <-sent)
		require.NoError(t, c.Flush(t.Context()))
		w.Wait()
		require.EqualValues(t, 5, b.got.Load())
	})
}

// TestFlushAndDrainWait: both wait for a peer that cannot be reached, until it can.
func TestFlushAndDrainWait(t *testing.T) {
	for name, wait := range map[string]func(*node, context.Context) error{
		"flush": func(n *node, ctx context.Context) error { return n.Flush(ctx) },
		"drain": func(n *node, ctx context.Context) error { return n.Drain(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, 3, simnet.Config{}, func(t *testing.T, w *bubble.World) {
				a, b := two(t, w)
				lift := w.Add("cut", simnet.Partition([]string{"a"}, []string{"b"}))
				require.NoError(t, connect(t, a, b).Send(text("hello")))
				ended := make(chan error, 1)
				w.Go(func(ctx context.Context) { ended <- wait(a, ctx) })
				time.Sleep(time.Minute)
				require.Empty(t, ended)
				require.Zero(t, b.got.Load())
				lift()
				require.NoError(t, <-ended)
				w.Until("the message", time.Minute, func() bool { return b.got.Load() == 1 })
			})
		})
	}
}

// TestShutdownWaitsForDispatchers: a dispatcher that blocks on a channel holds up
// Shutdown, and neither the network nor the dispatch of others.
func TestShutdownWaitsForDispatchers(t *testing.T) {
	bubble.Test(t, 4, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		a, b := two(t, w)
		c := start(t, w.Host("c", simnet.HostConfig{}), 2)
		free := make(chan struct{})
		var held atomic.Int64
		b.dispatch = func(m *msg.Message) {
			if m.Source() == entity.OSD(0) {
				held.Add(1)
				<-free
			}
		}
		require.NoError(t, connect(t, a, b).Send(text("blocks")))
		time.Sleep(time.Second)
		require.EqualValues(t, 1, held.Load())
		require.NoError(t, connect(t, c, b).Send(text("does not")))
		require.NoError(t, c.Drain(t.Context()))
		w.Until("the other one", time.Second, func() bool { return b.got.Load() == 1 })

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, b.Shutdown(ctx), context.DeadlineExceeded)
		time.AfterFunc(time.Minute, func() { close(free) })
		begin := w.Now()
		require.NoError(t, b.Shutdown(t.Context()))
		require.Equal(t, time.Minute, w.Now()-begin)
		require.EqualValues(t, 2, b.got.Load())
	})
}

// TestVirtualTime: package time, contexts, and the clocks of hosts and messengers show the same.
func TestVirtualTime(t *testing.T) {
	bubble.Test(t, 5, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		h := w.Host("a", simnet.HostConfig{})
		begin := time.Now()
		require.Equal(t, begin, h.Clock().Wall())
		time.Sleep(90 * time.Minute)
		require.Equal(t, 90*time.Minute, w.Now())
		require.Equal(t, 90*time.Minute, h.Clock().Now())
		require.Equal(t, time.Now(), h.Clock().Wall())
		<-time.After(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		<-ctx.Done()
		require.Equal(t, 90*time.Minute+2*time.Second, w.Now())
		var inside time.Duration
		w.Do(func() { inside = w.Net.Now() })
		require.Equal(t, w.Now(), inside)

		var events []time.Duration
		w.Do(func() {
			for _, d := range []time.Duration{2 * time.Second, time.Second, 0} {
				w.Net.After(d, func() { events = append(events, w.Now()-inside) })
			}
		})
		time.Sleep(time.Second)
		w.Wait()
		require.Equal(t, []time.Duration{0, time.Second}, events)
		time.Sleep(time.Second) // a goroutine runs before the network
		require.Len(t, events, 2)
		w.Wait()
		require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second}, events)

		h.SetClock(time.Hour, time.Second) // twice as fast
		before := h.Clock().Now()
		time.Sleep(time.Minute)
		require.Equal(t, 2*time.Minute, h.Clock().Now()-before)
		require.Equal(t, time.Now().Add(time.Hour+time.Minute), h.Clock().Wall())
	})
}

// TestPartitionAndHeal: what is sent while the network is cut arrives once, in order.
func TestPartitionAndHeal(t *testing.T) {
	bubble.Test(t, 6, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		a, b := two(t, w)
		var mu sync.Mutex
		var got []int
		b.dispatch = func(m *msg.Message) {
			mu.Lock()
			got = append(got, int(m.Front[0]))
			mu.Unlock()
			time.Sleep(30 * time.Millisecond) // a disk
		}
		c := connect(t, a, b)
		w.Go(func(ctx context.Context) {
			for i := range 100 {
				_ = c.SendContext(ctx, &msg.Message{Type: 0xf000, Front: []byte{byte(i)}})
				time.Sleep(50 * time.Millisecond)
			}
		})
		for range 3 {
			time.Sleep(300 * time.Millisecond)
			lift := w.Add("cut", simnet.Isolate("a"))
			time.Sleep(time.Second)
			w.Do(func() {
				for _, conn := range w.Net.Conns() {
					conn.Kill()
				}
			})
			lift()
		}
		w.Until("all", time.Minute, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) == 100
		})
		for i, n := range got {
			require.Equal(t, i, n)
		}
	})
}

// TestCrash: what waits on a host that crashes ends by its Context, jobs begin no more,
// and the next life is another one.
func TestCrash(t *testing.T) {
	bubble.Test(t, 7, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		a := start(t, w.Host("a", simnet.HostConfig{}), 0)
		h := w.Host("b", simnet.HostConfig{})
		b := start(t, h, 1)
		ended := make(chan error, 1)
		b.dispatch = func(*msg.Message) { <-h.Context().Done() }
		c := connect(t, a, b)
		require.NoError(t, c.Send(text("held")))
		w.Until("the connection", time.Minute, c.IsConnected)
		h.Go(func(ctx context.Context) {
			lift := w.Add("cut", simnet.Isolate("b"))
			defer lift()
			_ = connect(t, b, a).Send(text("lost"))
			ended <- b.Flush(ctx)
		})
		time.Sleep(time.Second)
		require.False(t, h.Down())
		h.Crash()
		require.True(t, h.Down())
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, h.Submit(func() { t.Error("a job of a host that has crashed") }))
		time.Sleep(time.Minute)

		next := h.Restart()
		require.NoError(t, next.Context().Err())
		require.NotEqual(t, h.Rand(), next.Rand())
		b2 := start(t, next, 1)
		for b2.got.Load() == 0 { // the first ones may belong to the session that b does not know any more
			require.NoError(t, c.Send(text("again")))
			time.Sleep(time.Second)
		}
		next.Kill()
		require.ErrorIs(t, next.Context().Err(), context.Canceled)
		next = next.Restart()
		next.Pause()
		ran := make(chan struct{})
		require.NoError(t, next.Submit(func() { close(ran) }))
		time.Sleep(time.Second)
		select {
		case <-ran:
			t.Fatal("a job of a host that is paused")
		default:
		}
		next.Resume()
		<-ran
		require.NoError(t, next.Close())
		require.ErrorIs(t, next.Context().Err(), context.Canceled)
		require.NoError(t, a.Shutdown(t.Context()))
	})
}

// TestDo: who has the network may ask for it again, callbacks have it, and what panics in
// Do goes to who called it.
func TestDo(t *testing.T) {
	bubble.Test(t, 8, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		nested := false
		w.Do(func() { w.Do(func() { nested = true }) })
		require.True(t, nested)
		var called atomic.Bool
		w.Do(func() {
			w.Net.After(time.Second, func() { w.Do(func() { called.Store(true) }) })
			require.Panics(t, w.Wait)
			require.Panics(t, func() { w.Until("nothing", 0, func() bool { return true }) })
		})
		w.Until("the callback", time.Minute, called.Load)
		require.PanicsWithValue(t, "mine", func() { w.Do(func() { panic("mine") }) })
		w.Do(func() {}) // the network was given back
		counts := make(chan int, 10)
		n := 0
		for range 10 {
			w.Go(func(context.Context) { w.Do(func() { n++; counts <- n }) })
		}
		for i := range 10 {
			require.Equal(t, i+1, <-counts)
		}
		w.Do(func() {
			require.Panics(t, func() { _ = w.Net.Run(time.Second) })
			require.Panics(t, func() { _ = w.Net.RunUntil(func() bool { return true }, 0) })
		})
	})
}

// TestUntilSeesGoroutines: a change that the network does not see is seen within 10 ms.
func TestUntilSeesGoroutines(t *testing.T) {
	bubble.Test(t, 9, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		var n atomic.Int64
		w.Go(func(context.Context) {
			for range 10 {
				time.Sleep(time.Second)
				n.Add(1)
			}
		})
		w.Until("five", time.Minute, func() bool { return n.Load() == 5 })
		require.InDelta(t, 5*time.Second, w.Now(), float64(10*time.Millisecond))
	})
}

// TestEndEndsWhatListens: Context is how goroutines hear of the end of the test.
func TestEndEndsWhatListens(t *testing.T) {
	var ended atomic.Int64
	bubble.Test(t, 10, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		h := w.Host("a", simnet.HostConfig{})
		h.Go(func(ctx context.Context) { <-ctx.Done(); ended.Add(1) })
		w.Go(func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second) // it may take a while
			ended.Add(1)
		})
		start(t, h, 0) // not shut down: the host is closed
	})
	require.EqualValues(t, 2, ended.Load())
}

// TestBreakpoint: a frame that is stopped is for who looks.
func TestBreakpoint(t *testing.T) {
	bubble.Test(t, 11, simnet.Config{Framer: asynctest.NewFramer}, func(t *testing.T, w *bubble.World) {
		a, b := two(t, w)
		c := connect(t, a, b)
		w.Do(func() { w.Net.Break("message", "b", simnet.Reads, simnet.Tag(uint8(frame.TagMessage))) })
		require.NoError(t, c.Send(text("stopped")))
		var hit *simnet.Hit
		w.Until("the breakpoint", time.Minute, func() bool { hit = w.Net.NextHit(); return hit != nil })
		time.Sleep(time.Minute)
		require.Zero(t, b.got.Load())
		w.Do(hit.Resume)
		w.Until("the message", time.Minute, func() bool { return b.got.Load() == 1 })
	})
}

func TestAsleepIsRefused(t *testing.T) {
	require.Panics(t, func() { simnet.New(1, simnet.Config{Asleep: 1, Outside: nothing{}}) })
}

type nothing struct{}

func (nothing) Now() time.Duration { return 0 }
func (nothing) Posted()            {}
