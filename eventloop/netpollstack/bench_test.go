//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// echoServer sends everything back, once a round.
type echoServer struct {
	t    eventloop.Transport
	out  []byte
	bufs [1][]byte
}

func (s *echoServer) HandleConnected(eventloop.Transport) {}
func (s *echoServer) ReadInto() []byte                    { return nil }
func (s *echoServer) HandleEOF()                          { s.t.Close() }
func (s *echoServer) HandleClosed(error)                  {}
func (s *echoServer) HandleRead(_ int, rest []byte) {
	s.out = append(s.out, rest...)
	s.t.WantFlush()
}

func (s *echoServer) HandleFlush() {
	s.bufs[0] = s.out
	n, err := s.t.Write(s.bufs[:])
	if err != nil {
		s.t.Close()
		return
	}
	s.out = s.out[:copy(s.out, s.out[n:])]
}

// load is what a client sends: count messages of size bytes, window of them on
// their way at a time.
type load struct{ size, window, count int }

// next is how many messages may be sent now, given what was sent and received.
func (l load) next(sent, gotBytes int) int { return min(gotBytes/l.size+l.window, l.count) - sent }

type echoClient struct {
	echoServer
	load
	sent, got int
	done      func()
}

func (c *echoClient) HandleConnected(t eventloop.Transport) {
	c.t = t
	c.out = make([]byte, 0, c.size*c.window)
	c.more()
}

func (c *echoClient) HandleRead(_ int, rest []byte) {
	c.got += len(rest)
	if c.got == c.count*c.size {
		c.t.Close()
		c.done()
		return
	}
	c.more()
}

func (c *echoClient) more() {
	n := c.next(c.sent, c.got)
	if n > 0 {
		c.sent += n
		c.out = c.out[:len(c.out)+n*c.size]
		c.t.WantFlush()
	}
}

// workerEcho returns the address of an echo server on s.
func workerEcho(t testing.TB, s eventloop.Stack) netip.AddrPort {
	l, err := s.Listen(loopback, eventloop.ListenConfig{}, func(sock eventloop.Socket) {
		w := s.Pick()
		_ = w.Post(eventloop.TaskFunc(func() {
			h := &echoServer{}
			h.t = w.Adopt(sock, h)
		}))
	})
	require.NoError(t, err)
	return l.Addr()
}

func workerClients(s eventloop.Stack, to netip.AddrPort, conns int, ld load) {
	var wg sync.WaitGroup
	wg.Add(conns)
	for i := range conns {
		w := s.Worker(i % s.NumWorkers())
		_ = w.Post(eventloop.TaskFunc(func() {
			w.Dial(to, eventloop.DialConfig{}, &echoClient{load: ld, done: wg.Done})
		}))
	}
	wg.Wait()
}

// goroutineEcho is the other way: a goroutine a connection, blocking reads into
// 64 KiB, one write for each read.
func goroutineEcho(t testing.TB) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if _, err := c.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func goroutineClients(t testing.TB, to netip.AddrPort, conns int, ld load) {
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", to.String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			in, out := make([]byte, 64<<10), make([]byte, ld.size*ld.window)
			for sent, got := 0, 0; got < ld.count*ld.size; {
				if n := ld.next(sent, got); n > 0 {
					sent += n
					if _, err := c.Write(out[:n*ld.size]); err != nil {
						t.Error(err)
						return
					}
				}
				n, err := c.Read(in)
				if err != nil {
					t.Error(err)
					return
				}
				got += n
			}
		})
	}
	wg.Wait()
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(d []float64) float64 {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkEcho sends b.N messages back and forth over loopback, worker to
// worker and, in alternating passes of the same run, goroutine to goroutine.
// It reports the worker's microseconds of CPU a message (both ends), and how
// many times the throughput and how much of the CPU of the goroutines that is.
func BenchmarkEcho(b *testing.B) {
	for _, bm := range []struct {
		name  string
		conns int
		load
	}{
		{"64B/1conn/pingpong", 1, load{size: 64, window: 1}},
		{"64B/16conns/window64", 16, load{size: 64, window: 64}},
		{"64B/256conns/window64", 256, load{size: 64, window: 64}},
		{"4KiB/16conns/window16", 16, load{size: 4 << 10, window: 16}},
		{"64KiB/16conns/window4", 16, load{size: 64 << 10, window: 4}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			const passes = 5
			s := openStack(b, Config{})
			worker, goroutine := workerEcho(b, s), goroutineEcho(b)
			bm.count = max(b.N/passes/bm.conns, 1)
			messages := float64(bm.count * bm.conns)
			var rate, speedup, cost, saving []float64
			measure := func(f func()) (wall, cpu float64) {
				start, startCPU := time.Now(), cpuTime()
				f()
				return time.Since(start).Seconds(), (cpuTime() - startCPU).Seconds()
			}
			b.ResetTimer()
			for range passes {
				wall, cpu := measure(func() { workerClients(s, worker, bm.conns, bm.load) })
				otherWall, otherCPU := measure(func() { goroutineClients(b, goroutine, bm.conns, bm.load) })
				rate = append(rate, messages/wall)
				cost = append(cost, cpu*1e6/messages)
				speedup = append(speedup, otherWall/wall)
				saving = append(saving, cpu/otherCPU)
			}
			b.ReportMetric(0, "ns/op") // of both kinds together: says nothing
			b.ReportMetric(median(rate), "msg/s")
			b.ReportMetric(median(cost), "cpu-µs/msg")
			b.ReportMetric(median(speedup), "x-goroutines")
			b.ReportMetric(median(saving), "cpu/goroutines")
		})
	}
}

// BenchmarkPost measures posting from a goroutine to a worker.
func BenchmarkPost(b *testing.B) {
	b.Run("roundtrip", func(b *testing.B) {
		w := openStack(b, Config{Workers: 1}).Worker(0)
		ran := make(chan struct{}, 1)
		task := eventloop.TaskFunc(func() { ran <- struct{}{} })
		b.ReportAllocs()
		for b.Loop() {
			_ = w.Post(task)
			<-ran
		}
	})
	b.Run("stream", func(b *testing.B) {
		w := openStack(b, Config{Workers: 1}).Worker(0)
		n := 0
		task := eventloop.TaskFunc(func() { n++ })
		b.ReportAllocs()
		for b.Loop() {
			_ = w.Post(task)
		}
	})
}
