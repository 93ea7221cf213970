//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// Benchmarks of whole messengers over loopback. Each compares with a floor, in
// alternating rounds of the same run: the figure is the ratio of the medians.

const (
	benchConns  = 16
	benchWindow = 64
	benchRounds = 7
	benchRound  = 700 * time.Millisecond
)

// wireLen is the length of a MESSAGE frame with only a front segment.
func wireLen(front int) int { return 32 + 41 + 4 + front + 13 }

func BenchmarkRequestReply(b *testing.B) {
	for _, bc := range []struct {
		name   string
		fast   bool
		policy func() (msg.Policy, msg.Policy)
		size   int
	}{
		{"fast/lossy/64B", true, lossyPair, 64},
		{"fast/lossless/64B", true, losslessPair, 64},
		{"queue/lossless/64B", false, losslessPair, 64},
		{"fast/lossless/4KiB", true, losslessPair, 4 << 10},
	} {
		b.Run(bc.name, func(b *testing.B) {
			server, client := bc.policy()
			e := newEchoPair(b, server, client, bc.fast, bc.size)
			n := newNetEcho(b, wireLen(bc.size))
			var ours, floor, ratios, oursCPU, floorCPU, oursCalls, floorCalls []float64
			b.ReportAllocs()
			for range b.N {
				for range benchRounds {
					o, oc, on := perMsg(&e.replies, func() float64 { return e.run(benchRound) })
					f, fc, fn := perMsg(&n.replies, func() float64 { return n.run(benchRound) })
					oursCPU, floorCPU = append(oursCPU, oc), append(floorCPU, fc)
					oursCalls, floorCalls = append(oursCalls, on), append(floorCalls, fn)
					ours, floor, ratios = append(ours, o), append(floor, f), append(ratios, o/f)
				}
			}
			b.ReportMetric(median(ours), "msgs/s")
			b.ReportMetric(median(floor), "floor-msgs/s")
			b.ReportMetric(median(ours)/median(floor), "ratio")
			b.ReportMetric(slices.Min(ratios), "ratio-min")
			b.ReportMetric(slices.Max(ratios), "ratio-max")
			b.ReportMetric(median(oursCPU), "cpu-ns/reply")
			b.ReportMetric(median(floorCPU), "floor-cpu-ns/reply")
			b.ReportMetric(median(oursCalls), "io-calls/reply")
			b.ReportMetric(median(floorCalls), "floor-io-calls/reply")
			b.ReportMetric(e.allocsPerMsg(benchRound), "allocs/msg")
			b.ReportMetric(0, "allocs/op")
			b.ReportMetric(0, "B/op")
		})
	}
}

// perMsg runs f and returns its rate, and per reply, both ends together: the CPU
// nanoseconds, user and system, and the system calls that read or write.
func perMsg(replies *atomic.Int64, f func() float64) (rate, cpu, calls float64) {
	from, c, n := replies.Load(), cpuTime(), ioCalls()
	rate = f()
	got := float64(replies.Load() - from)
	return rate, float64(cpuTime()-c) / got, float64(ioCalls()-n) / got
}

// ioCalls is how many reads and writes this process has made.
func ioCalls() (n int) {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var k int
		if _, err := fmt.Sscanf(line, "syscr: %d", &k); err == nil {
			n += k
		}
		if _, err := fmt.Sscanf(line, "syscw: %d", &k); err == nil {
			n += k
		}
	}
	return n
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func lossyPair() (msg.Policy, msg.Policy)    { return msg.StatelessServer(), msg.LossyClient() }
func losslessPair() (msg.Policy, msg.Policy) { return msg.StatefulServer(), msg.LosslessClient() }

func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}

// echoPair is a server that sends every message back and clients that keep a
// window of requests in flight.
type echoPair struct {
	ms      []*async.Messenger
	conns   []msg.Connection
	size    int
	window  int
	replies atomic.Int64
	running atomic.Bool
	out     sync.WaitGroup // windows in flight
}

type echoServer struct{}

func (s echoServer) echo(m *msg.Message) {
	m.ReleaseAfterSend()
	_ = m.Connection().Send(m)
}
func (s echoServer) Dispatch(m *msg.Message) bool { s.echo(m); return true }

// fastEcho has all its messages by fast dispatch; others have no such method.
type fastEcho struct{ echoServer }

func (s fastEcho) CanFastDispatch(*msg.Message) bool { return true }
func (s fastEcho) FastDispatch(m *msg.Message)       { s.echo(m) }

func (s echoServer) dispatcher(fast bool) msg.Dispatcher {
	if fast {
		return fastEcho{s}
	}
	return s
}

type echoClient struct{ e *echoPair }

func (c echoClient) reply(m *msg.Message) {
	conn := m.Connection()
	c.e.replies.Add(1)
	m.Release()
	if !c.e.running.Load() {
		c.e.out.Done()
		return
	}
	c.e.send(conn)
}
func (c echoClient) Dispatch(m *msg.Message) bool { c.reply(m); return true }

