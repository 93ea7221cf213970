package workload

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// stallFor is how long the contestant of the self-test stalls, and stallSeen what the
// open loop must show of it at least.
const (
	stallFor  = 200 * time.Millisecond
	stallSeen = 150 * time.Millisecond
	// selfTestMax is how long a measurement of the self-test takes at most.
	selfTestMax = 4 * time.Second
)

// selfTest proves that the open loop does not omit what a stalled contestant keeps
// from being sent: one that stalls once must show it in p99. A closed loop, which
// sends nothing meanwhile, counts one slow answer among thousands.
//
// On a loaded machine the stall may begin after the measurement has ended, so what
// does not show it is tried again with more time.
func selfTest() (open, closed time.Duration, err error) {
	for d := 500 * time.Millisecond; d <= selfTestMax; d *= 2 {
		if open, closed, err = selfTestFor(d); err == nil {
			break
		}
	}
	return open, closed, err
}

func selfTestFor(d time.Duration) (open, closed time.Duration, err error) {
	s := Scenario{Connections: 4, Size: 8, Window: openWindow}
	o := order{Scenario: s, Rate: 2000}
	c := newStaller()
	if open, err = c.stalledP99(newOpen(c, &o), d); err != nil {
		return 0, 0, err
	}
	s.Window = 1
	c = newStaller()
	if closed, err = c.stalledP99(newClosed(c, s), d); err != nil {
		return 0, 0, err
	}
	if open < stallSeen {
		return open, closed, fmt.Errorf("self-test: a stall of %v shows as %v in p99 of the open loop", stallFor, open)
	}
	return open, closed, nil
}

// staller is a client that answers itself and can be made to stall.
type staller struct {
	ch    chan [2]int
	wg    sync.WaitGroup
	stall atomic.Bool
}

func newStaller() *staller { return &staller{ch: make(chan [2]int, 1<<16)} }

// Connect implements Client.
func (c *staller) Connect(_ int, answered func(conn, slot int)) error {
	c.wg.Go(func() {
		for x := range c.ch {
			if x[0] < 0 {
				return
			}
			if c.stall.CompareAndSwap(true, false) {
				time.Sleep(stallFor)
			}
			answered(x[0], x[1])
		}
	})
	return nil
}

// Send implements Client.
func (c *staller) Send(conn, slot int, _ []byte) error {
	c.ch <- [2]int{conn, slot}
	return nil
}

// Stop implements Client.
func (c *staller) Stop() error {
	c.ch <- [2]int{-1}
	c.wg.Wait()
	return nil
}

// stalledP99 is p99 of a measurement with a stall in it.
func (c *staller) stalledP99(l load, d time.Duration) (time.Duration, error) {
	if err := l.connect(); err != nil {
		return 0, err
	}
	l.start()
	t := time.AfterFunc(d/3, func() { c.stall.Store(true) })
	defer t.Stop()
	a, err := l.measure(d)
	l.stop()
	if err := c.Stop(); err != nil {
		return 0, err
	}
	return time.Duration(a.P99 * float64(time.Microsecond)), err
}
