package workload

import (
	"fmt"
	"sync/atomic"
	"time"
)

// load is what a client does in a kind of scenario.
type load interface {
	// connect opens the connections.
	connect() error
	// start begins to send.
	start()
	// measure returns what happened within d from now.
	measure(d time.Duration) (answer, error)
	// stop ends sending.
	stop()
}

func newLoad(c Client, o *order) (load, error) {
	if o.Scenario.idle() {
		return &idleLoad{c, o.Scenario}, nil
	}
	switch o.Scenario.Kind {
	case Open:
		return newOpen(c, o), nil
	case Priority:
		return newPriority(c, o)
	case FanOut:
		return newFanOut(c, o.Scenario), nil
	case Faults:
		return newFaults(c, o.Scenario), nil
	default:
		return newClosed(c, o.Scenario), nil
	}
}

// idleLoad sends nothing.
type idleLoad struct {
	c Client
	s Scenario
}

func (l *idleLoad) connect() error { return l.c.Connect(l.s.Connections, func(int, int) {}) }
func (l *idleLoad) start()         {}
func (l *idleLoad) stop()          {}

func (l *idleLoad) measure(time.Duration) (a answer, err error) {
	a.Usage, err = use(true)
	return a, err
}

// closed keeps every connection's window full: each answer is followed by the next
// request.
type closed struct {
	c       Client
	s       Scenario
	payload []byte
	epoch   time.Time
	lanes   []lane
	shards  *shards
	turns   *turns // whose turn it is, if not all can have a request in flight
	stopped atomic.Bool
	failed  firstError
}

// lane is one connection, guarded by its shard.
type lane struct {
	n    int64
	sent []int64 // when each slot was sent, in nanoseconds since epoch
}

func newClosed(c Client, s Scenario) *closed {
	l := &closed{c: c, s: s, payload: newPayload(s.Size), epoch: time.Now(), lanes: make([]lane, s.Connections),
		shards: newShards()}
	sent := make([]int64, s.Connections*s.Window)
	for i := range l.lanes {
		l.lanes[i].sent = sent[i*s.Window:][:s.Window:s.Window]
	}
	if s.InFlight > 0 {
		l.turns = newTurns(s.Connections)
	}
	return l
}

func newPayload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func (l *closed) connect() error { return l.c.Connect(l.s.Connections, l.answered) }

// start fills the windows.
func (l *closed) start() {
	if l.turns != nil {
		for range l.s.InFlight {
			l.begin(l.turns.next(), 0)
		}
		return
	}
	for slot := range l.s.Window {
		for i := range l.lanes {
			l.begin(i, slot)
		}
	}
}

func (l *closed) begin(conn, slot int) {
	h := l.shards.of(conn)
	h.mu.Lock()
	l.lanes[conn].sent[slot] = int64(time.Since(l.epoch))
	h.mu.Unlock()
	l.send(conn, slot)
}

func (l *closed) send(conn, slot int) {
	if err := l.c.Send(conn, slot, l.payload); err != nil && !l.stopped.Load() {
		l.failed.set(err)
	}
}

func (l *closed) answered(conn, slot int) {
	n, h := &l.lanes[conn], l.shards.of(conn)
	now := int64(time.Since(l.epoch))
	h.mu.Lock()
	n.n++
	h.record(now - n.sent[slot])
	n.sent[slot] = now
	h.mu.Unlock()
	switch {
	case l.stopped.Load():
	case l.turns != nil:
		l.begin(l.turns.pass(conn), 0)
	default:
		l.send(conn, slot)
	}
}

// reset forgets what was counted.
func (l *closed) reset() {
	for i := range l.lanes {
		h := l.shards.of(i)
		h.mu.Lock()
		l.lanes[i].n = 0
		h.mu.Unlock()
	}
	l.shards.reset()
}

// starved is how many connections had no answer though each should have.
func (l *closed) starved() (n int) {
	if l.turns != nil {
		return 0
	}
	for i := range l.lanes {
		h := l.shards.of(i)
		h.mu.Lock()
		if l.lanes[i].n == 0 {
			n++
		}
		h.mu.Unlock()
	}
	return n
}

func (l *closed) stop() { l.stopped.Store(true) }

// starvation is how long a busy machine may leave a connection without its turn:
// only one that stays without an answer for longer is broken.
const starvation = 2 * time.Second

func (l *closed) measure(d time.Duration) (a answer, err error) {
	if a.Before, err = begin(); err != nil {
		return a, err
	}
	l.reset()
	began := time.Now()
	time.Sleep(d)
	starved := l.starved()
	for limit := time.Now().Add(max(d, starvation)); starved > 0 && time.Now().Before(limit); starved = l.starved() {
		time.Sleep(5 * time.Millisecond)
	}
	msgs, h := l.shards.sum()
	a.Seconds = time.Since(began).Seconds()
	if a.Usage, err = use(false); err != nil {
		return a, err
	}
	if err := l.failed.get(); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	if starved > 0 {
		return a, fmt.Errorf("%d of %d connections had no answer", starved, len(l.lanes))
	}
	a.Msgs = msgs
	a.latencies(h)
	return a, nil
}
