//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/cloudwego/netpoll"
	"github.com/stretchr/testify/require"
)

// A job that holds up its worker holds up no goroutine of netpoll: what the program itself
// does with netpoll goes on, whichever poller it is on.
func TestJobsHoldUpNoPoller(t *testing.T) {
	const workers = 3
	s := openStack(t, Config{Workers: workers})
	release, held := make(chan struct{}), make(chan struct{}, workers)
	defer close(release)
	for i := range workers {
		w := s.Worker(i)
		require.NoError(t, w.Post(eventloop.TaskFunc(func() {
			w.(eventloop.Asider).RunAside(func() {
				held <- struct{}{}
				<-release
			})
		})))
	}
	for range workers {
		<-held
	}
	for range 2 * workers { // netpoll gives each listener to the next poller
		l, err := netpoll.CreateListener("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		loop, err := netpoll.NewEventLoop(func(_ context.Context, c netpoll.Connection) error {
			b, err := c.Reader().ReadBinary(c.Reader().Len())
			if err == nil {
				_, _ = c.Writer().WriteBinary(b)
				err = c.Writer().Flush()
			}
			return err
		})
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- loop.Serve(l) }()
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = c.Write([]byte("ping"))
		require.NoError(t, err)
		b := make([]byte, 4)
		_, err = c.Read(b)
		require.NoError(t, err, "a poller of netpoll is held up")
		require.NoError(t, c.Close())
		require.NoError(t, loop.Shutdown(context.Background()))
		require.NoError(t, <-served)
	}
}

// A worker that runs jobs aside has a goroutine of its own, which ends when there is
// nothing to do; netpoll waits for the worker then, and it does all that it did before.
func TestCarrierComesAndGoes(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	for range 5 {
		ran := make(chan bool, 1)
		require.NoError(t, w.Post(eventloop.TaskFunc(func() {
			ok, _ := w.RunAside(func() {})
			ran <- ok && !w.hosted.Load()
		})))
		require.True(t, <-ran, "the job did not run, or on the goroutine of netpoll")
		for i := 0; !w.hosted.Load(); i++ {
			require.Less(t, i, 1<<28, "netpoll does not wait for the worker again")
			runtime.Gosched()
		}
		done := make(chan struct{})
		require.NoError(t, w.Post(eventloop.TaskFunc(func() { close(done) })))
		<-done
		require.True(t, w.hosted.Load(), "a task needs no carrier")
	}
}

// The watch takes the worker from a carrier that was in the same job at two looks, not from one that
// is in another job, and ends when no job has run for some looks.
func TestWatchOfJobs(t *testing.T) {
	w := handWorker(t, eventloop.SystemClock())
	a := &w.aside
	a.on.Store(true) // the test looks, not the timer
	a.timer = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() { a.timer.Stop() })
	look := func() (taken bool) {
		seq := a.seq.Load()
		w.checkAside()
		return a.seq.Load() != seq
	}
	require.False(t, look())
	var carried atomic.Int32
	for _, job := range []func(){
		func() { require.False(t, look(), "seen for the first time") },
		func() {
			require.False(t, look())
			require.True(t, look(), "seen again")
			require.False(t, look(), "taken already")
		},
	} {
		ran := make(chan struct{})
		require.NoError(t, w.Post(eventloop.TaskFunc(func() {
			w.RunAside(func() { defer carried.Add(1); job() })
			close(ran)
		})))
		accept(t, w) // netpoll's goroutine leaves the job to another one
		<-ran
		for i := 0; !w.hosted.Load() || int(a.seq.Load())%2 != 0; i++ {
			require.Less(t, i, 1<<28)
			runtime.Gosched()
		}
	}
	for i := 0; carried.Load() < 2; i++ {
		require.Less(t, i, 1<<28)
		runtime.Gosched()
	}
	for i := range asideQuiet {
		require.True(t, a.on.Load(), "look %d", i)
		look()
	}
	require.False(t, a.on.Load())
}
