package dispatch

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// seqs is a handler that notes the sequence numbers of messages and the kinds of
// events.
type seqs struct{ got []any }

func (s *seqs) Handle(it *Item) Outcome {
	if it.Kind == KindMessage {
		s.got = append(s.got, int(it.Msg.Seq()))
	} else {
		s.got = append(s.got, it.Kind)
	}
	return Handled
}

func TestQueueOrderAndOneJobPerBurst(t *testing.T) {
	e, h := new(Inline), new(seqs)
	q := New(Config{Executor: e, Handler: h, Width: 4, TurnMax: 1})
	c := newConns(2)
	require.NoError(t, q.EnqueueBatch([]Item{
		MessageItem(newMessage(c[0], 127, 1, nil, 0)),
		MessageItem(newMessage(c[0], 127, 2, nil, 0)),
		MessageItem(newMessage(c[1], 196, 3, nil, 0)),
		MessageItem(newMessage(c[1], 10, 4, nil, 0)),
		EventItem(KindAccept, c[1], nil),
	}))
	require.NoError(t, q.Enqueue(MessageItem(newMessage(c[1], 127, 5, nil, 0))))
	require.Equal(t, 1, e.Len(), "one job for the burst")
	require.Equal(t, 6, q.Len())
	require.True(t, e.Step())
	require.Equal(t, []any{KindAccept, 3, 1, 5, 2, 4}, h.got)
	e.Run() // the job that the first one started for Width finds nothing
	s := q.Stats()
	require.EqualValues(t, 6, s.Dispatched)
	require.Equal(t, [Bands]uint64{1, 1, 3, 1}, s.EnqueuedBy)
	require.Zero(t, s.Drainers)
	require.Zero(t, s.Len)
}

// All events come in the order of their arrival, before every message.
func TestQueueEventOrder(t *testing.T) {
	e, h := new(Inline), new(seqs)
	q := New(Config{Executor: e, Handler: h})
	c := newConns(2)
	kinds := []Kind{
		KindLowWater, KindRejected, KindConnectFailed, KindConnect, KindHighWater, KindReset, KindAccept,
		KindRefused, KindRemoteReset, KindFault,
	}
	require.Len(t, kinds, int(numKinds)-1)
	var want []any
	for i, k := range kinds {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c[i%2], 255, uint64(i), nil, 0))))
		require.NoError(t, q.Enqueue(EventItem(k, c[i%2], errOf(k))))
		want = append(want, k)
	}
	e.Run()
	require.Equal(t, want, h.got[:len(kinds)])
	require.EqualValues(t, len(kinds), q.Stats().EnqueuedBy[BandEvents])
}

func TestQueueBatchMaxGoesToTheEndOfTheLine(t *testing.T) {
	e := new(Inline)
	a, b := new(seqs), new(seqs)
	c := newConns(1)[0]
	qa := New(Config{Executor: e, Handler: a, BatchMax: 2})
	qb := New(Config{Executor: e, Handler: b, BatchMax: 2})
	for i := range 5 {
		require.NoError(t, qa.Enqueue(MessageItem(newMessage(c, 127, uint64(i), nil, 0))))
		require.NoError(t, qb.Enqueue(MessageItem(newMessage(c, 127, uint64(i), nil, 0))))
	}
	require.Equal(t, 2, e.Len())
	e.Step()
	require.Equal(t, []any{0, 1}, a.got)
	require.Empty(t, b.got)
	e.Step()
	require.Equal(t, []any{0, 1}, b.got)
	require.Equal(t, 4, e.Run(), "two more jobs each")
	require.Equal(t, []any{0, 1, 2, 3, 4}, a.got)
	require.Equal(t, a.got, b.got)
	for range 2 {
		require.NoError(t, qa.Enqueue(MessageItem(newMessage(c, 127, 9, nil, 0))))
	}
	require.Equal(t, 1, e.Run(), "no job for an empty queue")
}

