package workload

import (
	"errors"
	"sync/atomic"
	"time"
)

// After the cut, requests without an answer are lost when none of them was answered
// for quietFor, or faultsFor after the cut; quicker if every connection that they are
// on refuses new requests in deadProbes looks in a row, probeEvery apart. lateFor is
// for those that were sent after the cut when others are lost already.
const (
	quietFor   = 750 * time.Millisecond
	lateFor    = 250 * time.Millisecond
	faultsFor  = 15 * time.Second
	probeEvery = 50 * time.Millisecond
	deadProbes = 3
)

// What became of a request.
const (
	waiting byte = iota
	refused
	replied
)

// faultLoad keeps windows full with requests that have numbers: a slot is used once,
// so that a second answer to it is seen.
type faultLoad struct {
	c       Client
	s       Scenario
	payload []byte
	epoch   time.Time
	lanes   []faultLane
	shards  *shards
	cut     func() (int, error)
	stopped atomic.Bool
	// left is how many requests that were sent before the end of the cut have no
	// answer, drained when that became 0, in nanoseconds since epoch.
	left    atomic.Int64
	drained atomic.Int64
}

// faultLane is one connection, guarded by its shard.
type faultLane struct {
	state []byte
	sent  []int64
	// open counts the requests that wait for an answer; mark is the first request
	// that was sent after the cut, 0 before it.
	open, mark int
	duplicated int64
}

func newFaults(c Client, s Scenario) *faultLoad {
	return &faultLoad{c: c, s: s, payload: newPayload(s.Size), epoch: time.Now(),
		lanes: make([]faultLane, s.Connections), shards: newShards(), cut: cutAll}
}

func (l *faultLoad) connect() error { return l.c.Connect(l.s.Connections, l.answered) }

func (l *faultLoad) start() {
	for range l.s.Window {
		for i := range l.lanes {
			_ = l.send(i)
		}
	}
}

// send sends the next request of conn. One that is refused is not waited for.
func (l *faultLoad) send(conn int) error {
	n, h := &l.lanes[conn], l.shards.of(conn)
	h.mu.Lock()
	slot := len(n.state)
	n.state = append(n.state, waiting)
	n.sent = append(n.sent, int64(time.Since(l.epoch)))
	n.open++
	h.mu.Unlock()
	err := l.c.Send(conn, slot, l.payload)
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		if n.state[slot] == waiting {
			n.state[slot] = refused
			n.open--
			l.settle(slot < n.mark)
		}
	}
	return err
}

func (l *faultLoad) answered(conn, slot int) {
	n, h := &l.lanes[conn], l.shards.of(conn)
	now := int64(time.Since(l.epoch))
	h.mu.Lock()
	first := n.state[slot] == waiting
	if first {
		n.state[slot] = replied
		n.open--
		h.record(now - n.sent[slot])
		l.settle(slot < n.mark)
	} else if n.state[slot] == replied {
		n.duplicated++
	}
	h.mu.Unlock()
	if first && !l.stopped.Load() {
		_ = l.send(conn) // a refusal ends this part of the window
	}
}

// settle is called when a request is not waited for any more.
func (l *faultLoad) settle(before bool) {
	if before && l.left.Add(-1) == 0 {
		l.drained.Store(int64(time.Since(l.epoch)))
	}
}

func (l *faultLoad) stop() { l.stopped.Store(true) }

// measure measures full load for d, then cuts all connections and sees what becomes
// of the requests. It can be called once.
func (l *faultLoad) measure(d time.Duration) (a answer, err error) {
	if a.Before, err = begin(); err != nil {
		return a, err
	}
	l.shards.reset()
	began := time.Now()
	time.Sleep(d)
	for limit := time.Now().Add(starvation); l.shards.count() == 0 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	msgs, h := l.shards.sum()
	a.Msgs, a.Seconds = msgs, time.Since(began).Seconds()
	a.latencies(h)
	at := time.Since(l.epoch)
	n, err := l.cut()
	if err != nil {
		return a, err
	}
	if n == 0 {
		return a, errors.New("there was no connection to cut")
	}
	l.left.Store(1) // until all are counted
	for i := range l.lanes {
		h := l.shards.of(i)
		h.mu.Lock()
		l.lanes[i].mark = len(l.lanes[i].state)
		l.left.Add(int64(l.lanes[i].open))
		h.mu.Unlock()
	}
	l.settle(true)
	// The load goes on until all is answered that was sent before.
	l.await(quietFor, l.left.Load)
	l.stopped.Store(true)
	// What came later is answered, or lost.
	left, quiet := l.left.Load(), quietFor
	if left > 0 {
		quiet = lateFor
	}
	l.await(quiet, func() int64 { return l.open() - left })
	a.Lost = l.open()
	if a.Usage, err = use(false); err != nil {
		return a, err
	}
	a.Total = l.shards.count()
	for i := range l.lanes {
		h := l.shards.of(i)
		h.mu.Lock()
		a.Duplicated += l.lanes[i].duplicated
		h.mu.Unlock()
	}
	a.Drain = -1
	if t := l.drained.Load(); t > 0 && a.Lost == 0 {
		a.Drain = float64(time.Duration(t)-at) / float64(time.Millisecond)
	}
	return a, nil
}

// open is how many requests have no answer.
func (l *faultLoad) open() (n int64) {
	for i := range l.lanes {
		h := l.shards.of(i)
		h.mu.Lock()
		n += int64(l.lanes[i].open)
		h.mu.Unlock()
	}
	return n
}

// await returns when what left counts is 0 or will not become less.
func (l *faultLoad) await(quiet time.Duration, left func() int64) {
	began := time.Now()
	progress, probe, looks := began, began, 0
	for last := left(); last > 0 && looks < deadProbes && time.Since(began) < faultsFor &&
		time.Since(progress) < quiet; {
		time.Sleep(time.Millisecond)
		if n := left(); n != last {
			last, progress, looks = n, time.Now(), 0
		} else if time.Since(probe) >= probeEvery {
			probe = time.Now()
			looks++
			if !l.dead() {
				looks = 0
			}
		}
	}
}

// dead sends a request over each connection that has some without an answer, and
// says whether all were refused.
func (l *faultLoad) dead() bool {
	all := true
	for i := range l.lanes {
		h := l.shards.of(i)
		h.mu.Lock()
		waits := l.lanes[i].open > 0
		h.mu.Unlock()
		if waits && l.send(i) == nil {
			all = false
		}
	}
	return all
}
