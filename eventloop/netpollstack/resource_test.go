//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func openFiles(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(files)
}

// leakCycles is how many times TestOpenCloseLeaksNothing opens a stack; 2 000
// have been run by hand.
const leakCycles = 200

// Open, use under load and Close leave no descriptor and no goroutine behind.
func TestOpenCloseLeaksNothing(t *testing.T) {
	cycle := func() {
		s, err := Open(Config{Workers: 2, ReadBuffer: 4 << 10})
		require.NoError(t, err)
		accepted := make(chan struct{}, 3)
		l, err := s.Listen(loopback, eventloop.ListenConfig{}, func(sock eventloop.Socket) {
			h := newIdle()
			w := s.Pick()
			if w.Post(eventloop.TaskFunc(func() { h.t = w.Adopt(sock, h) })) != nil {
				_ = sock.Close()
			}
			accepted <- struct{}{}
		})
		require.NoError(t, err)
		for range 3 {
			w := s.Pick()
			do(t, w, func() { w.Dial(l.Addr(), eventloop.DialConfig{Timeout: time.Minute}, newIdle()) })
		}
		<-accepted
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				for s.Worker(i).Post(nop{}) == nil {
					runtime.Gosched()
				}
			})
		}
		require.NoError(t, s.Close())
		wg.Wait()
	}
	cycle() // netpoll's pollers
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range leakCycles {
		cycle()
	}
	require.Equal(t, files, openFiles(t))
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+1)
}

// Open fails cleanly when descriptors run out, whichever one it is.
func TestOpenOutOfDescriptors(t *testing.T) {
	s := openStack(t, Config{Workers: 2}) // netpoll's pollers
	before, failed := openFiles(t), 0
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	for limit := uint64(0); ; limit++ {
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: old.Max}))
		another, err := Open(Config{Workers: 3})
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
		if err == nil {
			require.NoError(t, another.Close())
			break
		}
		failed++
		require.ErrorIs(t, err, unix.EMFILE)
		require.Equal(t, before, openFiles(t))
	}
	require.Greater(t, failed, 9)
	do(t, s.Worker(0), func() {}) // still runs
}

// The budget of memory: what a connection costs here without its handler.
func TestTransportSize(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(transport{}), uintptr(144))
	require.LessOrEqual(t, unsafe.Sizeof(slot{}), uintptr(24))
}

// Reading and writing allocate nothing.
func TestEchoAllocs(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	to := workerEcho(t, s)
	ld := load{size: 64, window: 4, count: 20_000}
	workerClients(s, to, 1, ld)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	workerClients(s, to, 1, ld)
	runtime.ReadMemStats(&after)
	require.Less(t, after.Mallocs-before.Mallocs, uint64(ld.count/20))
}

// Many slices in one Write: the worker's array of iovecs is used again.
func TestWriteAllocs(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	c, _ := connect(t, s.workers[0], eventloop.SocketOptions{})
	bufs := make([][]byte, 3*iovMax/2)
	for i := range bufs {
		bufs[i] = []byte{1}
	}
	do(t, s.workers[0], func() {
		assert.Zero(t, testing.AllocsPerRun(10, func() {
			if _, err := c.t.Write(bufs); err != nil {
				panic(err)
			}
		}))
	})
}

// BenchmarkIdle reports what an idle connection with its handler costs, both
// ends in this process: heap and resident set an end.
func BenchmarkIdle(b *testing.B) {
	const conns = 4000
	s := openStack(b, Config{})
	accepted := make(chan struct{}, conns)
	l, err := s.Listen(loopback, eventloop.ListenConfig{Backlog: 4096}, func(sock eventloop.Socket) {
		w := s.Pick()
		_ = w.Post(eventloop.TaskFunc(func() {
			h := &echoServer{}
			h.t = w.Adopt(sock, h)
			accepted <- struct{}{}
		}))
	})
	require.NoError(b, err)
	usage := func() (heap, rss float64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		statm, err := os.ReadFile("/proc/self/statm")
		require.NoError(b, err)
		var size, resident int
		_, err = fmt.Sscan(string(statm), &size, &resident)
		require.NoError(b, err)
		return float64(m.HeapAlloc), float64(resident * os.Getpagesize())
	}
	heap0, rss0 := usage()
	for i := range conns {
		w := s.Worker(i % s.NumWorkers())
		do(b, w, func() { w.Dial(l.Addr(), eventloop.DialConfig{}, &echoServer{}) })
	}
	for range conns {
		<-accepted
	}
	heap1, rss1 := usage()
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((heap1-heap0)/2/conns, "heap-B/conn")
	b.ReportMetric((rss1-rss0)/2/conns, "rss-B/conn")
}
