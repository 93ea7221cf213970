package live

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// looker looks at all messengers, and compares with the look before. Its methods are for the
// goroutine that looks, but for those of the timeline.
type looker struct {
	cfg *Config

	// The look before.
	at    time.Time // zero: there was none
	cpu   time.Duration
	took  time.Duration
	round uint64
	past  map[*async.Messenger]*past
	ring  ring
	all   sums

	mu     sync.Mutex
	events []event // any goroutine; the last EventsMax
	seq    uint64
	fresh  []event // of what was done, for the next state
}

// past is what a messenger was like at the look before.
type past struct {
	round uint64 // when it was seen last
	conns map[uint64]pastConn
	bands [dispatch.Bands]uint64
	fast  uint64
}

// pastConn is what a connection was like.
type pastConn struct {
	round                     uint64
	up                        bool
	named                     bool // it has said who it is, so it counts as a session; one that shakes hands does not
	sent, received            uint64
	sentBytes, receivedBytes  uint64
	faults, resumed, replayed uint32
}

// sums are over all messengers.
type sums struct {
	counts                         totalCounts
	sentBytes, receivedBytes       uint64
	bands                          [dispatch.Bands]uint64
	fast                           uint64
	queueWait, dispatch, sendToAck hist.Durations
	calls                          callSums
	streams                        streamSums
}

func newLooker(cfg *Config) *looker { return &looker{cfg: cfg} }

// begin forgets the look before: it is of who knows when.
func (l *looker) begin() {
	l.at, l.past, l.all = time.Time{}, map[*async.Messenger]*past{}, sums{}
}

// look is one look.
func (l *looker) look() *state {
	watch := startWatch()
	began := watch.began
	x := &glance{l: l, s: &state{At: began.UnixMilli()}, book: newBook(l.cfg.Messengers()), first: l.at.IsZero()}
	if !x.first {
		x.s.Every = began.Sub(l.at).Seconds()
	}
	l.round++
	l.ring.reset()
	x.s.Total.Long = []string{}
	for _, m := range x.book.messengers {
		x.messenger(m)
	}
	for m, p := range l.past {
		if p.round != l.round { // the messenger is gone
			named := uint64(0)
			for _, c := range p.conns {
				if c.named {
					named++
				}
			}
			x.events.opened(m.Name(), 0, named)
			delete(l.past, m)
		}
	}
	x.finish()
	cpu := cpuTime()
	x.s.Process = process{CPU: -1, Goroutines: runtime.NumGoroutine(), Heap: heapBytes()}
	if !x.first {
		if cpu >= 0 {
			x.s.Process.CPU = (cpu - l.cpu).Seconds() / x.s.Every
		}
		x.s.Process.Look = l.took.Seconds() / x.s.Every
	}
	l.at, l.cpu = began, cpu
	x.s.Events = l.tell(x.events.list(), x.s.At)
	l.took = watch.took()
	return x.s
}

// glance is a look that is under way.
type glance struct {
	l      *looker
	s      *state
	book   *book
	first  bool // there is none to compare with
	sums   sums
	events eventSums
	top    topSessions
	groups map[groupKey]*group
}

// per is a rate.
func (x *glance) per(now, before uint64) float64 {
	if x.first || now < before {
		return 0
	}
	return math.Round(float64(now-before)/x.s.Every*10) / 10 // a page shows no more
}

// messenger looks at one.
func (x *glance) messenger(m *async.Messenger) {
	p := x.l.past[m]
	known := p != nil
	if !known {
		p = &past{conns: map[uint64]pastConn{}}
		x.l.past[m] = p
	}
	p.round = x.l.round
	s := m.Snapshot()
	n := x.l.ring.node(m.Name(), true)
	for i, b := range s.Bands {
		x.s.Total.Bands[i] += b.Len
		n.queue[i] += b.Len
		x.sums.bands[i] += b.Enqueued
		if known {
			n.in[i] += x.per(b.Enqueued, p.bands[i])
		}
		p.bands[i] = b.Enqueued
	}
	if known {
		n.fast += x.per(s.FastDispatched, p.fast)
	}
	p.fast = s.FastDispatched
	x.count(&s)
	opened, seen := uint64(0), 0
	for _, st := range m.ConnectionStats() {
		if st.Loopback {
			continue
		}
		seen++
		was, old := p.conns[st.ID]
		now := x.connection(m, &st, was, old)
		if now.named && !was.named && !x.first {
			opened++
		}
		p.conns[st.ID] = now
	}
	closed := uint64(0)
	if len(p.conns) > seen {
		for id, c := range p.conns {
			if c.round != x.l.round {
				delete(p.conns, id)
				if c.named {
					closed++
				}
			}
		}
	}
	x.events.opened(m.Name(), opened, closed)
}

