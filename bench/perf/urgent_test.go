package perf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// A message that has begun to be sent cannot be overtaken: what is urgent waits for the
// rest of it. These benchmarks measure for how long, by the size of the messages beside it.

const (
	typeBulk   = 1
	typeUrgent = 2
	// bulkQueued is how many bytes of bulk wait to be sent at any time, at the least.
	bulkQueued = 128 << 20
	urgentSize = 64
)

// bulkSizes are the sizes of the bulk messages; 0: there are none.
var bulkSizes = []int{0, 64 << 10, 1 << 20, 4 << 20, 64 << 20}

func bulkName(size int) string {
	switch {
	case size == 0:
		return "none"
	case size < 1<<20:
		return fmt.Sprintf("%dKiB", size>>10)
	}
	return fmt.Sprintf("%dMiB", size>>20)
}

// bulkServer throws bulk away and sends back what is urgent.
type bulkServer struct{}

func (bulkServer) Dispatch(m *msg.Message) bool {
	if m.Type == typeUrgent {
		m.ReleaseAfterSend()
		_ = m.Connection().Send(m)
		return true
	}
	m.Release()
	return true
}

// bulkClient keeps the queue of its connection full of bulk.
type bulkClient struct {
	conn   msg.Connection
	data   []byte
	done   chan struct{} // closed: no more
	sent   func(n int)   // told of the bytes of each bulk message that has arrived
	answer func()        // told of what is urgent
}

func (c *bulkClient) Dispatch(m *msg.Message) bool {
	c.answer()
	m.Release()
	return true
}

// MessageSent sends the next one. All have the same bytes, which nobody changes.
func (c *bulkClient) MessageSent(_ msg.Connection, _ *msg.Message, err error) {
	select {
	case <-c.done:
	default:
		if err == nil {
			c.sent(len(c.data))
			_ = c.conn.Send(&msg.Message{Type: typeBulk, Data: c.data, Notify: c})
		}
	}
}

// begin fills the queue.
func (c *bulkClient) begin(b testing.TB) {
	for queued := 0; len(c.data) > 0 && queued < bulkQueued; queued += len(c.data) {
		require.NoError(b, c.conn.Send(&msg.Message{Type: typeBulk, Data: c.data, Notify: c}))
	}
}

func (c *bulkClient) urgent(b testing.TB) {
	m := msg.New(typeUrgent, urgentSize)
	clear(m.Front)
	m.Priority = msg.PriorityHigh
	require.NoError(b, c.conn.Send(m))
}

// pauses are the times between an answer and what is urgent next: at random, for as long as
// a bulk message and a bit takes at that many bytes a second, so that it comes at any place
// within one.
func pauses(size int, bandwidth float64) func() time.Duration {
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	longest := time.Millisecond + time.Duration(float64(size)/bandwidth*1e9)
	return func() time.Duration { return time.Duration(rnd.Int64N(int64(longest))) }
}

func reportUrgent(b *testing.B, took []time.Duration, bulkBytes int64, over time.Duration) {
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[min(len(took)*99/100, len(took)-1)]), "p99-ms")
	b.ReportMetric(ms(took[len(took)-1]), "max-ms")
	b.ReportMetric(float64(bulkBytes)/1e6/over.Seconds(), "bulk-MB/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkUrgentBesideBulkSimulated is about a link of 100 MB/s (1 Gb/s) with 50 us each
// way, in virtual time: the machine has no part in it. What the sockets hold cannot be
// overtaken either: 64 KiB, or the 4 MiB to which Linux lets a send buffer grow.
func BenchmarkUrgentBesideBulkSimulated(b *testing.B) {
	for _, window := range []int{64 << 10, 4 << 20} {
		for _, size := range bulkSizes {
			b.Run(fmt.Sprintf("socket=%s/bulk=%s", bulkName(window), bulkName(size)), func(b *testing.B) {
				urgentSimulated(b, window, size)
			})
		}
	}
}

func urgentSimulated(b *testing.B, window, size int) {
	net, c, answers, bulk := newUrgentSim(b, window, size)
	from, bulkFrom := net.Now(), *bulk
	b.ResetTimer()
	took := urgentRoundTrips(b, net, c, answers, b.N)
	b.StopTimer()
	reportUrgent(b, took, *bulk-bulkFrom, net.Now()-from)
}

// linkBandwidth is that of the simulated link, in bytes a second.
const linkBandwidth = 100e6

func newUrgentSim(b testing.TB, window, size int) (net *simnet.Network, c *bulkClient, answers *int, bulk *int64) {
	link := simnet.LinkConfig{Latency: simnet.Fixed(50 * time.Microsecond), Bandwidth: linkBandwidth}
	net = simnet.New(1, simnet.Config{Smooth: true, Window: window, Link: link})
	node := func(name entity.Name, p msg.Policy, d msg.Dispatcher) *async.Messenger {
		h := net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand})
		require.NoError(b, err)
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(d)
		require.NoError(b, m.Bind(netip.AddrPortFrom(h.Addr(), 6800)))
		require.NoError(b, m.Start())
		return m
	}
	srv := node(entity.OSD(0), msg.StatefulServer(), bulkServer{})
	answers, bulk = new(int), new(int64)
	c = &bulkClient{data: make([]byte, size), done: make(chan struct{}), sent: func(n int) { *bulk += int64(n) },
		answer: func() { *answers++ }}
	cl := node(entity.OSD(1), msg.LosslessClient(), c)
	var err error
	c.conn, err = cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(b, err)
	c.begin(b)
	require.NoError(b, net.Run(3*time.Second))
	return net, c, answers, bulk
}

func urgentRoundTrips(b testing.TB, net *simnet.Network, c *bulkClient, answers *int, n int) (took []time.Duration) {
	pause := pauses(len(c.data), linkBandwidth)
	for i := range n {
		require.NoError(b, net.Run(pause()))
		at := net.Now()
		c.urgent(b)
		require.NoError(b, net.RunUntil(func() bool { return *answers > i }, time.Minute))
		took = append(took, net.Now()-at)
	}
	close(c.done)
	return took
}

// TestUrgentWaitsForOneMessage: and for what the socket holds; not for the 128 MiB that are
// queued, nor for more that is encoded: that is no more than the socket takes at a time, a
// quarter of its window, and a message.
func TestUrgentWaitsForOneMessage(t *testing.T) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 4 << 20} {
		const window = 64 << 10
		net, c, answers, _ := newUrgentSim(t, window, size)
		longest := slices.Max(urgentRoundTrips(t, net, c, answers, 200))
		ahead := size + window + window/4
		bound := time.Duration(float64(ahead)/linkBandwidth*1e9) + 300*time.Microsecond // 100 us is the link's
		require.Less(t, longest, bound, bulkName(size))
	}
}
