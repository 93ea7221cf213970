//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// lend lends w as soon as it sleeps.
func lend(t testing.TB, w *worker, f func()) {
	t.Helper()
	require.Eventually(t, func() bool { return w.Lend(eventloop.TaskFunc(f)) }, 10*time.Second, time.Millisecond)
}

// TestLend: what a borrower leaves to be done is done by the worker.
func TestLend(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	client, server := connect(t, w, eventloop.SocketOptions{})
	defer do(t, w, func() { client.t.Close(); server.t.Close() })

	client.flushed = make(chan struct{}, 1)
	fired, ran := make(chan struct{}), make(chan struct{})
	timer := &eventloop.Timer{}
	timer.Init(timerFunc(func() { close(fired) }))
	lend(t, w, func() {
		client.t.WantFlush()
		w.SetTimer(timer, w.Now()+time.Millisecond)
		_ = w.Post(eventloop.TaskFunc(func() { close(ran) }))
	})
	<-client.flushed
	<-ran
	<-fired

	// Written at once; the peer's worker is the same one and wakes up for it.
	n := 0
	lend(t, w, func() { n, _ = server.t.Write([][]byte{[]byte("hello")}) })
	require.Equal(t, 5, n)

	do(t, w, func() {
		if w.Lend(eventloop.TaskFunc(func() {})) {
			t.Error("lent while awake")
		}
	})
	lend(t, w, func() {
		if w.Lend(eventloop.TaskFunc(func() {})) {
			t.Error("lent twice")
		}
	})
}

// TestLendIsExclusive: borrowers, tasks and the poller goroutine are never the
// worker at the same time, and nothing is lost when the stack is closed.
func TestLendIsExclusive(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	var count, want int // count is the worker's
	var loans, posts atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				add := eventloop.TaskFunc(func() { count++ })
				if i%4 > 0 && w.Lend(add) {
					loans.Add(1)
				} else if w.Post(add) == nil {
					posts.Add(1)
				}
			}
		})
	}
	wg.Wait()
	do(t, w, func() { want = count })
	require.EqualValues(t, want, loans.Load()+posts.Load())
	require.Equal(t, 8000, want)
	t.Logf("%d lent, %d posted", loans.Load(), posts.Load())
	require.NoError(t, s.Close())
	require.False(t, w.Lend(eventloop.TaskFunc(func() { t.Error("lent after the end") })))
}

// Each thing that a borrower may leave wakes the worker, alone.
func TestLendLeavesWork(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, w *worker, done func()){
		"WantFlush": func(t *testing.T, w *worker, done func()) { writable(t, w, told{newIdle(), done}) },
		"a failure": func(t *testing.T, w *worker, done func()) {
			w.Dial(netip.AddrPort{}, eventloop.DialConfig{}, told{newIdle(), done})
		},
		"a timer that is due": func(t *testing.T, w *worker, done func()) {
			timerAt(w, w.Now(), func(time.Duration) { done() })
		},
		"a timer": func(t *testing.T, w *worker, done func()) {
			timerAt(w, w.Now()+time.Millisecond, func(time.Duration) { done() })
		},
		"a task": func(t *testing.T, w *worker, done func()) { require.NoError(t, w.Post(eventloop.TaskFunc(done))) },
	} {
		t.Run(name, func(t *testing.T) {
			w := handWorker(t, eventloop.SystemClock())
			accept(t, w)
			require.True(t, w.asleep.Load())
			require.False(t, w.lookFor(0))
			done := false
			require.True(t, w.Lend(eventloop.TaskFunc(func() { leave(t, w, func() { done = true }) })))
			require.False(t, done, "a borrower calls no user code")
			// As netpoll does: it calls when the set is readable.
			for range 10 {
				require.True(t, w.lookFor(10*time.Second), "nobody wakes the worker")
				if accept(t, w); done {
					return
				}
			}
			t.Error("it is not done")
		})
	}
	t.Run("nothing", func(t *testing.T) {
		w := handWorker(t, eventloop.SystemClock())
		accept(t, w)
		require.True(t, w.Lend(eventloop.TaskFunc(func() {})))
		require.False(t, w.lookFor(0), "woken for nothing")
	})
}
