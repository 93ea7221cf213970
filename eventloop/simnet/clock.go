package simnet

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// clock is a host's clock, which may be wrong.
type clock struct {
	n *Network
	p atomic.Pointer[clockParams] // nil: it is right
}

// clockParams tell how wrong a clock is: at the network's time since it showed
// local, from when on it gains drift nanoseconds each second; the time of day is
// off by skew besides.
type clockParams struct {
	since, local, drift, skew time.Duration
}

var _ eventloop.Clock = (*clock)(nil)

// Now is the monotonic time that the host believes in.
func (c *clock) Now() time.Duration { return c.local(c.n.Now()) }

// Wall is the time of day that the host believes in.
func (c *clock) Wall() time.Time {
	t := c.n.cfg.Epoch.Add(c.Now())
	if p := c.p.Load(); p != nil {
		t = t.Add(p.skew)
	}
	return t
}

// local is what the clock shows at a time of the network.
func (c *clock) local(at time.Duration) time.Duration {
	p := c.p.Load()
	if p == nil || p.drift == 0 && p.local == p.since {
		return at
	}
	return p.show(at)
}

func (p *clockParams) show(at time.Duration) time.Duration {
	d := at - p.since
	return p.local + d + d/time.Second*p.drift + d%time.Second*p.drift/time.Second
}

// global is the first time of the network at which the clock shows at least local.
func (c *clock) global(local time.Duration) time.Duration {
	p := c.p.Load()
	if p == nil || p.drift == 0 && p.local == p.since {
		return local
	}
	d := local - p.local
	if d <= 0 {
		return p.since
	}
	hi, lo := bits.Mul64(uint64(d), uint64(time.Second))
	rate := uint64(time.Second + p.drift)
	if hi >= rate {
		return 1<<63 - 1 // never
	}
	q, _ := bits.Div64(hi, lo, rate)
	if q > 1<<57 {
		return 1<<63 - 1 // never, and show would overflow
	}
	at := p.since + time.Duration(q)
	for p.show(at) < local { // rounded down
		at++
	}
	for p.show(at-1) >= local {
		at--
	}
	return at
}

// maxDrift bounds a clock's error: it goes at 0.1 times the true speed at least,
// and at 10 times at most.
const (
	minDrift = -900 * time.Millisecond
	maxDrift = 9 * time.Second
)

func (c *clock) set(skew, drift time.Duration) {
	if drift < minDrift || drift > maxDrift {
		panic(fmt.Sprintf("simnet: a clock drift of %v a second, not between %v and %v", drift, minDrift, maxDrift))
	}
	now := c.n.Now()
	c.p.Store(&clockParams{since: now, local: c.local(now), drift: drift, skew: skew})
}

// SetClock changes how wrong the host's clock is. Its time of day jumps to skew
// beside what its monotonic clock says; from now on it gains drift every second
// of true time, or loses it if negative (from -900 ms to 9 s), which is true of
// timers and of the time of day alike. The monotonic clock never jumps.
func (h *Host) SetClock(skew, drift time.Duration) {
	h.net.note("clock", fmt.Sprintf("%s skew %v drift %v/s", h.name, skew, drift))
	h.cfg.ClockSkew, h.cfg.ClockDrift = skew, drift
	h.clock.set(skew, drift)
	for _, w := range h.workers {
		w.rearm()
	}
}
