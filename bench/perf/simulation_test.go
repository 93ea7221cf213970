package perf

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// simSystem is a number of messengers on a simulated network, each with a session
// to a number of others, in both directions the same number.
type simSystem struct {
	net   *simnet.Network
	nodes []*simNode
	heard int // messages delivered
	limit int // an answer is sent until so many were delivered
}

type simNode struct {
	*async.Messenger
	s *simSystem
}

// Dispatch answers every message with another one.
func (n *simNode) Dispatch(m *msg.Message) bool {
	n.s.heard++
	if n.s.heard < n.s.limit {
		answer := msg.New(1, len(m.Front))
		copy(answer.Front, m.Front)
		_ = m.Connection().Send(answer)
	}
	m.Release()
	return true
}

func newSimSystem(b *testing.B, nodes int, cfg simnet.Config) *simSystem {
	s := &simSystem{net: simnet.New(1, cfg)}
	for i := range nodes {
		name := entity.OSD(int64(i))
		h := s.net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand})
		require.NoError(b, err)
		n := &simNode{m, s}
		m.SetDefaultPolicy(msg.LosslessPeer())
		m.AddDispatcherTail(n)
		require.NoError(b, m.Bind(netip.AddrPortFrom(h.Addr(), 6800)))
		require.NoError(b, m.Start())
		s.nodes = append(s.nodes, n)
	}
	return s
}

// send has every node send some messages on each of its own sessions, which are with
// the nodes behind it, one node after the other, and runs until all have arrived.
func (s *simSystem) send(b *testing.B, out int, depth int, pause time.Duration) {
	before := s.heard
	for i, n := range s.nodes {
		require.NoError(b, s.net.Run(pause))
		for k := range out {
			// Steps of different lengths, so that no two nodes call each other.
			peer := s.nodes[(i+1+k*37)%len(s.nodes)]
			for range depth {
				m := msg.New(1, 64)
				clear(m.Front)
				require.NoError(b, n.SendTo(m, entity.TypeOSD, peer.Addrs()))
			}
		}
	}
	want := before + len(s.nodes)*out*depth
	require.NoError(b, s.net.RunUntil(func() bool { return s.heard >= want }, time.Hour))
}

// BenchmarkSimulationDeliveries measures how many messages a second of real time
// are delivered between 1000 messengers with 10 sessions each, of which half was
// begun by the other side, while so many messages go back and forth on each session.
// Run it with -cpu 1: a simulation is one goroutine.
func BenchmarkSimulationDeliveries(b *testing.B) {
	for _, smooth := range []bool{false, true} {
		for _, depth := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("smooth=%v/inflight=%d", smooth, depth), func(b *testing.B) {
				deliveries(b, simnet.Config{Smooth: smooth}, depth)
			})
		}
	}
}

func deliveries(b *testing.B, cfg simnet.Config, depth int) {
	s := newSimSystem(b, 1000, cfg)
	s.send(b, 5, 1, 0)
	s.limit = math.MaxInt
	s.send(b, 5, depth, 0)
	begin, events, virtual := s.heard, 0, s.net.Now()
	b.ResetTimer()
	require.NoError(b, s.net.RunUntil(func() bool {
		events++
		return s.heard-begin >= b.N
	}, time.Hour))
	b.StopTimer()
	n := float64(s.heard - begin)
	b.ReportMetric(n/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(events)/n, "events/delivery")
	b.ReportMetric((s.net.Now()-virtual).Seconds()/b.Elapsed().Seconds(), "virtual-s/s")
	b.ReportMetric(0, "ns/op")
}

// heapBytes is what is reachable.
func heapBytes() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkSimulationMemory measures what 10 000 live sessions take, both ends of
// which are in the same process: 2000 messengers with 5 sessions that they began
// and 5 that others did. A session is a Connection at each end, and the simulated
// socket between them.
func BenchmarkSimulationMemory(b *testing.B) {
	const nodes, out = 2000, 5
	for range b.N {
		before := heapBytes()
		s := newSimSystem(b, nodes, simnet.Config{})
		empty := heapBytes()
		// Not all at once: what a burst of handshakes takes for a moment does not count.
		s.send(b, out, 1, time.Millisecond)
		require.NoError(b, s.net.Run(time.Second)) // acknowledgements
		full := heapBytes()
		live := 0
		for _, n := range s.nodes {
			live += n.Stats().Connections
		}
		require.Equal(b, 2*nodes*out, live)
		b.ReportMetric((empty-before)/nodes/1024, "KiB/messenger")
		b.ReportMetric((full-empty)/(nodes*out)/1024, "KiB/session")
		b.ReportMetric((full-empty)/(2*nodes*out)/1024, "KiB/end")
		runtime.KeepAlive(s)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSimulationSwarm measures seeds of the swarm, see asynctest.RunSwarm.
func BenchmarkSimulationSwarm(b *testing.B) {
	delivered := 0
	for i := range b.N {
		r := asynctest.RunSwarm(uint64(i), asynctest.SwarmConfig{})
		require.Empty(b, r.Violations, "seed %d", i)
		delivered += r.Delivered
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "seeds/s")
	b.ReportMetric(float64(delivered)/float64(b.N), "deliveries/seed")
}
