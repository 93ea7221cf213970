package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestStuckModel: whatever happens in whatever order, callbacks that are not stuck are no
// more than Width, jobs no more than WidthMax, work that can be done has a job or is at
// that bound, and the order holds.
func TestStuckModel(t *testing.T) { rapid.Check(t, stuckModel) }

func stuckModel(t *rapid.T) {
	cfg := Config{
		Width:    rapid.IntRange(1, 3).Draw(t, "width"),
		BatchMax: rapid.SampledFrom([]int{1, 2, 256}).Draw(t, "batch"),
		OnPanic:  func(msg.Connection, any, []byte) {},
		Logger:   slog.New(slog.DiscardHandler),
	}
	cfg.InPlace = rapid.SampledFrom([]Placement{OnPool, OnWorker}).Draw(t, "in place")
	cfg.WidthMax = cfg.Width + rapid.IntRange(0, 4).Draw(t, "more")
	s := newStage(cfg)
	q, r := s.q, new(receipts)
	conns := newConns(6)
	last := map[[2]int]uint64{} // by class and priority
	sent := uint64(0)
	s.onBegin = func(it *Item) {
		if it.Kind != KindMessage {
			return
		}
		key := [2]int{int(it.Class), int(it.Priority)}
		if it.Msg.Seq() <= last[key] {
			s.bad = fmt.Errorf("class %d, priority %d: %d after %d", key[0], key[1], it.Msg.Seq(), last[key])
		}
		last[key] = it.Msg.Seq()
	}
	running := func() []uint64 {
		var classes []uint64
		for c := range s.in {
			classes = append(classes, c)
		}
		slices.Sort(classes)
		return classes
	}
	t.Repeat(map[string]func(*rapid.T){
		"enqueue": func(t *rapid.T) {
			c := conns[rapid.IntRange(0, len(conns)-1).Draw(t, "conn")]
			p := rapid.SampledFrom([]uint8{10, 127, 200}).Draw(t, "priority")
			var items []Item
			for range rapid.IntRange(1, 6).Draw(t, "n") {
				sent++
				items = append(items, MessageItem(newMessage(c, p, sent, r, int64(sent))))
			}
			require.NoError(t, q.EnqueueBatch(items))
		},
		"receive": func(t *rapid.T) {
			c := conns[rapid.IntRange(0, len(conns)-1).Draw(t, "conn")]
			p := rapid.SampledFrom([]uint8{10, 127, 200}).Draw(t, "priority")
			var items []Item
			for range rapid.IntRange(1, 40).Draw(t, "n") {
				sent++
				items = append(items, MessageItem(newMessage(c, p, sent, r, int64(sent))))
			}
			if rapid.Bool().Draw(t, "mixed") {
				sent++
				items = append(items, MessageItem(newMessage(c, 127, sent, r, int64(sent))))
			}
			s.refusePlace = rapid.IntRange(0, 9).Draw(t, "refuse") == 0
			s.atPlace = func() ending {
				s.now += rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond}).Draw(t, "takes")
				return rapid.SampledFrom([]ending{
					returns, returns, returns, returns, returns, stays, panicks, goexit,
				}).Draw(t, "how")
			}
			keeps, err := q.EnqueueBatchAt(s, items)
			require.NoError(t, err)
			if !keeps {
				clear(items) // they are the caller's
			}
		},
		"event": func(t *rapid.T) {
			c := conns[rapid.IntRange(0, len(conns)-1).Draw(t, "conn")]
			require.NoError(t, q.Enqueue(EventItem(KindAccept, c, nil)))
		},
		"run": func(t *rapid.T) {
			switch {
			case len(s.jobs) > 0:
				s.run(&s.jobs)
			case len(s.standIns) > 0:
				s.run(&s.standIns)
			default:
				t.Skip()
			}
		},
		"end": func(t *rapid.T) {
			if len(s.in) == 0 {
				t.Skip()
			}
			s.end(rapid.SampledFrom(running()).Draw(t, "which"),
				rapid.SampledFrom([]ending{returns, returns, returns, panicks, goexit}).Draw(t, "how"))
		},
		"check": func(t *rapid.T) {
			s.check(rapid.SampledFrom([]time.Duration{0, time.Second / 3, time.Second}).Draw(t, "after"))
		},
		"end while checking": func(t *rapid.T) {
			if len(s.in) == 0 {
				t.Skip()
			}
			which := rapid.SampledFrom(running()).Draw(t, "which")
			s.onSubmit = func() { s.end(which, returns) }
			s.check(time.Second)
			s.onSubmit = nil
		},
		"refuse":  func(*rapid.T) { s.refuse = !s.refuse },
		"discard": func(t *rapid.T) { q.Discard(rapid.Uint64Range(1, 6).Draw(t, "conn"), true) },
		"": func(t *rapid.T) {
			require.NoError(t, s.bad)
			st := q.Stats()
			require.LessOrEqual(t, len(s.in)-st.Stuck, cfg.Width, "callbacks that count")
			require.LessOrEqual(t, st.Drainers, cfg.WidthMax, "jobs")
			require.Equal(t, q.starting, len(s.jobs)+len(s.standIns), "jobs on their way")
			require.Equal(t, len(s.in), s.alive, "each goroutine is in a callback")
			require.Equal(t, len(s.in), st.Dispatching)
			if q.prio.runnable > 0 && len(q.drainers) == 0 {
				require.Equal(t, cfg.WidthMax, st.Stuck, "nobody will dispatch what waits")
			}
			require.True(t, q.checked || st.Drainers == 0, "Check will be called")
			standIns := 0
			for _, d := range q.drainers {
				if d.standIn {
					standIns++
					require.Same(t, d, q.standIn)
				}
			}
			require.LessOrEqual(t, standIns, 1)
			require.Equal(t, standIns == 1, q.standIn != nil)
			require.LessOrEqual(t, len(q.idle), cfg.Width)
		},
	})
	s.refuse = false
	s.endAll()
	require.NoError(t, s.bad)
	st := q.Stats()
	require.Zero(t, st.Drainers)
	require.Zero(t, st.Stuck)
	require.Equal(t, st.Enqueued, st.Dispatched+st.Discarded)
	require.Len(t, r.done, int(sent))
	for size, times := range r.done {
		require.Equal(t, 1, times, "message %d", size)
	}
	require.Empty(t, q.prio.classes)
	require.NoError(t, q.Stop(context.Background()))
}

