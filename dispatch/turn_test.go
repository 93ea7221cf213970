package dispatch

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// turnQueue is a queue whose turns are long already, with some messages of two
// connections, 1, 2 ... of the first and 101, 102 ... of the second. on is called
// with each sequence number.
func turnQueue(t *testing.T, each int, on func(q *Queue, seq int)) (*Queue, *Inline, *seqs, []*fakeConn) {
	t.Helper()
	e, h, c := new(Inline), new(seqs), newConns(2)
	var q *Queue
	warm := true
	q = New(Config{Executor: e, Handler: handlerFunc(func(it *Item) Outcome {
		if !warm {
			h.Handle(it)
			if it.Kind == KindMessage && on != nil {
				on(q, int(it.Msg.Seq()))
			}
		}
		return Handled
	})})
	for range 3 * turnMax {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c[0], 127, 1, nil, 0))))
	}
	e.Run()
	warm = false
	for i := range each {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c[0], 127, uint64(1+i), nil, 0))))
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c[1], 127, uint64(101+i), nil, 0))))
	}
	return q, e, h, c
}

func count(from, n int) (out []any) {
	for i := range n {
		out = append(out, from+i)
	}
	return out
}

func cat(parts ...[]any) (out []any) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// Connections take turns of up to turnMax messages.
func TestTurns(t *testing.T) {
	_, e, h, _ := turnQueue(t, turnMax+2, nil)
	e.Run()
	require.Equal(t, cat(count(1, turnMax), count(101, turnMax), count(1+turnMax, 2), count(101+turnMax, 2)), h.got)
}

// They begin with one message and get longer while callbacks are fast, and shorter
// when they are slow.
func TestTurnsFitTheCallbacks(t *testing.T) {
	now, slow := time.Second, time.Duration(0)
	var turns []int // how many in a row
	last := uint64(0)
	e := new(Inline)
	clock := func() time.Duration { return now }
	q := New(Config{Executor: e, Clock: clock, Handler: handlerFunc(func(it *Item) Outcome {
		now += slow
		if it.Class != last {
			turns, last = append(turns, 0), it.Class
		}
		turns[len(turns)-1]++
		return Handled
	})})
	fill := func() {
		turns, last = nil, 0
		for range 100 {
			for _, c := range newConns(2) {
				require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, 1, nil, 0))))
			}
		}
		e.Run()
	}
	fill()
	require.Equal(t, []int{1, 2, 4, 8, 16, 16, 16, 16}, turns[:8])
	slow = time.Millisecond
	fill()
	require.Equal(t, []int{16, 8, 4, 2, 1, 1, 1}, turns[:7])
	slow = 10 * time.Microsecond
	fill()
	require.Equal(t, []int{1, 2, 4, 4, 4}, turns[:5])
}

// What comes before the rest of a turn ends it: a higher priority, of any
// connection, and events. The rest goes on afterwards, in its order.
func TestTurnIsPreempted(t *testing.T) {
	for what, it := range map[string]func(c []*fakeConn) Item{
		"own":   func(c []*fakeConn) Item { return MessageItem(newMessage(c[0], 128, 999, nil, 0)) },
		"other": func(c []*fakeConn) Item { return MessageItem(newMessage(c[1], 255, 999, nil, 0)) },
		"event": func(c []*fakeConn) Item { return EventItem(KindReset, c[0], nil) },
	} {
		t.Run(what, func(t *testing.T) {
			var c []*fakeConn
			_, e, h, conns := turnQueue(t, 4, func(q *Queue, seq int) {
				if seq == 2 {
					require.Equal(t, 6, q.Len(), "what is left of the turn is still queued")
					require.NoError(t, q.Enqueue(it(c)))
					require.Equal(t, 7, q.Len())
				}
			})
			c = conns
			e.Run()
			between := []any{999}
			if what == "event" {
				between = []any{KindReset}
			}
			// The connection's turn is over; the other one's comes first.
			require.Equal(t, cat(count(1, 2), between, count(101, 4), count(3, 2)), h.got)
		})
	}
}

// The same priority, or a lower one, does not end it.
func TestTurnIsNotPreempted(t *testing.T) {
	var c []*fakeConn
	_, e, h, conns := turnQueue(t, 4, func(q *Queue, seq int) {
		if seq == 2 {
			require.NoError(t, q.Enqueue(MessageItem(newMessage(c[1], 127, 105, nil, 0))))
			require.NoError(t, q.Enqueue(MessageItem(newMessage(c[0], 64, 999, nil, 0))))
		}
	})
	c = conns
	e.Run()
	require.Equal(t, cat(count(1, 4), count(101, 5), []any{999}), h.got)
}

// What is discarded in the middle of a turn is not dispatched.
func TestTurnIsDiscarded(t *testing.T) {
	for _, stop := range []bool{false, true} {
		_, e, h, _ := turnQueue(t, 4, func(q *Queue, seq int) {
			switch {
			case seq == 2 && stop:
				require.ErrorIs(t, q.Stop(context.Background()), ErrInDispatch)
			case seq == 2:
				require.Equal(t, 2, q.Discard(1, false))
			}
		})
		e.Run()
		if stop {
			require.Equal(t, count(1, 2), h.got)
		} else {
			require.Equal(t, cat(count(1, 2), count(101, 4)), h.got)
		}
	}
}

// A goroutine that ends in the middle of a turn leaves the rest of it to another.
func TestTurnSurvivesGoexit(t *testing.T) {
	got := make(chan uint64, 100)
	warm := make(chan bool)
	q := New(Config{Executor: goExecutor{}, OnPanic: func(msg.Connection, any, []byte) {},
		Handler: handlerFunc(func(it *Item) Outcome {
			switch it.Msg.Seq() {
			case 0:
				<-warm
			case 2:
				runtime.Goexit()
			}
			got <- it.Msg.Seq()
			return Handled
		})})
	c := newConns(1)[0]
	for range 8 {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, 0, nil, 0))))
	}
	for seq := range uint64(5) {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, seq+1, nil, 0))))
	}
	close(warm)
	for range 8 {
		require.Zero(t, <-got)
	}
	for _, want := range []uint64{1, 3, 4, 5} {
		require.Equal(t, want, <-got)
	}
	require.NoError(t, q.Stop(context.Background()))
	require.EqualValues(t, 1, q.Stats().Panics)
	require.EqualValues(t, 13, q.Stats().Dispatched)
}

// The age counts from what is left of a turn.
func TestTurnAge(t *testing.T) {
	now := time.Second
	q, step, stepped := steppedQueue(&now)
	c := newConns(1)[0]
	for i := range 3 { // a turn of one, and one of two
		require.NoError(t, q.Enqueue(MessageItem(newMessage(c, 127, uint64(i+1), nil, 0))))
	}
	<-stepped
	step <- struct{}{}
	<-stepped
	now += time.Second
	require.Equal(t, 1, q.Len())
	require.Equal(t, time.Second, q.OldestAge())
	require.Len(t, q.Stuck(0), 1)
	step <- struct{}{}
	<-stepped
	require.Zero(t, q.Len())
	require.Zero(t, q.OldestAge())
	require.Empty(t, q.Stuck(time.Nanosecond), "another callback of the same turn")
	step <- struct{}{}
	require.NoError(t, q.Stop(context.Background()))
}
