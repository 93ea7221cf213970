package simnet

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// lends asks n times, a millisecond apart, and counts the loans.
func lends(t *testing.T, net *Network, w *worker, n int) (lent int) {
	for range n {
		require.NoError(t, net.Run(time.Millisecond))
		if w.Lend(eventloop.TaskFunc(func() {})) {
			lent++
		}
	}
	return lent
}

// TestAsleep: the seed says whether a worker sleeps, and the trace shows it.
func TestAsleep(t *testing.T) {
	run := func(seed uint64, asleep int) (int, uint64) {
		n := New(seed, Config{Asleep: asleep})
		return lends(t, n, n.AddHost("a", HostConfig{}).workers[0], 1000), n.Hash()
	}
	for _, never := range []int{0, -1} {
		lent, hash := run(1, never)
		require.Zero(t, lent)
		require.EqualValues(t, uint64(hashSeed), hash)
	}
	lent, _ := run(1, 1)
	require.Equal(t, 1000, lent)
	lent, hash := run(1, 4)
	require.InDelta(t, 250, lent, 60)
	again, same := run(1, 4)
	require.Equal(t, lent, again)
	require.Equal(t, hash, same)
	_, other := run(2, 4)
	require.NotEqual(t, hash, other)
}

// TestAwake: when a worker cannot be asleep it is not lent.
func TestAwake(t *testing.T) {
	n := New(1, Config{Asleep: 1})
	h := n.AddHost("a", HostConfig{RoundTime: time.Second})
	w := h.workers[0]
	require.False(t, w.couldSleep(), "its first round is still to come")
	require.NoError(t, n.Run(time.Millisecond))
	require.False(t, w.couldSleep(), "a round takes a second")
	require.NoError(t, n.Run(time.Second))
	require.True(t, w.couldSleep())
	again := true
	var task eventloop.TaskFunc
	task = func() {
		if again {
			_ = w.Post(task)
		}
	}
	require.NoError(t, w.Post(task))
	require.True(t, w.couldSleep(), "what is on its way does not wake it yet")
	require.NoError(t, n.Run(2500*time.Millisecond))
	require.False(t, w.couldSleep(), "it has something to do")
	again = false
	require.NoError(t, n.Run(10*time.Second))
	require.True(t, w.couldSleep())
	h.Pause()
	require.False(t, w.couldSleep(), "paused")
	h.Resume()
	require.True(t, w.couldSleep())
	h.Crash()
	require.False(t, w.couldSleep(), "crashed")
}

// TestOnLend: what others do right before a loan; should it end the host there is none.
func TestOnLend(t *testing.T) {
	var log string
	var h *Host
	act := func() { log += "meanwhile " }
	n := New(1, Config{Asleep: 1, OnLend: func(of *Host) {
		require.Same(t, h, of)
		require.False(t, of.workers[0].Lend(eventloop.TaskFunc(func() { t.Error("lent twice") })))
		act()
	}})
	h = n.AddHost("a", HostConfig{})
	w := h.workers[0]
	require.NoError(t, n.Run(time.Millisecond))
	require.True(t, w.Lend(eventloop.TaskFunc(func() { log += "lent" })))
	require.Equal(t, "meanwhile lent", log)
	act = h.Kill
	require.False(t, w.Lend(eventloop.TaskFunc(func() { t.Error("on a dead host") })))
	h = h.Restart()
	require.NoError(t, n.Run(time.Millisecond))
	act = func() {}
	require.True(t, h.workers[0].Lend(eventloop.TaskFunc(h.Crash)))
	require.NoError(t, n.Run(time.Second))
}

// TestLentPanics: nobody goes on with a worker that is not what it should be, even where
// the panic is recovered below.
func TestLentPanics(t *testing.T) {
	n := New(1, Config{Asleep: 1})
	w := n.AddHost("a", HostConfig{}).workers[0]
	require.NoError(t, n.Run(time.Millisecond))
	require.Panics(t, func() { w.Lend(eventloop.TaskFunc(func() { panic("broken invariant") })) })
	require.ErrorContains(t, n.Run(time.Second), "broken invariant")
	require.ErrorContains(t, n.Err(), "worker 0 of a")
}
