package simnet

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// talker is a handler that writes messages of a fixed size and counts those it gets.
type talker struct {
	w     eventloop.Worker
	t     eventloop.Transport
	out   [1][]byte
	owed  int // messages to write
	bytes int // of the message that is being received
	size  int
	got   *int
}

func (e *talker) HandleConnected(t eventloop.Transport) { e.t = t }
func (e *talker) ReadInto() []byte                      { return nil }
func (e *talker) HandleEOF()                            {}
func (e *talker) HandleClosed(err error)                { panic(err) }
func (e *talker) Run()                                  { e.owed++; e.t.WantFlush() }

func (e *talker) HandleRead(_ int, rest []byte) {
	for e.bytes += len(rest); e.bytes >= e.size; e.bytes -= e.size {
		*e.got++
	}
}

func (e *talker) HandleFlush() {
	for ; e.owed > 0; e.owed-- {
		if _, err := e.t.Write(e.out[:]); err != nil {
			panic(err)
		}
	}
}

// crowd is hosts that each have connected to the next few.
func crowd(b testing.TB, hosts, degree, size int, cfg Config) (n *Network, all []*talker, got *int) {
	n, got = New(1, cfg), new(int)
	payload := make([]byte, size)
	var machines []*Host
	for i := range hosts {
		h := n.AddHost(fmt.Sprint("host", i), HostConfig{})
		machines = append(machines, h)
		_, err := h.Listen(netip.AddrPortFrom(h.Addr(), 80), eventloop.ListenConfig{}, func(s eventloop.Socket) {
			e := &talker{w: h.Worker(0), got: got, size: size, out: [1][]byte{payload}}
			e.t = e.w.Adopt(s, e)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for i, h := range machines {
		for k := 1; k <= degree; k++ {
			e := &talker{w: h.Worker(0), got: got, size: size, out: [1][]byte{payload}}
			all = append(all, e)
			to := netip.AddrPortFrom(machines[(i+k)%hosts].Addr(), 80)
			_ = e.w.Post(eventloop.TaskFunc(func() { e.w.Dial(to, eventloop.DialConfig{}, e) }))
		}
	}
	n.Run(time.Second)
	for _, e := range all {
		if e.t == nil {
			b.Fatal("not connected")
		}
	}
	return n, all, got
}

// BenchmarkDeliveries is what the network itself costs: 1 000 hosts with 10
// connections each, messages of 100 bytes written one at a time.
func BenchmarkDeliveries(b *testing.B) {
	for _, smooth := range []bool{false, true} {
		b.Run(fmt.Sprintf("smooth=%v", smooth), func(b *testing.B) {
			n, all, got := crowd(b, 1000, 5, 100, Config{Smooth: smooth})
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; *got < b.N; {
				for range min(len(all), b.N) {
					_ = all[i%len(all)].w.Post(all[i%len(all)])
					i++
				}
				n.Run(10 * time.Millisecond)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkConnections is the memory of an idle connection, both ends.
func BenchmarkConnections(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range b.N {
		const hosts = 1000
		var sizes [2]float64
		for i, degree := range []int{1, 11} {
			before := heap()
			n, all, _ := crowd(b, hosts, degree, 100, Config{})
			sizes[i] = float64(heap() - before)
			runtime.KeepAlive(n)
			runtime.KeepAlive(all)
		}
		b.ReportMetric((sizes[1]-sizes[0])/(10*hosts), "B/conn")
		b.ReportMetric(sizes[0]/hosts, "B/host")
	}
}