func TestQueueAge(t *testing.T) {
	e := new(Inline)
	now := time.Second
	q := New(Config{Executor: e, Handler: new(seqs), Clock: func() time.Duration { return now }})
	c := newConns(1)[0]
	require.Zero(t, q.OldestAge())
	require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, 1, nil, 0))))
	now += time.Second
	require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 200, 2, nil, 0))))
	require.Equal(t, time.Second, q.OldestAge())
	e.Run()
	require.Zero(t, q.OldestAge())
}

func TestQueueDiscard(t *testing.T) {
	e, h, r := new(Inline), new(seqs), new(receipts)
	var dropped []uint64
	q := New(Config{Executor: e, Handler: h, OnDiscard: func(it *Item) { dropped = append(dropped, it.Class) }})
	c := newConns(2)
	for i := range 3 {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c[0], 127, 1, r, int64(i+1)))))
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c[1], 127, 2, r, int64(i+11)))))
	}
	require.NoError(t, q.Enqueue(EventItem(KindReset, c[0], nil)))
	require.NoError(t, q.Enqueue(Item{Msg: &msg.Message{}, Priority: 64}))
	require.Zero(t, q.Discard(0, true), "class 0 is never discarded")
	require.Equal(t, 3, q.Discard(1, false))
	require.Equal(t, []uint64{1, 1, 1}, dropped)
	require.Equal(t, map[int64]int{1: 1, 2: 1, 3: 1}, r.done)
	require.Equal(t, 1, q.Discard(1, true))
	e.Run()
	require.Equal(t, []any{2, 2, 2, 0}, h.got)
	require.Zero(t, r.held.Load())
	require.EqualValues(t, 4, q.Stats().Discarded)
}

// A connection that closes while its messages are queued: those that got in after
// the Discard are not dispatched either, its reset is.
func TestQueueClosedConnection(t *testing.T) {
	e, h, r := new(Inline), new(seqs), new(receipts)
	q := New(Config{Executor: e, Handler: h})
	c := newConns(1)[0]
	c.closed.Store(true)
	q.Discard(c.id, false)
	require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, 1, r, 5))))
	require.NoError(t, q.Enqueue(EventItem(KindReset, c, msg.ErrReset)))
	e.Run()
	require.Equal(t, []any{KindReset}, h.got)
	require.Equal(t, map[int64]int{5: 1}, r.done)
	s := q.Stats()
	require.EqualValues(t, 1, s.Discarded)
	require.EqualValues(t, 1, s.Dispatched)
}

// Marking down inside a callback takes the rest of the connection's messages, not
// the one being dispatched.
func TestQueueDiscardInCallback(t *testing.T) {
	e, r := new(Inline), new(receipts)
	var q *Queue
	n := 0
	q = New(Config{Executor: e, Handler: handlerFunc(func(it *Item) Outcome {
		n++
		require.Equal(t, 2, q.Discard(it.Class, true))
		return Handled
	})})
	c := newConns(1)[0]
	for i := range 3 {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, 1, r, int64(i+1)))))
	}
	e.Run()
	require.Equal(t, 1, n)
	require.Equal(t, map[int64]int{1: 1, 2: 1, 3: 1}, r.done)
}

func TestQueueStop(t *testing.T) {
	e, h, r := new(Inline), new(seqs), new(receipts)
	var dropped []uint64
	q := New(Config{Executor: e, Handler: h, OnDiscard: func(it *Item) { dropped = append(dropped, it.Msg.Seq()) }})
	c := newConns(2)
	for i := range 4 {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c[i%2], uint8(64+i), uint64(i), r, int64(i+1)))))
	}
	require.NoError(t, q.Stop(context.Background()))
	require.Equal(t, []uint64{0, 1, 2, 3}, dropped, "reported by arrival")
	require.Len(t, r.done, 4)
	require.ErrorIs(t, q.Enqueue(MessageItem(newMessage(c[0], 127, 9, r, 9))), ErrStopped)
	require.Equal(t, 1, r.done[9])
	require.NoError(t, q.Stop(context.Background()))
	e.Run()
	require.Empty(t, h.got)
	require.EqualValues(t, 5, q.Stats().Discarded)
	require.Zero(t, q.Stats().Drainers)
}

