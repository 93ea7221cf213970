package dispatch

import (
	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// The events of a chain. A dispatcher that panics, or ends the goroutine, does not
// keep the event from the others; the outcome is then Panicked.

// Connect tells all ConnectHandlers. Called by the queue.
func (c *Chain) Connect(conn msg.Connection) Outcome {
	return eachTold(c, conn, c.links.Load().connect, func(h msg.ConnectHandler) { h.HandleConnect(conn) })
}

// Accept tells all AcceptHandlers. Called by the queue.
func (c *Chain) Accept(conn msg.Connection) Outcome {
	return eachTold(c, conn, c.links.Load().accept, func(h msg.AcceptHandler) { h.HandleAccept(conn) })
}

// FastConnect tells all FastConnectHandlers. Called on the worker, when the session
// is ready and before Connect is enqueued.
func (c *Chain) FastConnect(conn msg.Connection) Outcome {
	return fastTold(c, conn, "HandleFastConnect", c.links.Load().fastConnect, func(h msg.FastConnectHandler) {
		h.HandleFastConnect(conn)
	})
}

// FastAccept tells all FastAcceptHandlers. Called on the worker, when the session
// is ready and before Accept is enqueued.
func (c *Chain) FastAccept(conn msg.Connection) Outcome {
	return fastTold(c, conn, "HandleFastAccept", c.links.Load().fastAccept, func(h msg.FastAcceptHandler) {
		h.HandleFastAccept(conn)
	})
}

// FastReset tells all FastResetHandlers. Called on the worker, before Reset is enqueued.
func (c *Chain) FastReset(conn msg.Connection) Outcome {
	return fastTold(c, conn, "HandleFastReset", c.links.Load().fastReset, func(h msg.FastResetHandler) {
		h.HandleFastReset(conn)
	})
}

// FastRemoteReset tells all FastRemoteResetHandlers. Called on the worker, before
// RemoteReset is enqueued, and before the first message of the next session is offered.
func (c *Chain) FastRemoteReset(conn msg.Connection) Outcome {
	return fastTold(c, conn, "HandleFastRemoteReset", c.links.Load().fastRemote,
		func(h msg.FastRemoteResetHandler) { h.HandleFastRemoteReset(conn) })
}

// RemoteReset tells all RemoteResetHandlers. Called by the queue.
func (c *Chain) RemoteReset(conn msg.Connection) Outcome {
	return eachTold(c, conn, c.links.Load().remoteReset, func(h msg.RemoteResetHandler) { h.HandleRemoteReset(conn) })
}

// Reset tells the ResetHandlers from head to tail until one returns true. Called
// by the queue.
func (c *Chain) Reset(conn msg.Connection, reason error) Outcome {
	return firstTold(c, conn, c.links.Load().reset, func(h msg.ResetHandler) bool {
		return h.HandleReset(conn, reason)
	})
}

// Refused tells the RefusedHandlers from head to tail until one returns true.
// Called by the queue.
func (c *Chain) Refused(conn msg.Connection, err error) Outcome {
	return firstTold(c, conn, c.links.Load().refused, func(h msg.RefusedHandler) bool {
		return h.HandleRefused(conn, err)
	})
}

// ConnectFailed tells all ConnectFailedHandlers. Called by the queue.
func (c *Chain) ConnectFailed(conn msg.Connection, err *msg.ConnectError) Outcome {
	return eachTold(c, conn, c.links.Load().connectFailed, func(h msg.ConnectFailedHandler) {
		h.HandleConnectFailed(conn, err)
	})
}

// Rejected tells all RejectedHandlers. Called by the queue.
func (c *Chain) Rejected(conn msg.Connection, err *msg.RejectedError) Outcome {
	return eachTold(c, conn, c.links.Load().rejected, func(h msg.RejectedHandler) { h.HandleRejected(conn, err) })
}

// SendPressure tells all SendPressureHandlers. Called by the queue.
func (c *Chain) SendPressure(conn msg.Connection, high bool) Outcome {
	return eachTold(c, conn, c.links.Load().sendPressure, func(h msg.SendPressureHandler) {
		h.HandleSendPressure(conn, high)
	})
}

// faultTaker is a connection that bounds how many of its faults are queued.
type faultTaker interface{ FaultTaken() }

// Fault tells all FaultHandlers. Called by the queue.
func (c *Chain) Fault(conn msg.Connection, err error) Outcome {
	return eachTold(c, conn, c.links.Load().fault, func(h msg.FaultHandler) { h.HandleFault(conn, err) })
}

// FastFault tells all FastFaultHandlers. Called on the worker, before Fault is enqueued.
func (c *Chain) FastFault(conn msg.Connection, err error) Outcome {
	return fastTold(c, conn, "HandleFastFault", c.links.Load().fastFault, func(h msg.FastFaultHandler) {
		h.HandleFastFault(conn, err)
	})
}

// Undeliverable tells all UndeliverableHandlers of a message that was accepted by
// Send and is dropped. Called on the worker or by whoever closed the connection.
func (c *Chain) Undeliverable(conn msg.Connection, m *msg.Message, reason error) (out Outcome) {
	callback.OnWorker(func() {
		out = eachTold(c, conn, c.links.Load().undeliverable, func(h msg.UndeliverableHandler) {
			h.HandleUndeliverable(conn, m, reason)
		})
	})
	return out
}

// eachTold tells all handlers.
func eachTold[H any](c *Chain, conn msg.Connection, handlers []H, tell func(H)) Outcome {
	return firstTold(c, conn, handlers, func(h H) bool { tell(h); return false })
}

// fastTold is eachTold on the worker.
func fastTold[H any](c *Chain, conn msg.Connection, method string, handlers []H, tell func(H)) (out Outcome) {
	if len(handlers) == 0 {
		return Handled
	}
	callback.OnWorker(func() {
		start := c.now()
		out = eachTold(c, conn, handlers, tell)
		c.watch(conn, method, start)
	})
	return out
}

// firstTold tells handlers until one returns true.
func firstTold[H any](c *Chain, conn msg.Connection, handlers []H, tell func(H) bool) (out Outcome) {
	left := handlers
	defer func() {
		if len(left) > 0 { // one has ended the goroutine: the others are told on its way out
			firstTold(c, conn, left, tell)
		}
	}()
	out = Handled
	for len(left) > 0 {
		h, done := left[0], false
		left = left[1:]
		if !c.guard(conn, func() { done = tell(h) }) {
			out = Panicked
		}
		if done {
			left = nil
		}
	}
	return out
}

// guard runs f and says whether it returned.
func (c *Chain) guard(conn msg.Connection, f func()) (ok bool) {
	defer c.caught(conn, &ok)
	f()
	ok = true
	return ok
}
