package session

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// benchGate lets everything in.
type benchGate struct{}

func (benchGate) Admit(int64) bool { return true }
func (benchGate) Abandon(int64)    {}

// link is two ready sessions without a shell around them.
func link(tb testing.TB, lossy bool) (a, b *Session) {
	tb.Helper()
	w := &world{t: tb}
	p := pairings[4]
	if lossy {
		p = pairings[0]
	}
	na, nb := w.node(1, p.client), w.node(2, p.server)
	c := na.connectTo(nb)
	w.runFor(time.Second)
	if !c.isReady() || len(nb.open()) != 1 {
		tb.Fatal("not ready")
	}
	a, b = c.s, nb.open()[0].s
	a.gate, b.gate = benchGate{}, benchGate{}
	return a, b
}

func benchmarkMessages(b *testing.B, lossy bool, batch int) {
	src, dst := link(b, lossy)
	msg.PoisonBuffers = false
	defer func() { msg.PoisonBuffers = true }()
	var buf []byte
	drain := func(s *Session) (n int) {
		for o, ok := s.NextOutput(); ok; o, ok = s.NextOutput() {
			switch o.Kind {
			case OutDeliver:
				n++
				o.Msg.Release()
			case OutFinish:
				(*msg.Recycler)(nil).Sent(o.Msg)
			case OutFault:
				b.Fatal(o.Err)
			}
		}
		return n
	}
	pump := func(from, to *Session) (n int) {
		batch := new(frame.Batch)
		from.Fill(0, batch, 1<<20)
		buf = batch.AppendTo(buf[:0])
		from.Written(0, batch.Len())
		to.HandleBytes(0, buf)
		drain(from)
		return drain(to)
	}
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		for range batch {
			m := msg.New(1, 64)
			m.Priority = 127
			src.Send(0, m)
		}
		if n := pump(src, dst); n != batch {
			b.Fatalf("%d of %d messages arrived", n, batch)
		}
		pump(dst, src)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/msg")
}

func BenchmarkMessage64Lossless(b *testing.B)      { benchmarkMessages(b, false, 1) }
func BenchmarkMessage64Lossy(b *testing.B)         { benchmarkMessages(b, true, 1) }
func BenchmarkMessage64LosslessBatch(b *testing.B) { benchmarkMessages(b, false, 32) }
func BenchmarkMessage64LossyBatch(b *testing.B)    { benchmarkMessages(b, true, 32) }

// BenchmarkSendFill is the sending half alone.
func BenchmarkSendFill(b *testing.B) {
	src, _ := link(b, true)
	m := &msg.Message{Type: 1, Priority: 127, Front: make([]byte, 64)}
	batch := new(frame.Batch)
	b.ReportAllocs()
	for b.Loop() {
		src.Send(0, m)
		src.Fill(0, batch, 1<<20)
		src.Written(0, batch.Len())
		batch.Reset()
		for _, ok := src.NextOutput(); ok; _, ok = src.NextOutput() {
		}
	}
}

// BenchmarkHandleDeliver is the receiving half alone.
func BenchmarkHandleDeliver(b *testing.B) {
	_, dst := link(b, true)
	msg.PoisonBuffers = false
	defer func() { msg.PoisonBuffers = true }()
	var enc frame.Encoder
	var h frame.Header
	var buf []byte
	front := make([]byte, 64)
	batch := new(frame.Batch)
	b.ReportAllocs()
	for b.Loop() {
		h.Seq++
		enc.AppendMessage(batch, &h, front, nil, nil)
		buf = batch.AppendTo(buf[:0])
		batch.Reset()
		dst.HandleBytes(0, buf)
		for o, ok := dst.NextOutput(); ok; o, ok = dst.NextOutput() {
			if o.Kind == OutDeliver {
				o.Msg.Release()
			}
		}
	}
}

// TestSessionSize: an idle session is at most a kilobyte, all in.
func TestSessionSize(t *testing.T) {
	t.Logf("Session %d bytes, of these Decoder %d, Encoder %d, Policy %d", unsafe.Sizeof(Session{}),
		unsafe.Sizeof(frame.Decoder{}), unsafe.Sizeof(frame.Encoder{}), unsafe.Sizeof(msg.Policy{}))
	// Above 512 bytes the runtime has a word of its own in front of an object.
	require.LessOrEqual(t, unsafe.Sizeof(Session{})+8, uintptr(1024))
	const n = 500
	var before, after runtime.MemStats
	keep := make([]*Session, 0, 2*n)
	w := &world{t: t}
	na := w.node(1, msg.LosslessPeer())
	for range n {
		keep = append(keep, nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		s := NewConnector(&na.cfg, na, benchGate{}, nil, nil,
			Peer{Type: entity.TypeOSD, Addrs: entity.AddrVec{labPeer}, Policy: msg.LosslessPeer()})
		l := &lab{t: t, w: w, n: na, c: &simConn{n: na, s: s, done: map[uint64]error{}}, s: s}
		s.Start(0)
		l.c.settle()
		l.drive(StateReady)
		m := message(1, 127, 0, 0, 0)
		l.c.end = nil
		l.c.sendMsg(m)
		l.settle()
		l.msg(1, 1)
		keep[i] = s
	}
	w.wires, w.log = nil, nil
	na.conns = nil
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes per idle ready session", per)
	require.Less(t, per, int64(2048))
	runtime.KeepAlive(keep)
}
