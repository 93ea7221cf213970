package connection

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// The types of this file are what a connection is for its session and its throttles. They
// are types of their own so that the methods do not show on Conn.

// setThrottles is called when the policy is known.
func (c *Conn) setThrottles(p msg.Policy) {
	c.adm.Set(p, BoundOf(&p, c.sh.Options.DispatchLimit), c.sh.Dispatch)
}

// gate implements session.Gate, and TurnTaker.
type gate struct{ c *Conn }

// Admit implements session.Gate.
func (g gate) Admit(size int64) bool {
	if g.c.adm.Admit(size) {
		return true
	}
	g.c.stats().ThrottleWaits.Add(1)
	g.c.traffic.stopped(g.c.now(), g.c.adm.Turn().at)
	if g.c.adm.AtOwnBound() {
		g.c.stats().ConnThrottleWaits.Add(1)
	}
	return false
}

// Abandon implements session.Gate.
func (g gate) Abandon(size int64) { g.c.adm.Abandon(size) }

// Granted implements TurnTaker: the worker goes on.
func (g gate) Granted(t *Turn) {
	// A refused post means that the stack is closed; nobody reads any more.
	_ = g.c.w.Post(eventloop.TaskFunc(func() {
		if g.c.adm.Go(t) {
			g.c.resume()
		}
	}))
}

// receipt gives back what delivered messages hold.
type receipt struct{ c *Conn }

func (r receipt) DispatchDone(size int64) {
	r.c.adm.DispatchDone(size)
	r.c.dispatched()
}

// DispatchesDone implements msg.BatchReceipt.
func (r receipt) DispatchesDone(n int, size int64) {
	r.c.adm.DispatchesDone(int64(n), size)
	r.c.dispatchedAll(int32(n))
}

func (r receipt) Hold(size int64)   { r.c.adm.Hold(size) }
func (r receipt) Unhold(size int64) { r.c.adm.Unhold(size) }

// FastDone gives back what a message of size payload bytes held, which was
// dispatched on the worker. The connection's worker only.
func (c *Conn) FastDone(size int64) { c.adm.FastDone(size) }
