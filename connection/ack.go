package connection

import (
	"fmt"
	"time"
)

// An acknowledgement that no message carries is a write of its own, and wakes the
// peer. While messages of the connection are in dispatch their answers are likely, so
// it waits for them (session.HoldAck says for how long at most).

// AddQueued tells the connection that n of its messages are about to be queued for
// dispatch. Any goroutine.
func (c *Conn) AddQueued(n int) { c.queued.Add(int32(n)) }

// dispatched tells that one of the messages of AddQueued was dispatched, or dropped.
func (c *Conn) dispatched() { c.dispatchedAll(1) }

// dispatchedAll tells that of so many.
func (c *Conn) dispatchedAll(k int32) {
	n := c.queued.Add(-k)
	if n < 0 {
		panic(fmt.Sprintf("connection %d: %d messages queued for dispatch", c.ID(), n))
	}
	if n == 0 && c.ackHeld.Load() {
		c.nudge()
	}
}

// nudge has the worker look whether there is something to write.
func (c *Conn) nudge() {
	c.mu.Lock()
	post := c.wantPost()
	c.mu.Unlock()
	if post && !c.lend() {
		c.post()
	}
}

// Acknowledge has the worker write the acknowledgement that is owed, if there is a
// transport, though messages are in dispatch: there may be no later. Any goroutine.
func (c *Conn) Acknowledge() { c.command(cmdAck) }

// ackNow writes what the socket takes. The connection's worker only.
func (c *Conn) ackNow(now time.Duration) {
	if c.t != nil && c.s.OwesAck() {
		c.s.HoldAck(now, false)
		c.HandleFlush()
	}
}

// holdAck keeps an acknowledgement back, or no longer. The connection's worker only.
func (c *Conn) holdAck() {
	if !c.s.OwesAck() {
		if c.ackHeld.Load() {
			c.ackHeld.Store(false)
		}
		return
	}
	c.ackHeld.Store(true) // before the look at queued: dispatched looks the other way round
	hold := c.queued.Load() > 0
	if !hold {
		c.ackHeld.Store(false)
	}
	c.s.HoldAck(c.now(), hold)
}
