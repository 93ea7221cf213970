package workload

import (
	"errors"
	"fmt"
	"time"
)

// The trickle of the Priority kind: so many messages a second, of such a size, and
// so many of them in flight at most.
const (
	trickleRate   = 500
	trickleSize   = 64
	trickleWindow = 4096
)

// priorityLoad is bulk in a closed loop, and a trickle in an open one over the same
// connections.
type priorityLoad struct {
	c       Client
	bulk    *closed
	trickle *openLoad
}

func newPriority(c Client, o *order) (*priorityLoad, error) {
	s, t := o.Scenario, *o
	t.Rate = trickleRate
	t.Scenario.Size, t.Scenario.Window = trickleSize, trickleWindow
	high, ok := c.(PrioritySender)
	if s.High && !ok {
		return nil, errors.New("the client has no priorities")
	}
	l := &priorityLoad{c: c, bulk: newClosed(c, s)}
	l.trickle = newOpen(&trickleClient{c: c, high: high, use: s.High, base: s.Window}, &t)
	return l, nil
}

// trickleClient sends in slots above those of the bulk, with high priority or not.
type trickleClient struct {
	c    Client
	high PrioritySender
	use  bool
	base int
}

// Connect implements Client. The connections are the bulk's.
func (t *trickleClient) Connect(int, func(conn, slot int)) error { return nil }

// Send implements Client.
func (t *trickleClient) Send(conn, slot int, payload []byte) error {
	if t.use {
		return t.high.SendHigh(conn, t.base+slot, payload)
	}
	return t.c.Send(conn, t.base+slot, payload)
}

// Stop implements Client.
func (t *trickleClient) Stop() error { return nil }

func (l *priorityLoad) connect() error {
	base := l.bulk.s.Window
	return l.c.Connect(l.bulk.s.Connections, func(conn, slot int) {
		if slot >= base {
			l.trickle.answered(conn, slot-base)
			return
		}
		l.bulk.answered(conn, slot)
	})
}

// start fills the queues with bulk before the trickle begins.
func (l *priorityLoad) start() {
	l.bulk.start()
	l.trickle.start()
}

func (l *priorityLoad) stop() {
	l.trickle.stop()
	l.bulk.stop()
}

// measure returns what the bulk did, with the latencies of the trickle.
func (l *priorityLoad) measure(d time.Duration) (answer, error) {
	l.bulk.reset()
	began := time.Now()
	a, err := l.trickle.measure(d)
	if err != nil {
		return a, fmt.Errorf("trickle: %w", err)
	}
	a.Msgs = l.bulk.shards.count()
	a.Seconds = time.Since(began).Seconds()
	if err := l.bulk.failed.get(); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	return a, nil
}
