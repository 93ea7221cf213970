package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// newPlaceStage is a stage whose queue has callbacks in place already.
func newPlaceStage(cfg Config) *stage {
	cfg.InPlace = OnWorker
	return newStage(cfg)
}

// receive is what a worker does with n messages of a connection that one read brought.
func (s *stage) receive(t *testing.T, class uint64, prio uint8, n int) (keeps bool) {
	t.Helper()
	items := messages(class, prio, n, nil)
	keeps, err := s.q.EnqueueBatchAt(s, items)
	require.NoError(t, err)
	if !keeps {
		clear(items)
	}
	return keeps
}

var lastSeq atomic.Uint64

func messages(class uint64, prio uint8, n int, r msg.Receipt) (items []Item) {
	c := &fakeConn{id: class}
	for range n {
		m := newIncoming(msg.Incoming{Conn: c, Seq: lastSeq.Add(1), Charge: 1, Receipt: r})
		m.Priority = prio
		items = append(items, MessageItem(m))
	}
	return items
}

// What was received is dispatched before EnqueueBatchAt returns, without a job.
func TestInPlace(t *testing.T) {
	s := newPlaceStage(Config{Width: 1})
	require.False(t, s.receive(t, 1, 127, 3))
	require.False(t, s.receive(t, 2, 127, 40))
	require.Len(t, s.begun, 43)
	require.Equal(t, []string{"c1", "c1", "c1", "c2"}, s.begun[:4])
	require.Empty(t, s.jobs)
	st := s.q.Stats()
	require.EqualValues(t, 43, st.InPlace)
	require.EqualValues(t, 43, st.Dispatched)
	require.EqualValues(t, 43, st.EnqueuedBy[BandNormal])
	require.True(t, st.InPlaceNow)
	s.over(t)
}

// What is queued and could come first does, in place too; events are left to the pool.
func TestInPlaceAfterWhatIsQueued(t *testing.T) {
	s := newPlaceStage(Config{Width: 2})
	require.NoError(t, s.q.EnqueueBatch(messages(2, 200, 1, nil)))
	require.NoError(t, s.q.EnqueueBatch(messages(3, 100, 1, nil)))
	s.receive(t, 1, 127, 2)
	s.began(t, "c2 c1 c1 c3")
	s.settle() // the job that was submitted for c2
	s.began(t, "")

	s.event(t, 2)
	s.receive(t, 1, 127, 1)
	s.began(t, "")
	s.settle()
	s.began(t, "c2! c1")
	s.over(t)
}

// Priorities that share by weight, and several of them in one read, go through the queue,
// and are dispatched in place all the same.
func TestInPlaceOtherPriorities(t *testing.T) {
	s := newPlaceStage(Config{})
	s.receive(t, 1, 10, 2)
	s.began(t, "c1 c1")
	items := append(messages(1, 100, 1, nil), messages(2, 200, 1, nil)...)
	keeps, err := s.q.EnqueueBatchAt(s, items)
	require.NoError(t, err)
	require.False(t, keeps)
	s.began(t, "c2 c1")
	require.Empty(t, s.jobs)
	s.over(t)
}

// A connection whose callback runs on the pool has no other one in place.
func TestInPlaceWhileBusy(t *testing.T) {
	s := newPlaceStage(Config{Width: 3})
	s.fill(t, 1)
	s.settle()
	s.receive(t, 1, 127, 2)
	s.receive(t, 1, 200, 1)
	s.receive(t, 2, 127, 1)
	s.began(t, "c1 c2")
	s.end(1, returns)
	s.end(1, returns)
	s.began(t, "c1 c1")
	s.over(t)
}

// Callbacks in place count against Width as others do.
func TestInPlaceWidth(t *testing.T) {
	s := newPlaceStage(Config{Width: 2})
	s.fill(t, 1, 2)
	s.settle()
	s.receive(t, 3, 127, 1)
	s.began(t, "c1 c2")
	s.end(1, returns)
	s.began(t, "c3")
	s.over(t)

	s = newPlaceStage(Config{Width: 1})
	s.atPlace = func() ending { return stays }
	s.receive(t, 1, 127, 1)
	s.receive(t, 2, 127, 1)
	s.began(t, "c1")
	s.check(DefaultStuckLimit)
	s.settle()
	s.began(t, "c2")
	stuck := []seen{{1, KindMessage, DefaultStuckLimit}}
	require.Equal(t, stuck, seenOf(s.found), "it is found to be stuck as others are")
	s.over(t)
}

