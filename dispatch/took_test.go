package dispatch

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestLook: waits and callbacks are measured by the queue's clock, and what waits is told by
// band, with its age.
func TestLook(t *testing.T) {
	now := time.Duration(0)
	e := new(Inline)
	q := New(Config{Executor: e, TurnMax: 1, Clock: func() time.Duration { return now },
		Handler: handlerFunc(func(*Item) Outcome { now += 3 * time.Millisecond; return Handled })})
	c := newConns(2)
	enqueue := func(prio uint8, bytes int) {
		m := newMessage(c[0], prio, 1, nil, 0)
		m.Front = make([]byte, bytes)
		require.NoError(t, q.Enqueue(MessageItem(m)))
	}
	require.NoError(t, q.Enqueue(EventItem(KindConnect, c[1], nil)))
	now = 10 * time.Millisecond
	enqueue(msg.PriorityHigh, 1)
	now = 20 * time.Millisecond
	enqueue(msg.PriorityDefault, 10)
	enqueue(msg.PriorityDefault, 10)
	enqueue(5, 100)
	now = 50 * time.Millisecond
	l := q.Look()
	require.Equal(t, [Bands]Band{
		BandEvents:   {Len: 1, OldestAge: 50 * time.Millisecond, Enqueued: 1},
		BandHigh:     {Len: 1, OldestAge: 40 * time.Millisecond, Enqueued: 1, EnqueuedBytes: 1},
		BandNormal:   {Len: 2, OldestAge: 30 * time.Millisecond, Enqueued: 2, EnqueuedBytes: 20},
		BandWeighted: {Len: 1, OldestAge: 30 * time.Millisecond, Enqueued: 1, EnqueuedBytes: 100},
	}, l.Bands)
	require.Zero(t, l.Wait.Count())
	require.Zero(t, l.Run.Count())

	e.Run()
	l = q.Look()
	var wait, run hist.Durations
	for _, d := range []int{50, 43, 36, 39, 42} {
		wait.Add(time.Duration(d) * time.Millisecond)
	}
	run.AddN(3*time.Millisecond, 5)
	require.Equal(t, wait, l.Wait)
	require.Equal(t, run, l.Run)
	for i, b := range l.Bands {
		require.Zero(t, b.Len, i)
		require.Zero(t, b.OldestAge, i)
	}
}

// TestLookWhileTurn: what a job has taken and not begun still waits.
func TestLookWhileTurn(t *testing.T) {
	now := time.Duration(0)
	e := new(Inline)
	var q *Queue
	var seen []int
	q = New(Config{Executor: e, Clock: func() time.Duration { return now },
		Handler: handlerFunc(func(*Item) Outcome {
			now++
			l := q.Look()
			seen = append(seen, l.Bands[BandNormal].Len)
			require.Equal(t, q.Len(), l.Bands[BandNormal].Len)
			require.Equal(t, q.OldestAge(), l.Bands[BandNormal].OldestAge)
			return Handled
		})})
	require.NoError(t, q.EnqueueBatch(messages(1, 127, 40, nil)))
	e.Run()
	require.Len(t, seen, 40)
	for i, n := range seen {
		require.Equal(t, 39-i, n)
	}
	l := q.Look()
	require.EqualValues(t, 40, l.Wait.Count())
	require.EqualValues(t, 40, l.Run.Count())
}

// TestLookIsBounded: behind the oldest items that are looked at, an age is an upper bound.
func TestLookIsBounded(t *testing.T) {
	now := time.Duration(0)
	q := New(Config{Executor: new(Inline), Handler: new(seqs), Clock: func() time.Duration { return now }})
	for i := range lookMax + 10 {
		now = time.Duration(i)
		require.NoError(t, q.EnqueueBatch(messages(uint64(i+1), 127, 1, nil)))
	}
	require.NoError(t, q.EnqueueBatch(messages(1, 255, 1, nil)))
	l := q.Look()
	require.Equal(t, now, l.Bands[BandNormal].OldestAge)
	require.Equal(t, now-lookMax, l.Bands[BandHigh].OldestAge, "at most: it is 0")
}

// TestLookInPlace: of turns in place one in sixteen is measured.
func TestLookInPlace(t *testing.T) {
	s := newPlaceStage(Config{Width: 1})
	for range 2 * timedPer {
		s.receive(t, 1, 127, 3)
	}
	l := s.q.Look()
	require.EqualValues(t, 2*timedPer*3, l.Wait.Counts[0])
	require.EqualValues(t, 2*3, l.Run.Count())
	s.over(t)
}
