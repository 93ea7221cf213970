//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// onPollers are the epoll sets of netpoll that the workers of stacks are in.
func onPollers(t *testing.T, stacks ...eventloop.Stack) (sets []int) {
	t.Helper()
	pollers.mu.Lock()
	defer pollers.mu.Unlock()
	for _, s := range stacks {
		for _, w := range s.(*stack).workers {
			set, err := setOf(w.Fd(), pollers.marked)
			require.NoError(t, err)
			require.GreaterOrEqual(t, set, 0)
			sets = append(sets, set)
		}
	}
	return sets
}

func requireAlone(t *testing.T, stacks ...eventloop.Stack) {
	t.Helper()
	seen := map[int]bool{}
	for _, set := range onPollers(t, stacks...) {
		require.False(t, seen[set], "two workers on one poller")
		seen[set] = true
	}
}

// TestWorkersHavePollersOfTheirOwn: stacks that are opened after each other, and after
// others were closed, and whatever else uses netpoll between.
func TestWorkersHavePollersOfTheirOwn(t *testing.T) {
	var said bytes.Buffer
	open := func(workers int) eventloop.Stack {
		s, err := Open(Config{Workers: workers, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		require.NoError(t, err)
		return s
	}
	var all []eventloop.Stack
	for range 6 {
		all = append(all, open(1))
	}
	requireAlone(t, all...)
	for _, i := range []int{1, 4} {
		require.NoError(t, all[i].Close())
		passTurn() // of somebody else
		all[i] = open(1)
		requireAlone(t, all...)
	}
	require.NoError(t, all[2].Close())
	require.NoError(t, all[3].Close())
	all[2] = open(2)
	all = append(all[:3], all[4:]...)
	requireAlone(t, all...)
	all = append(all, open(3))
	requireAlone(t, all...)
	require.Empty(t, said.String())
	for _, s := range all {
		require.NoError(t, s.Close())
	}
	pollers.mu.Lock()
	defer pollers.mu.Unlock()
	for set, ws := range pollers.ring.on {
		for _, w := range ws {
			select {
			case <-w.served:
				t.Errorf("poller %d is taken by a worker that has ended", set)
			default: // of another test
			}
		}
	}
}

// TestRingOfNothing: while it is not known which pollers there are, workers are served
// wherever netpoll puts them.
func TestRingOfNothing(t *testing.T) {
	var r ring
	require.Equal(t, -1, r.free())
	r.leave(nil)
	r.reset([]int{7, 8, 9})
	r.on = map[int][]*worker{8: {nil}}
	require.Equal(t, 2, r.free(), "7 had the last turn, 8 is taken")
	r.at = 2
	require.Equal(t, 0, r.free())
	r.on = map[int][]*worker{7: {nil}, 8: {nil}, 9: {nil}}
	require.Equal(t, -1, r.free())
}

// TestOpenBesideABusyWorker: a callback that holds up the worker of another stack does not
// hold up Open.
func TestOpenBesideABusyWorker(t *testing.T) {
	busy, err := Open(Config{Workers: 1})
	require.NoError(t, err)
	began, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, busy.Worker(0).Post(eventloop.TaskFunc(func() {
		close(began)
		<-release
	})))
	<-began
	for range 3 {
		pollers.mu.Lock()
		grow := pollers.set - pollers.workers + 1 // more than there are pollers without workers
		pollers.mu.Unlock()
		s, err := Open(Config{Workers: grow})
		require.NoError(t, err)
		requireAlone(t, busy, s)
		defer func() { require.NoError(t, s.Close()) }()
	}
	close(release)
	require.NoError(t, busy.Close())
}
