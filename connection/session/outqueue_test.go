package session

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// checkLevels: descending priorities, none empty, and together as long as counted.
func checkLevels(t require.TestingT, o *outQueue) {
	n := 0
	for i := range o.levels {
		l := &o.levels[i]
		require.NotZero(t, l.q.len(), "level %d is empty", i)
		if i > 0 {
			require.Less(t, l.prio, o.levels[i-1].prio)
		}
		n += l.q.len()
	}
	require.Equal(t, o.n, n)
}

// TestOutQueueStaysSmall: a level that is used up goes, and the next one takes its
// place: a queue that is emptied again and again does not grow.
func TestOutQueueStaysSmall(t *testing.T) {
	var o outQueue
	for range 1000 {
		o.push(&msg.Message{Priority: 100})
		o.push(&msg.Message{Priority: 200})
		require.EqualValues(t, 200, o.pop().Priority)
		checkLevels(t, &o)
		require.EqualValues(t, 100, o.pop().Priority)
		checkLevels(t, &o)
	}
	require.Empty(t, o.levels)
	require.LessOrEqual(t, cap(o.levels), 4)
	// What was sent is not held by the memory that is kept.
	for _, l := range o.levels[:cap(o.levels)] {
		for _, x := range l.q.items[:cap(l.q.items)] {
			require.Nil(t, x.m)
		}
	}
}

// TestOutQueueModel: the highest priority first, and in order within one.
func TestOutQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o outQueue
		var model [256][]*msg.Message
		n := 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if n == 0 || rapid.Bool().Draw(t, "push") {
				p := rapid.SampledFrom([]uint8{0, 1, 64, 127, 127, 127, 196, 255}).Draw(t, "prio")
				m := &msg.Message{Priority: p}
				o.push(m)
				model[p] = append(model[p], m)
				n++
			} else {
				p := 255
				for len(model[p]) == 0 {
					p--
				}
				require.Same(t, model[p][0], o.pop())
				model[p] = model[p][1:]
				n--
			}
			require.Equal(t, n, o.n)
			checkLevels(t, &o)
		}
	})
}

// TestFifoMovesUp: a long queue is moved to the front of its memory while it is used, and
// loses nothing of its order.
func TestFifoMovesUp(t *testing.T) {
	var f fifo
	ms := make([]msg.Message, 3000)
	for i := range ms {
		f.push(sending{m: &ms[i]})
	}
	for i := range ms {
		require.Same(t, &ms[i], f.pop().m)
		require.Equal(t, 2999-i, f.len())
		require.LessOrEqual(t, f.head, max(1024, len(f.items)/2), "it has moved up")
	}
}