func TestQueueStopInsideDispatch(t *testing.T) {
	e := new(Inline)
	var q *Queue
	n := 0
	q = New(Config{Executor: e, Handler: handlerFunc(func(*Item) Outcome {
		n++
		require.ErrorIs(t, q.Stop(context.Background()), ErrInDispatch)
		return Handled
	})})
	c := newConns(1)[0]
	for range 3 {
		require.NoError(t, q.Enqueue(EventItem(KindAccept, c, nil)))
	}
	e.Run()
	require.Equal(t, 1, n)
	require.NoError(t, q.Stop(context.Background()))
}

// A second Stop waits until the first one has given everything back.
func TestQueueStopWaitsForTheOther(t *testing.T) {
	dropping, finish := make(chan struct{}), make(chan struct{})
	q := New(Config{Executor: new(Inline), Handler: new(seqs), OnDiscard: func(*Item) {
		close(dropping)
		<-finish
	}})
	require.NoError(t, q.Enqueue(EventItem(KindAccept, newConns(1)[0], nil)))
	first := make(chan error)
	go func() { first <- q.Stop(context.Background()) }()
	<-dropping
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, q.Stop(ctx), context.Canceled)
	close(finish)
	require.NoError(t, <-first)
	require.NoError(t, q.Stop(context.Background()))
}

func TestQueueStopTimesOut(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	q := New(Config{Executor: goExecutor{}, Handler: handlerFunc(func(*Item) Outcome {
		close(started)
		<-finish
		return Handled
	})})
	require.NoError(t, q.Enqueue(EventItem(KindAccept, newConns(1)[0], nil)))
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, q.Stop(ctx), context.Canceled)
	second := make(chan error)
	go func() { second <- q.Stop(context.Background()) }()
	close(finish)
	require.NoError(t, q.Stop(context.Background()))
	require.NoError(t, <-second)
}

// 10 000 panics: the throttle is given back for each, once, and the queue goes on.
func TestQueuePanicsLeakNothing(t *testing.T) {
	const n = 10_000
	e, throttle := new(Inline), NewThrottle(n*10)
	reported := 0
	q := New(Config{
		Executor: e,
		Handler: handlerFunc(func(it *Item) Outcome {
			if it.Msg.Seq()%2 == 0 {
				it.Msg.Release()
			}
			panic("no")
		}),
		OnPanic: func(conn msg.Connection, r any, stack []byte) {
			require.Equal(t, "no", r)
			require.NotEmpty(t, stack)
			reported++
		},
	})
	c := newConns(1)[0]
	for i := range n {
		throttle.Take(10)
		m := newIncoming(msg.Incoming{Conn: c, Receipt: heldBy{throttle}, Charge: 10, Seq: uint64(i)})
		require.NoError(t, q.Enqueue(MessageItem(m)))
	}
	e.Run()
	require.Equal(t, n, reported)
	require.EqualValues(t, n, q.Stats().Panics)
	require.EqualValues(t, n, q.Stats().Dispatched)
	require.Zero(t, throttle.Stats().Held)
	require.EqualValues(t, n*10, throttle.Stats().Peak)
	require.Zero(t, q.Stats().Drainers)
}

