//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// handWorker is a worker that netpoll does not know: the test calls Accept. It has run
// its first round.
func handWorker(t testing.TB, clock eventloop.Clock) *worker {
	t.Helper()
	w, err := newWorker(&stack{cfg: Config{BusyPoll: -1}.withDefaults(), clock: clock}, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = w.Post(eventloop.TaskFunc(func() { w.stopping = true })) // the test may have done so
		for range 10 {
			select {
			case <-w.ended:
				return
			default:
				accept(t, w)
			}
		}
		t.Error("the worker has not ended")
	})
	accept(t, w)
	return w
}

func accept(t testing.TB, w *worker) {
	t.Helper()
	c, err := w.Accept()
	require.Nil(t, c)
	require.NoError(t, err)
}

// edge is an eventfd in w's set that is reported once for each write.
type edge struct {
	t  testing.TB
	fd int
	f  func()
}

func newEdge(t testing.TB, w *worker, f func()) *edge {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	require.NoError(t, err)
	e := &edge{t, fd, f}
	require.NoError(t, w.poll.control(unix.EPOLL_CTL_ADD, fd, w.poll.insert(e), unix.EPOLLIN|unix.EPOLLET))
	return e
}

func (e *edge) handleEvents(uint32) { e.f() }
func (e *edge) closeDescriptor()    { unix.Close(e.fd) }

func (e *edge) trigger() {
	e.t.Helper()
	_, err := unix.Write(e.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	require.NoError(e.t, err)
}

// What epoll has reported once and will not report again is not forgotten when the
// handler of another event ends the coroutine.
func TestGoexitForgetsNoEvent(t *testing.T) {
	w := handWorker(t, eventloop.SystemClock())
	var got []int
	var all []*edge
	for i := range 5 {
		all = append(all, newEdge(t, w, func() {
			got = append(got, i)
			if i%2 == 1 {
				runtime.Goexit()
			}
		}))
	}
	for round := range 3 {
		for _, e := range all {
			e.trigger()
		}
		got = nil
		accept(t, w)
		require.Equal(t, []int{0, 1}, got, "round %d", round)
		require.False(t, w.asleep.Load(), "lent with its work half done")
		accept(t, w)
		require.Equal(t, []int{0, 1, 2, 3}, got, "round %d", round)
		accept(t, w)
		require.Equal(t, []int{0, 1, 2, 3, 4}, got, "round %d", round)
		require.True(t, w.asleep.Load())
	}
}

// After a Goexit the set is readable, so that netpoll calls again, and no coroutine is
// left behind.
func TestGoexitLeavesNothing(t *testing.T) {
	w := handWorker(t, eventloop.SystemClock())
	exit := newEdge(t, w, runtime.Goexit)
	before := runtime.NumGoroutine()
	for range 1000 {
		exit.trigger()
		accept(t, w)
		require.True(t, w.lookFor(0), "nobody would call Accept again")
	}
	accept(t, w)
	for i := 0; runtime.NumGoroutine() > before; i++ { // the last one is about to end
		require.Less(t, i, 1<<20, "%d goroutines, then %d", before, runtime.NumGoroutine())
		runtime.Gosched()
	}
}

// A transport whose HandleFlush did not return is not reported as writable for ever.
func TestGoexitInFlushDoesNotSpin(t *testing.T) {
	const few = 20
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	c, srv := connect(t, w, eventloop.SocketOptions{})
	flushed := make(chan struct{})
	h := &exitingFlush{idle: c, flushed: flushed}
	do(t, w, func() {
		c.t.(*transport).h = h
		srv.t.PauseRead()
		for range 1000 {
			_, _ = c.t.Write([][]byte{make([]byte, 1<<16)})
		}
		c.t.WantFlush()
		srv.t.ResumeRead()
	})
	<-flushed
	require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few)+100) // the rest is read
	require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few))
}

type exitingFlush struct {
	*idle
	flushed chan struct{}
}

func (h *exitingFlush) HandleFlush() {
	close(h.flushed)
	runtime.Goexit()
}

func TestWorklist(t *testing.T) {
	var l worklist[int]
	walk := func(n int) (got []int) {
		l.begin()
		for range n {
			v, ok := l.take()
			if !ok {
				break
			}
			got = append(got, v)
			if v < 10 {
				l.add(v + 10)
			}
		}
		return got
	}
	require.True(t, l.empty())
	require.Empty(t, walk(9))
	l.add(1)
	l.add(2)
	l.add(3)
	require.False(t, l.empty())
	require.Equal(t, []int{1, 2}, walk(2))
	require.Equal(t, []int{3}, walk(9), "goes on where it was")
	require.Equal(t, []int{11, 12, 13}, walk(9), "what was added meanwhile")
	require.Empty(t, walk(9))
	require.True(t, l.empty())
}

// BenchmarkAccept measures a round of a worker with one event.
func BenchmarkAccept(b *testing.B) {
	w := handWorker(b, eventloop.SystemClock())
	e := newEdge(b, w, func() {})
	b.ReportAllocs()
	for b.Loop() {
		e.trigger()
		_, _ = w.Accept()
	}
}

// BenchmarkGoexit measures what it costs a worker that user code ends its goroutine.
func BenchmarkGoexit(b *testing.B) {
	w := handWorker(b, eventloop.SystemClock())
	e := newEdge(b, w, runtime.Goexit)
	b.ReportAllocs()
	for b.Loop() {
		e.trigger()
		_, _ = w.Accept()
	}
}
