package workload

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// openWindow bounds the requests in flight on a connection of an open loop. What is
// due beyond it waits in the client, and its latency counts from when it was due.
const openWindow = 4096

// drainFor is how long an open loop waits for the answers to what was due in the
// measurement. Those that do not come count with the time until then.
const drainFor = 2 * time.Second

// headStart is how long before its beginning a measurement is announced.
const headStart = 5 * time.Millisecond

// openLoad sends at a rate, over its connections in turn: message k goes over
// connection k modulo their number.
type openLoad struct {
	c       Client
	s       Scenario
	rate    float64
	payload []byte
	epoch   time.Time
	pacer   *pacer
	lanes   []openLane
	shards  *shards
	// from and to are what is measured: messages that are due then.
	from, to atomic.Int64
	stopped  atomic.Bool
	failed   firstError
}

// openLane is one connection, guarded by its shard. Its messages have numbers from 0.
type openLane struct {
	due     int64   // messages below it are due
	next    int64   // messages below it were sent
	slots   []int64 // the message in flight in each slot, -1 for none
	free    []int
	arrived int64 // answers that came while it was measured
}

func newOpen(c Client, o *order) *openLoad {
	l := &openLoad{
		c: c, s: o.Scenario, rate: o.Rate, payload: newPayload(o.Scenario.Size), epoch: time.Now(),
		lanes: make([]openLane, o.Scenario.Connections), shards: newShards(),
	}
	for i := range l.lanes {
		n := &l.lanes[i]
		for slot := range o.Scenario.Window {
			n.slots = append(n.slots, -1)
			n.free = append(n.free, o.Scenario.Window-1-slot)
		}
	}
	return l
}

func (l *openLoad) connect() error { return l.c.Connect(l.s.Connections, l.answered) }

func (l *openLoad) start() {
	l.epoch = time.Now()
	l.pacer = newPacer(l.rate, l.epoch)
	l.pacer.start(l.tick)
}

// at is when message seq of a connection is due.
func (l *openLoad) at(conn int, seq int64) int64 {
	return int64(l.pacer.at(seq*int64(len(l.lanes)) + int64(conn)))
}

// tick is called when message k is due.
func (l *openLoad) tick(k int64) {
	conn := int(k % int64(len(l.lanes)))
	h := l.shards.of(conn)
	h.mu.Lock()
	l.lanes[conn].due = k/int64(len(l.lanes)) + 1
	slot := l.lanes[conn].take()
	h.mu.Unlock()
	l.send(conn, slot)
}

// take returns a slot for the next message, -1 if none is due or no slot is free.
func (n *openLane) take() int {
	if n.next == n.due || len(n.free) == 0 {
		return -1
	}
	slot := n.free[len(n.free)-1]
	n.free = n.free[:len(n.free)-1]
	n.slots[slot] = n.next
	n.next++
	return slot
}

func (l *openLoad) send(conn, slot int) {
	if slot < 0 || l.stopped.Load() {
		return
	}
	if err := l.c.Send(conn, slot, l.payload); err != nil && !l.stopped.Load() {
		l.failed.set(err)
	}
}

func (l *openLoad) answered(conn, slot int) {
	n, h := &l.lanes[conn], l.shards.of(conn)
	now := int64(time.Since(l.epoch))
	from, to := l.from.Load(), l.to.Load()
	h.mu.Lock()
	if seq := n.slots[slot]; seq >= 0 {
		if at := l.at(conn, seq); from <= at && at < to {
			h.record(now - at)
		}
		if from <= now && now < to {
			n.arrived++
		}
		n.slots[slot] = -1
		n.free = append(n.free, slot)
	}
	slot = n.take()
	h.mu.Unlock()
	l.send(conn, slot)
}

func (l *openLoad) measure(d time.Duration) (a answer, err error) {
	l.to.Store(0)
	for i := range l.lanes {
		h := l.shards.of(i)
		h.mu.Lock()
		l.lanes[i].arrived = 0
		h.mu.Unlock()
	}
	l.shards.reset()
	// It begins a little later, so that nothing due in it has been answered yet.
	from := time.Since(l.epoch) + headStart
	l.from.Store(int64(from))
	l.to.Store(int64(from + d))
	time.Sleep(from - time.Since(l.epoch))
	if a.Before, err = begin(); err != nil {
		return a, err
	}
	time.Sleep(from + d - time.Since(l.epoch))
	if a.Usage, err = use(false); err != nil {
		return a, err
	}
	due := l.pacer.first(from+d) - l.pacer.first(from)
	for limit := time.Now().Add(drainFor); l.shards.count() < due && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	if err := l.failed.get(); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	h := l.latencies()
	for i := range l.lanes {
		g := l.shards.of(i)
		g.mu.Lock()
		a.Msgs += l.lanes[i].arrived
		g.mu.Unlock()
	}
	a.Seconds = d.Seconds()
	a.Result.latencies(h)
	return a, nil
}

// latencies returns those of all messages that were due in the measurement. Those
// without an answer have what they have by now.
func (l *openLoad) latencies() *hdrhistogram.Histogram {
	all := newHistogram()
	now, from, to := int64(time.Since(l.epoch)), l.from.Load(), l.to.Load()
	late := func(conn int, seq int64) bool {
		at := l.at(conn, seq)
		if from <= at && at < to {
			_ = all.RecordValue(min(now-at, latencyMax))
		}
		return at < to
	}
	for i := range l.shards {
		h := &l.shards[i]
		h.mu.Lock()
		all.Merge(h.hist)
		for conn := i; conn < len(l.lanes); conn += shardCount {
			n := &l.lanes[conn]
			for _, seq := range n.slots {
				if seq >= 0 {
					late(conn, seq)
				}
			}
			for seq := n.next; late(conn, seq); seq++ {
			}
		}
		h.mu.Unlock()
	}
	return all
}

func (l *openLoad) stop() {
	l.stopped.Store(true)
	l.pacer.stop()
}
