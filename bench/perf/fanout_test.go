//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
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
	"github.com/stretchr/testify/require"
)

const (
	fanConns  = 2000
	fanSize   = 4 << 10
	fanRound  = 25 // messages to each connection
	fanRounds = 7
)

// BenchmarkFanOut sends one message of 4 KiB to each of 2 000 connections, and the next one
// when all have it, by Broadcast and by a loop of Send. The floor is a goroutine and a
// channel for each of as many net.Conns, and one that reads; where sessions are lossless
// there is another that acknowledges each message, as these do. Both ends are in this process.
func BenchmarkFanOut(b *testing.B) {
	for _, bc := range []struct {
		name     string
		policy   func() (msg.Policy, msg.Policy)
		fast     bool
		lossless bool
	}{
		{"lossy/fast", lossyPair, true, false},
		{"lossy/queue", lossyPair, false, false},
		{"lossless/fast", losslessPair, true, true},
		{"lossless/queue", losslessPair, false, true},
	} {
		b.Run(bc.name, func(b *testing.B) {
			server, client := bc.policy()
			e := newFan(b, server, client, bc.fast)
			ways := []*fanWay{{name: "broadcast", run: e.broadcast}, {name: "send", run: e.sendEach},
				{name: "floor", run: newNetFan(b, false).send}}
			if bc.lossless {
				ways = append(ways, &fanWay{name: "ack-floor", run: newNetFan(b, true).send})
			}
			for range b.N {
				for range fanRounds {
					for _, w := range ways {
						w.round()
					}
				}
			}
			for _, w := range ways {
				b.ReportMetric(median(w.cpu), w.name+"-cpu-ns")
				b.ReportMetric(median(w.took)/1e6, w.name+"-ms")
			}
			for _, w := range ways[:2] {
				for _, floor := range ways[2:] {
					var ratios []float64
					for i := range w.cpu {
						ratios = append(ratios, w.cpu[i]/floor.cpu[i])
					}
					b.ReportMetric(median(ratios), w.name+"/"+floor.name)
					b.ReportMetric(slices.Min(ratios), w.name+"/"+floor.name+"-min")
					b.ReportMetric(slices.Max(ratios), w.name+"/"+floor.name+"-max")
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(0, "allocs/op")
			b.ReportMetric(0, "B/op")
		})
	}
}

// fanWay is one way to send a message to all, with what rounds of it took: CPU nanoseconds
// for each connection, and nanoseconds until all had it.
type fanWay struct {
	name      string
	run       func()
	cpu, took []float64
}

func (w *fanWay) round() {
	runtime.GC()
	c, t := cpuTime(), time.Now()
	for range fanRound {
		w.run()
	}
	w.cpu = append(w.cpu, float64(cpuTime()-c)/fanConns/fanRound)
	w.took = append(w.took, float64(time.Since(t))/fanRound)
}

// fan is a server with many clients, which count what they receive.
type fan struct {
	srv     *async.Messenger
	conns   []msg.Connection // the server's
	payload []byte
	got     counter
}

// counter has the sender wait for all receivers.
type counter struct {
	left atomic.Int64
	all  chan struct{}
}

func (c *counter) expect(n int) { c.left.Store(int64(n)) }
func (c *counter) one() {
	if c.left.Add(-1) == 0 {
		c.all <- struct{}{}
	}
}

type fanClient struct {
	got  *counter
	fast bool
}

func (c fanClient) Dispatch(m *msg.Message) bool {
	m.Release()
	c.got.one()
	return true
}
func (c fanClient) CanFastDispatch(*msg.Message) bool { return c.fast }
func (c fanClient) FastDispatch(m *msg.Message)       { c.Dispatch(m) }

func newFan(b testing.TB, server, client msg.Policy, fast bool) *fan {
	e := &fan{payload: make([]byte, fanSize), got: counter{all: make(chan struct{}, 1)}}
	srv, err := async.New(async.Config{Name: entity.OSD(0), ListenBacklog: 4096})
	require.NoError(b, err)
	e.srv = srv
	srv.SetDefaultPolicy(server)
	require.NoError(b, srv.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(b, srv.Start())
	b.Cleanup(func() { require.NoError(b, srv.Shutdown(context.Background())) })
	for i := range fanConns {
		cl, err := async.New(async.Config{Name: entity.Client(int64(i + 1))})
		require.NoError(b, err)
		cl.SetDefaultPolicy(client)
		cl.AddDispatcherTail(fanClient{&e.got, fast})
		require.NoError(b, cl.Start())
		_, err = cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, cl.Shutdown(context.Background())) })
	}
	for end := time.Now().Add(time.Minute); len(e.conns) < fanConns; time.Sleep(time.Millisecond) {
		require.True(b, time.Now().Before(end), "connected")
		e.conns = e.conns[:0]
		for c := range srv.Connections() {
			if c.IsConnected() {
				e.conns = append(e.conns, c)
			}
		}
	}
	return e
}

func (e *fan) broadcast() {
	e.got.expect(fanConns)
	if refused := e.srv.Broadcast(e.conns, &msg.Message{Type: 1000, Data: e.payload}); refused != nil {
		panic(fmt.Sprint(refused))
	}
	<-e.got.all
}

func (e *fan) sendEach() {
	e.got.expect(fanConns)
	for _, c := range e.conns {
		m := msg.New(1000, 0)
		m.Data = e.payload
		if err := c.Send(m); err != nil {
			panic(err)
		}
	}
	<-e.got.all
}

// netFan is the floor: frames of a length and a payload.
type netFan struct {
	out   []chan []byte
	frame []byte
	acks  bool
	got   counter
}

// ackLen is the length of an ACK's frame.
const ackLen = 32 + 8 + 4

func newNetFan(b testing.TB, acks bool) *netFan {
	n := &netFan{acks: acks, frame: make([]byte, 4+wireLen(fanSize)), got: counter{all: make(chan struct{}, 1)}}
	binary.LittleEndian.PutUint32(n.frame, uint32(wireLen(fanSize)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	var all sync.WaitGroup
	var conns []net.Conn
	for range fanConns {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		s, err := l.Accept()
		require.NoError(b, err)
		conns = append(conns, c, s)
		out := make(chan []byte, 16)
		n.out = append(n.out, out)
		all.Go(func() {
			for p := range out {
				if _, err := s.Write(p); err != nil {
					return
				}
			}
		})
		all.Go(func() { n.read(c) })
		if acks {
			all.Go(func() {
				ack := make([]byte, ackLen)
				for err := error(nil); err == nil; {
					_, err = io.ReadFull(s, ack)
				}
			})
		}
	}
	b.Cleanup(func() {
		for _, out := range n.out {
			close(out)
		}
		for _, c := range conns {
			c.Close()
		}
		all.Wait()
	})
	return n
}

// read takes a frame with one read, if it is there as a whole.
func (n *netFan) read(c net.Conn) {
	buf := make([]byte, len(n.frame))
	for {
		k, err := io.ReadAtLeast(c, buf, 4)
		if err != nil {
			return
		}
		if rest := int(binary.LittleEndian.Uint32(buf)) + 4 - k; rest > 0 {
			if _, err := io.ReadFull(c, buf[k:][:rest]); err != nil {
				return
			}
		}
		if n.acks {
			if _, err := c.Write(buf[:ackLen]); err != nil {
				return
			}
		}
		n.got.one()
	}
}

func (n *netFan) send() {
	n.got.expect(fanConns)
	for _, out := range n.out {
		out <- n.frame
	}
	<-n.got.all
}