// A callback that ends its goroutine costs the queue nothing but that goroutine.
func TestQueueSurvivesGoexit(t *testing.T) {
	r := new(receipts)
	done := make(chan uint64, 2)
	panics := make(chan any, 1)
	q := New(Config{
		Executor: goExecutor{},
		OnPanic:  func(_ msg.Connection, r any, _ []byte) { panics <- r },
		Handler: handlerFunc(func(it *Item) Outcome {
			if it.Msg.Seq() == 1 {
				runtime.Goexit()
			}
			done <- it.Msg.Seq()
			return Handled
		}),
	})
	c := newConns(1)[0]
	require.NoError(t, q.EnqueueBatch([]Item{
		MessageItem(newMessage(c, 127, 1, r, 1)),
		MessageItem(newMessage(c, 127, 2, r, 2)),
	}))
	require.EqualValues(t, 2, <-done)
	require.Equal(t, ErrGoexit, <-panics)
	require.NoError(t, q.Stop(context.Background()))
	require.Equal(t, map[int64]int{1: 1, 2: 1}, r.done)
	require.EqualValues(t, 1, q.Stats().Panics)
}

// A panic of a hook leaves through the executor; the queue goes on.
func TestQueueSurvivesPanickingHook(t *testing.T) {
	e := new(Inline)
	n := 0
	q := New(Config{Executor: e, Handler: handlerFunc(func(*Item) Outcome { n++; return Handled }),
		Stale: func(it *Item) bool { return it.Msg.Seq() == 1 && n == 0 && panics() }})
	c := newConns(1)[0]
	for i := range 3 {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, uint64(i+1), nil, 0))))
	}
	require.Panics(t, func() { e.Step() })
	e.Run()
	require.Equal(t, 2, n)
	require.Zero(t, q.Stats().Drainers)
}

func panics() bool { panic("hook") }

func TestQueueUnhandled(t *testing.T) {
	e := new(Inline)
	q := New(Config{Executor: e, Handler: handlerFunc(func(*Item) Outcome { return Unhandled })})
	require.NoError(t, q.Enqueue(MessageItem(newMessage(newConns(1)[0], 127, 1, nil, 0))))
	e.Run()
	require.EqualValues(t, 1, q.Stats().Unhandled)
	require.EqualValues(t, 1, q.Stats().Dispatched)
}

// steppedQueue is a queue at *now whose callbacks say on stepped that they have begun and
// end by step.
func steppedQueue(now *time.Duration) (q *Queue, step, stepped chan struct{}) {
	step, stepped = make(chan struct{}), make(chan struct{})
	q = New(Config{Executor: goExecutor{}, Clock: func() time.Duration { return *now },
		Handler: handlerFunc(func(*Item) Outcome {
			stepped <- struct{}{}
			<-step
			return Handled
		})})
	return q, step, stepped
}

func TestQueueStuck(t *testing.T) {
	now := time.Second
	q, step, stepped := steppedQueue(&now)
	c := newConns(1)[0]
	require.Empty(t, q.Stuck(0))
	require.NoError(t, q.EnqueueBatch([]Item{EventItem(KindAccept, c, nil), EventItem(KindReset, c, nil)}))
	<-stepped
	require.Empty(t, q.Stuck(time.Second))
	now += time.Second
	require.Equal(t, []seen{{c.id, KindAccept, time.Second}}, seenOf(q.Stuck(time.Second)))
	step <- struct{}{}
	<-stepped
	require.Empty(t, q.Stuck(time.Second), "another callback")
	step <- struct{}{}
	require.NoError(t, q.Stop(context.Background()))
}

func TestQueueRefusesNonsense(t *testing.T) {
	e, h := new(Inline), new(seqs)
	require.Panics(t, func() { New(Config{Executor: e}) })
	require.Panics(t, func() { New(Config{Handler: h}) })
	require.Panics(t, func() { New(Config{Executor: e, Handler: h, Width: -1}) })
	q := New(Config{Executor: e, Handler: h})
	require.Panics(t, func() { _ = q.Enqueue(Item{Kind: KindMessage}) })
	require.Panics(t, func() { _ = q.Enqueue(Item{Kind: KindReset, Msg: &msg.Message{}}) })
	require.Panics(t, func() { _ = q.Enqueue(Item{Kind: 99}) })
	require.Panics(t, func() { _ = q.Enqueue(Item{Kind: numKinds}) })
	for _, it := range []Item{
		{Kind: KindConnectFailed},
		{Kind: KindConnectFailed, Err: errors.New("of another type")},
		{Kind: KindConnectFailed, Err: (*msg.ConnectError)(nil)},
		{Kind: KindRejected},
		{Kind: KindRejected, Err: (*msg.RejectedError)(nil)},
		{Kind: KindRejected, Err: &msg.ConnectError{}},
		{Kind: KindHighWater, Msg: &msg.Message{}},
	} {
		require.Panics(t, func() { _ = q.Enqueue(it) }, "%+v", it)
	}
	require.Zero(t, q.Len())
	require.NoError(t, q.Enqueue(Item{Msg: &msg.Message{}}), "the lock is free")
	require.NoError(t, q.EnqueueBatch(nil))
	require.Equal(t, "unknown", Kind(99).String())
	require.Equal(t, "remote reset", KindRemoteReset.String())
	require.Equal(t, "low water", KindLowWater.String())
}