// fastEchoClient is to echoClient what fastEcho is to echoServer.
type fastEchoClient struct{ echoClient }

func (c fastEchoClient) CanFastDispatch(*msg.Message) bool { return true }
func (c fastEchoClient) FastDispatch(m *msg.Message)       { c.reply(m) }

func (c echoClient) dispatcher(fast bool) msg.Dispatcher {
	if fast {
		return fastEchoClient{c}
	}
	return c
}

func (e *echoPair) send(c msg.Connection) {
	if err := c.Send(msg.New(1000, e.size)); err != nil {
		panic(err)
	}
}

func newEchoPair(b testing.TB, server, client msg.Policy, fast bool, size int) *echoPair {
	return newEchoPairOf(b, server, client, fast, size, benchConns, benchWindow)
}

func newEchoPairOf(
	b testing.TB, server, client msg.Policy, fast bool, size, conns, window int, change ...func(*async.Config),
) *echoPair {
	config := func(name entity.Name) (cfg async.Config) {
		cfg.Name = name
		for _, f := range change {
			f(&cfg)
		}
		return cfg
	}
	srv, err := async.New(config(entity.OSD(0)))
	require.NoError(b, err)
	srv.SetDefaultPolicy(server)
	srv.AddDispatcherTail(echoServer{}.dispatcher(fast))
	require.NoError(b, srv.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(b, srv.Start())
	e := &echoPair{size: size, window: window, ms: []*async.Messenger{srv}}
	b.Cleanup(func() { require.NoError(b, srv.Shutdown(context.Background())) })
	// A client that has its session registered has one connection with a server.
	for i := range conns {
		cl, err := async.New(config(entity.Client(int64(i))))
		require.NoError(b, err)
		cl.SetDefaultPolicy(client)
		cl.AddDispatcherTail(echoClient{e}.dispatcher(fast))
		require.NoError(b, cl.Start())
		c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(b, err)
		e.conns, e.ms = append(e.conns, c), append(e.ms, cl)
		b.Cleanup(func() { require.NoError(b, cl.Shutdown(context.Background())) })
	}
	return e
}

// run keeps the windows full for d and returns replies a second.
func (e *echoPair) run(d time.Duration) float64 {
	e.running.Store(true)
	e.out.Add(len(e.conns) * e.window)
	start, from := time.Now(), e.replies.Load()
	for _, c := range e.conns {
		for range e.window {
			e.send(c)
		}
	}
	time.Sleep(d)
	rate := float64(e.replies.Load()-from) / time.Since(start).Seconds()
	e.running.Store(false)
	e.out.Wait()
	return rate
}

func (e *echoPair) allocsPerMsg(d time.Duration) float64 {
	from := e.replies.Load()
	allocs := testing.AllocsPerRun(1, func() { e.run(d) })
	// AllocsPerRun warms up with one more run. Each reply is two messages.
	return 2 * allocs / float64(e.replies.Load()-from) / 2
}

// netEcho is the floor: plain net.Conns, one goroutine each, buffered reads and
// one write per batch, frames of the same length, no parsing.
type netEcho struct {
	conns   []net.Conn
	frame   int
	replies atomic.Int64
	running atomic.Bool
}

func newNetEcho(b testing.TB, frame int) *netEcho {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	n := &netEcho{frame: frame}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.echo(c, nil)
		}
	}()
	for range benchConns {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		n.conns = append(n.conns, c)
	}
	b.Cleanup(func() {
		l.Close()
		for _, c := range n.conns {
			c.Close()
		}
	})
	return n
}

// echo sends back every frame, all that one read brought with one write.
func (n *netEcho) echo(c net.Conn, onFrames func(k int) (sendBack, done bool)) {
	r := bufio.NewReaderSize(c, 64<<10)
	out := make([]byte, 0, 64<<10)
	for {
		if _, err := r.Peek(n.frame); err != nil {
			return
		}
		out = out[:0]
		k := 0
		for r.Buffered() >= n.frame && len(out)+n.frame <= cap(out) {
			out = out[:len(out)+n.frame]
			if _, err := io.ReadFull(r, out[len(out)-n.frame:]); err != nil {
				return
			}
			k++
		}
		if onFrames != nil {
			back, done := onFrames(k)
			if done {
				return
			}
			if !back {
				continue
			}
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func (n *netEcho) run(d time.Duration) float64 {
	n.running.Store(true)
	var wg sync.WaitGroup
	start, from := time.Now(), n.replies.Load()
	for _, c := range n.conns {
		wg.Go(func() {
			if _, err := c.Write(make([]byte, n.frame*benchWindow)); err != nil {
				return
			}
			left := benchWindow
			n.echo(c, func(k int) (bool, bool) {
				n.replies.Add(int64(k))
				if n.running.Load() {
					return true, false
				}
				left -= k // take what is under way off the connection
				return false, left == 0
			})
		})
	}
	time.Sleep(d)
	rate := float64(n.replies.Load()-from) / time.Since(start).Seconds()
	n.running.Store(false)
	wg.Wait()
	return rate
}
