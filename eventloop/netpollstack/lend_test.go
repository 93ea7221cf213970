//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
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
