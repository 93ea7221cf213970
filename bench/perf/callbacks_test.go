//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
	"github.com/stretchr/testify/require"
)

// BenchmarkCallbacks measures queue callbacks that take their time, beside fast dispatch on
// the same workers, with the place of callbacks measured and, in alternating rounds, on the pool.
func BenchmarkCallbacks(b *testing.B) {
	var every atomic.Int64
	for _, bc := range []struct {
		name string
		take func()
	}{
		{"nothing", func() {}},
		{"sleep20us", func() { time.Sleep(20 * time.Microsecond) }},
		{"sleep200us", func() { time.Sleep(200 * time.Microsecond) }},
		{"sleep2ms", func() { time.Sleep(2 * time.Millisecond) }},
		{"burn100us", func() { burn(100 * time.Microsecond) }},
		{"burn300us-1of100", func() {
			if every.Add(1)%100 == 0 {
				burn(300 * time.Microsecond)
			}
		}},
	} {
		for _, workers := range []int{1, 2} {
			name := bc.name + "/workers=" + string(rune('0'+workers))
			b.Run(name, func(b *testing.B) {
				places := []async.DispatchPlace{async.DispatchOnPool, async.DispatchMeasured}
				var mixes [2]*mix
				for i := range mixes {
					mixes[i] = newMix(b, workers, places[i], bc.take)
				}
				var rates [2][]float64
				var p99 [2][]float64
				var ratios []float64
				for range b.N {
					for range benchRounds {
						for i, m := range mixes {
							rate, fast := m.run(benchRound)
							rates[i], p99[i] = append(rates[i], rate), append(p99[i], fast)
						}
						ratios = append(ratios, rates[1][len(rates[1])-1]/rates[0][len(rates[0])-1])
					}
				}
				b.ReportMetric(median(rates[0]), "pool-msgs/s")
				b.ReportMetric(median(rates[1]), "msgs/s")
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(slices.Min(ratios), "ratio-min")
				b.ReportMetric(slices.Max(ratios), "ratio-max")
				b.ReportMetric(median(p99[0]), "pool-fast-p99-us")
				b.ReportMetric(median(p99[1]), "fast-p99-us")
				b.ReportMetric(slices.Max(p99[1]), "fast-p99-us-max")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func burn(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		runtime.KeepAlive(d)
	}
}

// mix is a server with connections whose messages are queued, and others whose messages are
// fast dispatched, both with answers.
type mix struct {
	queued, fast []msg.Connection
	take         func()
	running      atomic.Bool
	answers      atomic.Int64
	out          sync.WaitGroup
	mu           sync.Mutex
	took         []time.Duration // of the fast ones
	sent         map[uint64]time.Time
}

const mixFast, mixQueued, mixWindow = 4, 16, 8

type mixServer struct{ m *mix }

func (s mixServer) CanFastDispatch(m *msg.Message) bool { return m.Type == 1 }
func (s mixServer) FastDispatch(m *msg.Message)         { echoServer{}.echo(m) }
func (s mixServer) Dispatch(m *msg.Message) bool {
	s.m.take()
	echoServer{}.echo(m)
	return true
}

type mixClient struct{ m *mix }

func (c mixClient) CanFastDispatch(*msg.Message) bool { return true }
func (c mixClient) Dispatch(*msg.Message) bool        { return false }
func (c mixClient) FastDispatch(m *msg.Message) {
	x, conn, kind := c.m, m.Connection(), m.Type
	m.Release()
	if kind == 1 {
		x.mu.Lock()
		x.took = append(x.took, time.Since(x.sent[conn.ID()]))
		x.mu.Unlock()
	} else {
		x.answers.Add(1)
	}
	if !x.running.Load() {
		x.out.Done()
		return
	}
	x.send(conn, kind)
}

func (x *mix) send(c msg.Connection, kind uint16) {
	if kind == 1 {
		x.mu.Lock()
		x.sent[c.ID()] = time.Now()
		x.mu.Unlock()
	}
	if err := c.Send(msg.New(kind, 64)); err != nil {
		panic(err)
	}
}

func newMix(b *testing.B, workers int, place async.DispatchPlace, take func()) *mix {
	x := &mix{take: take, sent: map[uint64]time.Time{}}
	s, err := netpollstack.Open(netpollstack.Config{Workers: workers})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	srv, err := async.New(async.Config{Name: entity.OSD(0), Stack: s, DispatchPlace: place})
	require.NoError(b, err)
	srv.SetDefaultPolicy(msg.StatelessServer())
	srv.AddDispatcherTail(mixServer{x})
	require.NoError(b, srv.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(b, srv.Start())
	b.Cleanup(func() { require.NoError(b, srv.Shutdown(context.Background())) })
	cl, err := async.New(async.Config{Name: entity.Client(1)})
	require.NoError(b, err)
	cl.SetDefaultPolicy(msg.LossyClient())
	cl.AddDispatcherTail(mixClient{x})
	require.NoError(b, cl.Start())
	b.Cleanup(func() { require.NoError(b, cl.Shutdown(context.Background())) })
	for i := range mixFast + mixQueued {
		c, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
		require.NoError(b, err)
		if i < mixFast {
			x.fast = append(x.fast, c)
		} else {
			x.queued = append(x.queued, c)
		}
	}
	return x
}

// run returns the queued answers a second, and the 99th percentile of the fast ones in
// microseconds.
func (x *mix) run(d time.Duration) (rate, p99 float64) {
	x.took = nil
	x.running.Store(true)
	start, from := time.Now(), x.answers.Load()
	for _, c := range x.fast {
		x.out.Add(1)
		x.send(c, 1)
	}
	for _, c := range x.queued {
		for range mixWindow {
			x.out.Add(1)
			x.send(c, 2)
		}
	}
	time.Sleep(d)
	rate = float64(x.answers.Load()-from) / time.Since(start).Seconds()
	x.running.Store(false)
	x.out.Wait()
	slices.Sort(x.took)
	return rate, float64(x.took[len(x.took)*99/100].Nanoseconds()) / 1e3
}

// BenchmarkCallbackThatWaits measures for how long a callback in place waits for a message of
// another connection of the only worker.
func BenchmarkCallbackThatWaits(b *testing.B) {
	const tries = 10_000
	for range b.N {
		free := make(chan struct{}, 1)
		done := make(chan struct{}, 2)
		s, err := netpollstack.Open(netpollstack.Config{Workers: 1})
		require.NoError(b, err)
		srv, err := async.New(async.Config{Name: entity.OSD(0), Stack: s, DispatchPlace: async.DispatchOnWorker})
		require.NoError(b, err)
		srv.SetDefaultPolicy(msg.StatelessServer())
		srv.AddDispatcherTail(dispatcherFunc(func(m *msg.Message) bool {
			if m.Type == 1 {
				<-free
			} else {
				free <- struct{}{}
			}
			m.Release()
			done <- struct{}{}
			return true
		}))
		require.NoError(b, srv.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		require.NoError(b, srv.Start())
		cl, err := async.New(async.Config{Name: entity.Client(1)})
		require.NoError(b, err)
		cl.SetDefaultPolicy(msg.LossyClient())
		require.NoError(b, cl.Start())
		var conns [2]msg.Connection
		for i := range conns {
			conns[i], err = cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
			require.NoError(b, err)
		}
		var took []float64
		for range tries {
			start := time.Now()
			require.NoError(b, conns[0].Send(msg.New(1, 0)))
			require.NoError(b, conns[1].Send(msg.New(2, 0)))
			<-done
			<-done
			took = append(took, float64(time.Since(start).Nanoseconds())/1e6)
		}
		slices.Sort(took)
		b.ReportMetric(took[tries/2], "ms-median")
		b.ReportMetric(took[tries*99/100], "ms-p99")
		b.ReportMetric(took[tries-1], "ms-max")
		b.ReportMetric(float64(srv.Stats().Queue.Stayed), "stayed")
		require.NoError(b, cl.Shutdown(context.Background()))
		require.NoError(b, srv.Shutdown(context.Background()))
		require.NoError(b, s.Close())
	}
	b.ReportMetric(0, "ns/op")
}

type dispatcherFunc func(*msg.Message) bool

func (f dispatcherFunc) Dispatch(m *msg.Message) bool { return f(m) }
