package workload

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// fanLoad sends a message over the first connection, which the server sends over all of
// them, and the next one when it has come out of each.
type fanLoad struct {
	c       Client
	s       Scenario
	payload []byte
	epoch   time.Time
	now     atomic.Int64 // the slot of the message under way
	sent    atomic.Int64 // when, in nanoseconds since epoch
	left    atomic.Int64 // connections that it has not come out of
	shards  *shards
	whole   chan struct{} // until start: it has come out of all
	running atomic.Bool
	failed  firstError
}

func newFanOut(c Client, s Scenario) *fanLoad {
	return &fanLoad{c: c, s: s, payload: newPayload(s.Size), epoch: time.Now(), shards: newShards(),
		whole: make(chan struct{}, 1)}
}

const (
	// fanAgain is when a message is given up of which the server did not know all connections
	// yet, and fanPatience for how long the client goes on with that.
	fanAgain    = 200 * time.Millisecond
	fanPatience = 30 * time.Second
)

// connect returns when the server knows all connections: one message has come out of each.
func (l *fanLoad) connect() error {
	if err := l.c.Connect(l.s.Connections, l.answered); err != nil {
		return err
	}
	again := time.NewTicker(fanAgain)
	defer again.Stop()
	for end := time.Now().Add(fanPatience); time.Now().Before(end); {
		l.publish()
		select {
		case <-l.whole:
			return l.failed.get()
		case <-again.C:
		}
	}
	return errors.Join(fmt.Errorf("a message came out of %d of %d connections only",
		int64(l.s.Connections)-l.left.Load(), l.s.Connections), l.failed.get())
}

func (l *fanLoad) start() {
	l.running.Store(true)
	l.publish()
}

func (l *fanLoad) stop() { l.running.Store(false) }

// publish begins another message. It is called by who ended the last one.
func (l *fanLoad) publish() {
	l.left.Store(int64(l.s.Connections))
	l.sent.Store(int64(time.Since(l.epoch)))
	slot := l.now.Add(1)
	if err := l.c.Send(0, int(slot), l.payload); err != nil {
		l.failed.set(err)
	}
}

func (l *fanLoad) answered(conn, slot int) {
	if int64(slot) != l.now.Load() {
		return // given up
	}
	h := l.shards.of(conn)
	took := int64(time.Since(l.epoch)) - l.sent.Load()
	h.mu.Lock()
	h.record(took)
	h.mu.Unlock()
	switch {
	case l.left.Add(-1) > 0:
	case l.running.Load():
		l.publish()
	default:
		select {
		case l.whole <- struct{}{}:
		default:
		}
	}
}

func (l *fanLoad) measure(d time.Duration) (a answer, err error) {
	if a.Before, err = begin(); err != nil {
		return a, err
	}
	l.shards.reset()
	began := time.Now()
	time.Sleep(d)
	msgs, h := l.shards.sum()
	a.Seconds = time.Since(began).Seconds()
	if a.Usage, err = use(false); err != nil {
		return a, err
	}
	if err := l.failed.get(); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	a.Msgs = msgs
	a.latencies(h)
	return a, nil
}
