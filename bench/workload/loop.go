package workload

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencyMax bounds what is recorded, in nanoseconds: longer ones count as this.
const latencyMax = int64(time.Minute)

// loop keeps every connection's window full: each answer is followed by the next
// request.
type loop struct {
	c       Client
	s       Scenario
	payload []byte
	epoch   time.Time
	lanes   []lane
	stopped atomic.Bool
	failed  atomic.Pointer[error]
}

// lane is one connection. Its answers come one at a time; mu is for those who look.
type lane struct {
	mu   sync.Mutex
	n    int64
	hist *hdrhistogram.Histogram
	sent []int64 // when each slot was sent, in nanoseconds since epoch
	_    [64]byte
}

func newLoop(c Client, s Scenario) (*loop, error) {
	l := &loop{c: c, s: s, payload: make([]byte, s.Size), epoch: time.Now(), lanes: make([]lane, s.Connections)}
	for i := range l.payload {
		l.payload[i] = byte(i * 7)
	}
	for i := range l.lanes {
		l.lanes[i].sent = make([]int64, s.Window)
		if s.Window > 0 {
			l.lanes[i].hist = hdrhistogram.New(100, latencyMax, 3)
		}
	}
	if err := c.Connect(s.Connections, l.answered); err != nil {
		return nil, err
	}
	return l, nil
}

// start fills the windows.
func (l *loop) start() {
	for slot := range l.s.Window {
		for i := range l.lanes {
			n := &l.lanes[i]
			n.mu.Lock()
			n.sent[slot] = int64(time.Since(l.epoch))
			n.mu.Unlock()
			l.send(i, slot)
		}
	}
}

func (l *loop) send(conn, slot int) {
	if err := l.c.Send(conn, slot, l.payload); err != nil && !l.stopped.Load() {
		l.failed.CompareAndSwap(nil, &err)
	}
}

func (l *loop) answered(conn, slot int) {
	n := &l.lanes[conn]
	now := int64(time.Since(l.epoch))
	n.mu.Lock()
	n.n++
	_ = n.hist.RecordValue(min(now-n.sent[slot], latencyMax))
	n.sent[slot] = now
	n.mu.Unlock()
	if !l.stopped.Load() {
		l.send(conn, slot)
	}
}

// reset forgets what was counted.
func (l *loop) reset() {
	for i := range l.lanes {
		n := &l.lanes[i]
		n.mu.Lock()
		n.n = 0
		if n.hist != nil {
			n.hist.Reset()
		}
		n.mu.Unlock()
	}
}

// sum adds up what was counted. starved is how many connections had no answer.
func (l *loop) sum() (msgs int64, starved int, all *hdrhistogram.Histogram) {
	all = hdrhistogram.New(100, latencyMax, 3)
	for i := range l.lanes {
		n := &l.lanes[i]
		n.mu.Lock()
		msgs += n.n
		if n.n == 0 {
			starved++
		}
		if n.hist != nil {
			all.Merge(n.hist)
		}
		n.mu.Unlock()
	}
	return msgs, starved, all
}