// A callback that stays keeps its connection, and nothing else: what is behind it in the
// read waits in the queue, and is dispatched by the pool.
func TestInPlaceStays(t *testing.T) {
	s := newPlaceStage(Config{Width: 2})
	n := 0
	s.atPlace = func() ending {
		if n++; n == 2 {
			return stays
		}
		return returns
	}
	items := messages(1, 127, 4, nil)
	keeps, err := s.q.EnqueueBatchAt(s, items)
	require.NoError(t, err)
	require.True(t, keeps, "the callback that runs is still to look at its item")
	require.Equal(t, 2, s.q.Len())
	s.receive(t, 1, 127, 1)
	s.receive(t, 2, 127, 2)
	s.began(t, "c1 c1 c2 c2")
	st := s.q.Stats()
	require.EqualValues(t, 1, st.Stayed)
	require.Equal(t, 1, st.Dispatching)
	s.end(1, returns)
	s.settle()
	s.end(1, returns)
	s.end(1, returns)
	s.began(t, "c1 c1 c1")
	require.Equal(t, make([]Item, 4), items, "nothing of it is kept")
	s.over(t)
}

// batchReceipt counts messages and bytes that are held.
type batchReceipt struct {
	held  int64
	calls int
}

func (r *batchReceipt) DispatchDone(int64)               { r.held--; r.calls++ }
func (r *batchReceipt) DispatchesDone(n int, size int64) { r.held -= size; r.calls++ }
func (r *batchReceipt) Hold(int64)                       {}
func (r *batchReceipt) Unhold(int64)                     {}

// What the messages before it have held is given back when a callback stays: it may wait
// for a message that is stopped for want of that.
func TestInPlaceGivesBack(t *testing.T) {
	for _, how := range []ending{returns, stays, goexit, panicks} {
		s := newPlaceStage(Config{Logger: slog.New(slog.DiscardHandler)})
		const all, at = 40, 7
		r := &batchReceipt{held: all}
		n := 0
		s.atPlace = func() ending {
			switch n++; n {
			case at:
				return how
			case turnMax + 1:
				require.EqualValues(t, all-turnMax, r.held, "given back by %d", turnMax)
			}
			return returns
		}
		_, err := s.q.EnqueueBatchAt(s, messages(1, 127, all, r))
		require.NoError(t, err)
		if how == stays {
			require.EqualValues(t, all-at+1, r.held)
			s.end(1, returns)
			s.settle()
			require.EqualValues(t, all-at, r.held)
			s.end(1, returns) // and what is behind it is given back one by one: each may wait
			require.EqualValues(t, all-at-1, r.held)
		}
		s.endAll()
		require.Zero(t, r.held)
		if how == returns {
			require.Equal(t, (all+turnMax-1)/turnMax, r.calls, "together")
		}
		s.over(t)
	}
}

// A worker that cannot run a job has the pool do it.
func TestInPlaceRefused(t *testing.T) {
	s := newPlaceStage(Config{Width: 2})
	s.refusePlace = true
	s.receive(t, 1, 127, 2)
	s.fill(t, 2)
	s.receive(t, 2, 127, 1)
	s.began(t, "")
	s.settle()
	s.began(t, "c1 c2")
	s.over(t)
	require.Zero(t, s.q.Stats().InPlace)
}

// Callbacks that panic or end their goroutine cost nothing but themselves.
func TestInPlaceFailures(t *testing.T) {
	panics := 0
	s := newPlaceStage(Config{OnPanic: func(msg.Connection, any, []byte) { panics++ }})
	s.atPlace = func() ending { return panicks }
	s.receive(t, 1, 127, 2)
	s.atPlace = func() ending { return goexit }
	s.receive(t, 1, 127, 2)
	s.atPlace = nil
	s.receive(t, 2, 127, 1)
	s.endAll()
	s.began(t, "c1 c1 c1 c1 c2")
	require.EqualValues(t, 3, s.q.Stats().Panics)
	require.Equal(t, 3, panics)
	s.over(t)
}