// The same with real goroutines: callbacks that block until they are found, return while
// others are found, discards, and an executor that refuses now and then.
func TestStuckUnderLoad(t *testing.T) {
	for seed := range uint64(2) {
		t.Log("seed", seed)
		const conns, n, width, most = 12, 200, 2, 8
		o, r := newOrderCheck(t, conns), new(receipts)
		var now atomic.Int64
		var mu sync.Mutex
		blocked := map[uint64]chan struct{}{} // by connection; nil: found before it was there
		q := New(Config{
			Executor: newFlaky(newTestPool(t, 16), seed), Width: width, WidthMax: most, BatchMax: 16,
			Clock: func() time.Duration { return time.Duration(now.Load()) },
			OnStuck: func(f InFlight) {
				mu.Lock()
				defer mu.Unlock()
				gate := blocked[f.Conn.ID()]
				if gate == nil {
					blocked[f.Conn.ID()] = nil
					return
				}
				close(gate)
				delete(blocked, f.Conn.ID())
			},
			Handler: handlerFunc(func(it *Item) Outcome {
				if it.Kind == KindMessage && it.Msg.Seq()%50 == 7 {
					gate := make(chan struct{})
					mu.Lock()
					if _, found := blocked[it.Class]; found {
						delete(blocked, it.Class)
						close(gate)
					} else {
						blocked[it.Class] = gate
					}
					mu.Unlock()
					out := o.Handle(it)
					<-gate
					return out
				}
				return o.Handle(it)
			}),
		})
		var stop atomic.Bool
		var checker sync.WaitGroup
		checker.Go(func() {
			for !stop.Load() {
				now.Add(int64(DefaultStuckLimit) / 2)
				q.Check()
				runtime.Gosched()
			}
		})
		enqueueLoad(q, newConns(conns), n, r)
		waitIdle(q)
		stop.Store(true)
		checker.Wait()
		require.NoError(t, q.Stop(context.Background()))
		st := q.Stats()
		require.Positive(t, st.StuckTotal)
		require.Zero(t, st.Stuck)
		require.EqualValues(t, conns*(n+n/100), o.handled.Load())
		requireOnce(t, r, conns, n)
		require.LessOrEqual(t, len(q.idle), width)
	}
}