// goExecutor runs each job on a goroutine of its own.
type goExecutor struct{}

func (goExecutor) Submit(job func()) error { go job(); return nil }

// scripted is an executor that refuses while it is told to.
type scripted struct {
	Inline
	refuse  bool
	refused int
}

func (s *scripted) Submit(job func()) error {
	if s.refuse {
		s.refused++
		return errors.New("refused")
	}
	return s.Inline.Submit(job)
}

// A refused job runs on a stand-in and moves to the executor when that accepts.
func TestQueueRefusedJobStandsIn(t *testing.T) {
	e, h := &scripted{refuse: true}, new(seqs)
	var standIns Inline
	q := New(Config{Executor: e, Handler: h, BatchMax: 2, Go: func(f func()) { _ = standIns.Submit(f) }})
	c := newConns(1)[0]
	for i := range 6 {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, uint64(i), nil, 0))))
	}
	require.Equal(t, 1, standIns.Len(), "one stand-in")
	require.Equal(t, 1, e.refused, "and no further question while it is on its way")
	q.cfg.Handler = handlerFunc(func(it *Item) Outcome {
		if len(h.got) == 3 {
			e.refuse = false
		}
		require.Equal(t, len(h.got) < 4, q.standIn != nil)
		return h.Handle(it)
	})
	standIns.Run()
	require.Equal(t, []any{0, 1, 2, 3}, h.got, "moved on at the end of the second batch")
	require.Equal(t, 1, e.Len())
	e.Run()
	require.Equal(t, []any{0, 1, 2, 3, 4, 5}, h.got)
	s := q.Stats()
	require.EqualValues(t, 1, s.StandIns)
	require.EqualValues(t, 2, s.Refused)
	require.Zero(t, s.Drainers)
	require.Nil(t, q.standIn)
}

// While a job runs, one that is refused for more width gets one stand-in; a second
// refusal waits for the next item.
func TestQueueRefusedWidth(t *testing.T) {
	e := new(scripted)
	var standIns Inline
	var q *Queue
	c := newConns(3)
	var order []uint64
	q = New(Config{Executor: e, Width: 3, Go: func(f func()) { _ = standIns.Submit(f) },
		Handler: handlerFunc(func(it *Item) Outcome {
			order = append(order, it.Class)
			if it.Class == 1 { // as if it blocked, while the others go on
				e.refuse = true
				require.NoError(t, q.Enqueue(MessageItem(newMessage(c[1], 127, 0, nil, 0))))
				require.NoError(t, q.Enqueue(MessageItem(newMessage(c[2], 127, 0, nil, 0))))
				require.Equal(t, 1, standIns.Len())
				standIns.Run()
				require.Equal(t, []uint64{1, 2, 3}, order)
			}
			return Handled
		})})
	require.NoError(t, q.Enqueue(MessageItem(newMessage(c[0], 127, 0, nil, 0))))
	e.Run()
	s := q.Stats()
	require.EqualValues(t, 3, s.Dispatched)
	require.EqualValues(t, 1, s.StandIns)
	require.Zero(t, s.Drainers)
}