// A panic of a hook does not reach the worker.
func TestInPlacePanicOfHook(t *testing.T) {
	log := new(countingHandler)
	s := newPlaceStage(Config{
		Stale:  func(it *Item) bool { panic("planted in Stale") },
		Logger: slog.New(log),
	})
	s.receive(t, 1, 127, 1)
	require.EqualValues(t, 1, log.n.Load())
	require.Zero(t, s.alive)
	require.Zero(t, s.q.Stats().Drainers)
}

// countingHandler counts what is logged.
type countingHandler struct{ n atomic.Int64 }

func (h *countingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (h *countingHandler) Handle(context.Context, slog.Record) error { h.n.Add(1); return nil }
func (h *countingHandler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h *countingHandler) WithGroup(string) slog.Handler             { return h }

// Discard and Stop from inside a callback in place, or while it stays, take the rest of its read.
func TestInPlaceDiscard(t *testing.T) {
	for _, stop := range []bool{false, true} {
		for _, how := range []ending{returns, stays} {
			var discarded int
			s := newPlaceStage(Config{OnDiscard: func(*Item) { discarded++ }})
			s.atPlace = func() ending {
				if stop {
					ctx, cancel := context.WithCancel(context.Background())
					cancel()
					require.ErrorIs(t, s.q.Stop(ctx), context.Canceled)
				} else {
					require.Equal(t, 3, s.q.Discard(1, true))
				}
				return how
			}
			s.receive(t, 1, 127, 4)
			s.endAll()
			s.began(t, "c1")
			require.Equal(t, 3, discarded)
			s.over(t)
			if stop {
				_, err := s.q.EnqueueBatchAt(s, messages(1, 127, 1, nil))
				require.ErrorIs(t, err, ErrStopped)
			}
		}
	}
}

// What is queued with a higher priority while a callback in place runs comes right after it.
func TestInPlacePreempted(t *testing.T) {
	s := newPlaceStage(Config{Width: 1})
	n := 0
	s.atPlace = func() ending {
		if n++; n == 1 {
			require.NoError(t, s.q.EnqueueBatch(messages(2, 200, 1, nil)))
		}
		return returns
	}
	s.receive(t, 1, 127, 3)
	s.began(t, "c1 c2 c1 c1")
	s.over(t)
}

// So does what waits for a slot with the same priority, after a turn.
func TestInPlaceTakesTurns(t *testing.T) {
	s := newPlaceStage(Config{Width: 1})
	n := 0
	s.atPlace = func() ending {
		if n++; n == 1 {
			require.NoError(t, s.q.EnqueueBatch(messages(2, 127, 1, nil)))
		}
		return returns
	}
	s.receive(t, 1, 127, turnMax+4)
	require.Equal(t, turnMax, slices.Index(s.begun, "c2"))
	require.Len(t, s.begun, turnMax+5)
	s.begun = nil
	s.over(t)
}

// A worker is not kept for long by many callbacks that are short.
func TestInPlaceForLong(t *testing.T) {
	s := newPlaceStage(Config{Width: 1})
	s.atPlace = func() ending {
		s.now += inPlaceTime / turnMax
		return returns
	}
	s.receive(t, 1, 127, 3*turnMax)
	require.Len(t, s.begun, 2*turnMax)
	s.endAll()
	require.Len(t, s.begun, 3*turnMax)
	s.begun = nil
	s.over(t)
}

// Off, everything is as without workers.
func TestInPlaceOff(t *testing.T) {
	s := newStage(Config{})
	for range 3 * sampleMin {
		s.receive(t, 1, 127, 1)
		require.Len(t, s.jobs, 1)
		s.endAll()
	}
	require.False(t, s.q.Stats().InPlaceNow)
	require.Zero(t, s.q.Stats().InPlace)
	s.begun = nil
	s.over(t)
}