// count adds what a messenger has counted.
func (x *glance) count(s *async.Snapshot) {
	t, c := &x.s.Total, &x.sums.counts
	t.Messengers++
	t.Connections += s.Connections
	t.Handshakes += s.Handshakes
	t.Absent += s.Absent
	for _, f := range s.LongCallbacks {
		if len(t.Long) < eventsPerLook {
			t.Long = append(t.Long, s.Name.String()+": "+f.Callback+" "+f.Conn)
		}
	}
	c.Received += s.Received
	c.Sent += s.Sent
	c.Faults += s.Faults
	c.Resumed += s.Resumed
	c.Replayed += s.Replayed
	c.Resets += s.Resets + s.RemoteResets
	x.sums.fast += s.FastDispatched
	x.sums.sentBytes += s.SentBytes
	x.sums.receivedBytes += s.ReceivedBytes
	x.sums.queueWait.Merge(&s.QueueWait)
	x.sums.dispatch.Merge(&s.DispatchTime)
	x.sums.sendToAck.Merge(&s.SendToAck)
}

// connection looks at one, and returns what is to be known of it at the next look.
func (x *glance) connection(m *async.Messenger, s *connection.ConnStats, was pastConn, old bool) pastConn {
	now := pastConn{
		round: x.l.round, up: s.Up, sent: s.Sent, received: s.Received,
		sentBytes: s.SentBytes, receivedBytes: s.ReceivedBytes,
		faults: uint32(s.Faults), resumed: uint32(s.Resumed), replayed: uint32(s.Replayed),
	}
	if !old && x.first {
		was = now // of an unknown time
	}
	here, peer := m.Name(), x.book.peer(s)
	now.named = was.named || peer.Type != 0
	d := delta{
		sent: x.per(s.Sent, was.sent), received: x.per(s.Received, was.received),
		bytes:  x.per(s.SentBytes+s.ReceivedBytes, was.sentBytes+was.receivedBytes),
		faults: now.faults - was.faults, resumed: now.resumed - was.resumed, replayed: now.replayed - was.replayed,
	}
	if was.up || d.resumed > 0 {
		d.cuts = min(d.faults, max(1, d.resumed)) // the others are attempts to come back that failed
	}
	x.s.Total.Held += s.Held
	x.s.Total.HeldBytes += s.HeldBytes
	x.s.Total.Dispatching += s.Dispatching
	if s.Up {
		x.s.Total.Ready++
	}
	x.group(peer.Type, s, d)
	x.top.offer(here, peer, s, d)
	if peer.Type != 0 { // it has said who it is
		x.l.ring.connection(here, peer, s, d, x.book.names[peer])
		x.events.connection(here, peer, s, d)
	}
	return now
}

// delta is what happened to a connection since the look before: rates, and counts. Cuts are the
// faults among them that broke what was up.
type delta struct {
	sent, received, bytes           float64
	faults, cuts, resumed, replayed uint32
}

// finish makes sums and lists of what was collected.
func (x *glance) finish() {
	s, was := x.s, &x.l.all
	s.Rates = rates{
		Sent: x.per(x.sums.counts.Sent, was.counts.Sent), SentBytes: x.per(x.sums.sentBytes, was.sentBytes),
		Received:      x.per(x.sums.counts.Received, was.counts.Received),
		ReceivedBytes: x.per(x.sums.receivedBytes, was.receivedBytes),
	}
	s.Rates.Fast = x.per(x.sums.fast, was.fast)
	for i := range s.Rates.Bands {
		s.Rates.Bands[i] = x.per(x.sums.bands[i], was.bands[i])
	}
	s.Latency = latency{
		QueueWait: since(x.sums.queueWait, &was.queueWait), Dispatch: since(x.sums.dispatch, &was.dispatch),
		SendToAck: since(x.sums.sendToAck, &was.sendToAck),
	}
	s.Total.Counts = x.sums.counts
	x.calls()
	x.streams()
	x.l.all = x.sums
	s.Nodes, s.Links = x.l.ring.fold(x.l.cfg)
	s.Sessions = x.top.list()
	s.Groups = x.groupList()
}

// since are the quantiles of what a histogram has counted beyond another one.
func since(h hist.Durations, was *hist.Durations) quantiles {
	for i := range h.Counts {
		if h.Counts[i] < was.Counts[i] { // a messenger is gone
			return quantiles{}
		}
		h.Counts[i] -= was.Counts[i]
	}
	return quantiles{P50: int64(h.Quantile(0.5)), P99: int64(h.Quantile(0.99)), N: h.Count()}
}

func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}

// stopwatch tells what something has cost: the time that it took, or the processor time of the
// process meanwhile, if that is less: others had the processor then.
type stopwatch struct {
	began time.Time
	cpu   time.Duration
}

func startWatch() stopwatch { return stopwatch{time.Now(), cpuTime()} }

func (w stopwatch) took() time.Duration {
	took := time.Since(w.began)
	if used := cpuTime() - w.cpu; w.cpu >= 0 && used < took {
		return used
	}
	return took
}
