package connection

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// dispatchStage is the dispatch throttle's place in throttles.
const dispatchStage = 2

// takeCredit takes size from what the connection has of the dispatch throttle in
// advance, for the messages of one read: one visit instead of one per message.
// returnCredit gives the rest back when the read has been worked off.
func (c *Conn) takeCredit(size int64) bool {
	if c.credit >= size {
		c.credit -= size
		return true
	}
	step := c.sh.Options.DispatchCredit
	if step == 0 || !c.thr[dispatchStage].Acquire(size-c.credit+step, nil) {
		return false
	}
	c.credit = step
	return true
}

func (c *Conn) returnCredit() {
	if c.credit > 0 {
		c.thr[dispatchStage].Release(c.credit)
		c.credit = 0
	}
}

// FastDone gives back what a message of size payload bytes held, which was
// dispatched on the worker. The connection's worker only.
func (c *Conn) FastDone(size int64) {
	c.thr.release(dispatchStage, size)
	if c.thr.needs(dispatchStage, size) {
		c.credit += size
	}
}

// throttles are taken in this order (docs/PROTOCOL.md 4.4).
type throttles [3]msg.Throttler

func amount(stage int, size int64) int64 {
	if stage == 0 {
		return 1 // messages
	}
	return size
}

// needs says whether stage i applies: "0-size messages skip byte throttles".
func (t *throttles) needs(i int, size int64) bool { return t[i] != nil && amount(i, size) > 0 }

func (t *throttles) release(upTo int, size int64) {
	for i := range upTo {
		if t.needs(i, size) {
			t[i].Release(amount(i, size))
		}
	}
}

// gateWait is a message that waits for a throttle. It exists only meanwhile.
type gateWait struct {
	c     *Conn
	stage int
	size  int64
}

// ThrottleGranted implements msg.ThrottleWaiter: the worker goes on.
func (g *gateWait) ThrottleGranted() {
	// A refused post means that the stack is closed; nobody reads any more.
	_ = g.c.w.Post(g)
}

// Run implements eventloop.Task: stage was granted, try the ones behind it.
func (g *gateWait) Run() {
	c := g.c
	if c.wait != g {
		return // abandoned: whoever did that owns what was granted
	}
	g.stage++
	if c.admitFrom(g) {
		c.wait = nil
		c.resume()
	}
}

// Admit implements session.Gate.
func (c *Conn) Admit(size int64) bool {
	t := &c.thr
	for i := range t {
		if t.needs(i, size) && !(i == dispatchStage && c.takeCredit(size)) && !c.acquire(i, size, nil) {
			g := &gateWait{c: c, stage: i, size: size}
			if c.admitFrom(g) {
				return true // given back in between
			}
			c.wait = g
			c.stats().ThrottleWaits.Add(1)
			return false
		}
	}
	return true
}

// acquire takes what stage i needs, and remembers meanwhile where it is: a throttler of
// the user's may end the goroutine.
func (c *Conn) acquire(i int, size int64, w msg.ThrottleWaiter) (ok bool) {
	c.acquiring = int8(i) + 1
	ok = c.thr[i].Acquire(amount(i, size), w)
	c.acquiring = 0
	return ok
}

// admitFrom takes what is left from g.stage on, or waits in line at g.stage.
func (c *Conn) admitFrom(g *gateWait) bool {
	for ; g.stage < len(c.thr); g.stage++ {
		if c.thr.needs(g.stage, g.size) && !c.acquire(g.stage, g.size, g) {
			return false
		}
	}
	return true
}

// Abandon implements session.Gate.
func (c *Conn) Abandon(size int64) {
	g := c.wait
	switch {
	case c.acquiring != 0: // the goroutine was ended there
		c.thr.release(int(c.acquiring)-1, size)
		c.acquiring = 0
		return
	case g == nil:
		c.thr.release(len(c.thr), size)
		return
	}
	c.wait = nil
	upTo := g.stage
	if !c.thr[g.stage].Cancel(g) {
		upTo++ // granted meanwhile
	}
	c.thr.release(upTo, size)
}

// receipt gives back what delivered messages hold. It is a type of its own so
// that the methods do not show on Conn.
type receipt struct{ c *Conn }

func (r receipt) DispatchDone(size int64) {
	r.c.thr.release(len(r.c.thr), size)
	r.c.dispatched()
}

func (r receipt) Hold(size int64) {
	thr := &r.c.thr
	for i := range 2 {
		if thr.needs(i, size) {
			thr[i].Take(amount(i, size))
		}
	}
}

func (r receipt) Unhold(size int64) { r.c.thr.release(2, size) }
