//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// stormer is the server of BenchmarkStorm: it sends back what it gets, by fast dispatch, and
// counts sessions that came back.
type stormer struct {
	fastEcho
	accepted atomic.Int64
	first    sync.WaitGroup // for all to be there at the beginning
}

func (s *stormer) HandleAccept(msg.Connection) {
	if s.accepted.Add(1) <= stormSize+1 {
		s.first.Done()
	}
}

// stormSize is how many connections break.
const stormSize = 1000

// ponger tells of answers.
type ponger struct{ got chan struct{} }

func (p ponger) CanFastDispatch(*msg.Message) bool { return true }
func (p ponger) FastDispatch(m *msg.Message)       { m.Release(); p.got <- struct{}{} }
func (p ponger) Dispatch(*msg.Message) bool        { return true }

var errStorm = errors.New("the storm")

// BenchmarkStorm breaks 1000 secure connections at once, and says when all of them are back
// and how another connection on the same workers fares meanwhile: pings of 64 B, one after
// the other. Both ends are in this process.
func BenchmarkStorm(b *testing.B) {
	const n = stormSize
	ctx := context.Background()
	secure := secured(b)
	start := func(name entity.Name, p msg.Policy, d msg.Dispatcher) *async.Messenger {
		cfg := async.Config{Name: name, ListenBacklog: 4096, InitialBackoff: 20 * time.Millisecond}
		secure(&cfg)
		m, err := async.New(cfg)
		require.NoError(b, err)
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(d)
		b.Cleanup(func() { require.NoError(b, m.Shutdown(ctx)) })
		return m
	}
	s := &stormer{}
	s.first.Add(n + 1)
	srv := start(entity.OSD(0), msg.StatefulServer(), s)
	require.NoError(b, srv.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(b, srv.Start())
	pong := ponger{make(chan struct{}, 1)}
	var conns []msg.Connection
	for i := range n + 1 {
		cl := start(entity.Client(int64(i+1)), msg.LosslessClient(), pong)
		require.NoError(b, cl.Start())
		c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(b, err)
		conns = append(conns, c)
	}
	back := func(k int64) bool { return s.accepted.Load() >= k }
	s.first.Wait()
	calm := conns[n]
	ping := func(h *hdrhistogram.Histogram) {
		began := time.Now()
		require.NoError(b, calm.Send(msg.New(1000, 64)))
		<-pong.got
		_ = h.RecordValue(time.Since(began).Microseconds())
	}
	var took, before, during []float64
	for b.Loop() {
		for range 5 {
			h := hdrhistogram.New(1, 10_000_000, 3)
			for range 2000 {
				ping(h)
			}
			before = append(before, float64(h.ValueAtQuantile(99))/1e3)
			h.Reset()
			came, began := s.accepted.Load(), time.Now()
			for _, c := range conns[:n] {
				c.(*connection.Conn).Fault(errStorm)
			}
			for !back(came + n) {
				ping(h)
			}
			took = append(took, time.Since(began).Seconds())
			during = append(during, float64(h.ValueAtQuantile(99))/1e3)
		}
	}
	b.ReportMetric(median(took), "s-until-all-back")
	b.ReportMetric(median(before), "p99-ms-before")
	b.ReportMetric(median(during), "p99-ms-during")
	b.ReportMetric(0, "ns/op")
	b.Logf("until all are back %.2f s, p99 before %.2f ms, during %.2f ms", took, before, during)
}
