package async

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// sink is what connections report to: the seam between connection and dispatch.
type sink struct{ m *Messenger }

// Deliver implements connection.Sink: fast dispatch here and now, or the queue.
func (k sink) Deliver(c *connection.Conn, x *msg.Message) {
	if k.m.shared.Inject != nil && k.m.injected(c, x) {
		return
	}
	k.deliver(c, x)
}

// drop ends a received message that is not dispatched, as if discarded from the queue.
func (m *Messenger) drop(c *connection.Conn, x *msg.Message) {
	m.countDiscarded(c)
	c.AddQueued(1)
	msg.TicketFor(x).Done()
	x.Release()
}

func (k sink) deliver(c *connection.Conn, x *msg.Message) {
	m := k.m
	if c.IsClosed() {
		m.drop(c, x) // marked down while it was being received
		return
	}
	size := msg.ChargeOf(x) // x may be gone afterwards
	returned := false
	defer func() {
		if !returned { // user code ended the goroutine: x is over all the same
			c.FastDone(size)
		}
	}()
	switch m.chain.FastOwing(x) {
	case dispatch.Unhandled:
		b := &m.batches[c.Worker().ID()]
		b.items = append(b.items, dispatch.Item{
			Kind: dispatch.KindMessage, Priority: x.Priority, Class: c.ID(), Msg: x, Conn: c,
		})
		b.messages++
	default:
		c.FastDone(size)
		m.batches[c.Worker().ID()].fast++
	}
	returned = true
}

// batch is what one worker collects until the end of one piece of work.
type batch struct {
	items    []dispatch.Item
	messages int           // among items
	fast     uint64        // messages that were fast dispatched
	ended    time.Duration // when the last batch ended
	_        [64]byte      // the next worker's is on another cache line
}

// EndOfBatch implements connection.Sink.
func (k sink) EndOfBatch(c *connection.Conn) { k.enqueue(c, nil) }

// EndOfRead implements connection.Sink.
func (k sink) EndOfRead(c *connection.Conn) { k.enqueue(c, k.m.places[c.Worker().ID()]) }

// enqueue hands to the queue what was collected: one lock for all that one read brought,
// and one look at the clock for the watchdog. at is the worker as what can run
// callbacks, nil: not now.
func (k sink) enqueue(c *connection.Conn, at dispatch.Place) {
	m, w := k.m, c.Worker()
	b := &m.batches[w.ID()]
	if b.fast > 0 {
		m.shared.Stats[w.ID()].FastDispatched.Add(b.fast)
		b.fast = 0
		m.watch(c, b, w.Now())
	}
	if len(b.items) == 0 {
		return
	}
	items := b.items
	c.AddQueued(b.messages)
	b.items, b.messages = b.items[:0], 0
	// Refused: discarded there, by Shutdown.
	if at == nil {
		_ = m.queue.EnqueueBatch(items)
	} else if keeps, _ := m.queue.EnqueueBatchAt(at, items); keeps {
		b.items = nil
		return
	}
	clear(items)
}

// watch notices when the user's code held up a worker: since its round began, or
// since the batch before this one in the round.
func (m *Messenger) watch(c *connection.Conn, b *batch, round time.Duration) {
	if m.cfg.FastDispatchLimit < 0 {
		return
	}
	now := m.cfg.Stack.Clock().Now()
	took := now - max(round, b.ended)
	b.ended = now
	if took > m.cfg.FastDispatchLimit {
		m.counts.SlowFastDispatches.Add(1)
		m.log.Warn("fast dispatch held up a worker", "conn", c, "took", took)
	}
}

// Event implements connection.Sink.
func (k sink) Event(c *connection.Conn, ev connection.Event, err error) {
	m := k.m
	var kind dispatch.Kind
	tellFast := func(*connection.Conn) {}
	switch ev {
	case connection.EventConnected:
		m.reg.Readied(c)
		m.failures.Connected(c.Worker().Now(), c)
		kind, tellFast = dispatch.KindConnect, m.fastConnect
	case connection.EventAccepted:
		m.reg.Readied(c)
		m.failures.Connected(c.Worker().Now(), c)
		tellFast = m.fastAccept
		kind = dispatch.KindAccept
	case connection.EventConnectFailed:
		m.failures.ConnectFailed(c.Worker().Now(), c, err.(*msg.ConnectError))
		kind = dispatch.KindConnectFailed
	case connection.EventRejected:
		why := err.(*msg.RejectedError)
		m.log.Warn("a message breaks its connection each time that it is sent", "conn", c,
			"err", why, "hint", why.Hint())
		kind = dispatch.KindRejected
	case connection.EventHighWater:
		kind = dispatch.KindHighWater
	case connection.EventLowWater:
		kind = dispatch.KindLowWater
	case connection.EventRemoteReset:
		m.dropDelayed(c)
		kind, tellFast = dispatch.KindRemoteReset, m.fastRemoteReset
	case connection.EventFault:
		kind = dispatch.KindFault
	case connection.EventFastFault:
		m.chain.FastFault(c, err)
		return
	case connection.EventRefused:
		kind = dispatch.KindRefused
	case connection.EventReset:
		kind, tellFast = dispatch.KindReset, m.fastReset
	default:
		panic(fmt.Sprintf("async: event %d", ev))
	}
	b := &m.batches[c.Worker().ID()]
	b.items = append(b.items, dispatch.Item{Kind: kind, Class: c.ID(), Conn: c, Err: err})
	tellFast(c) // last: it may end the goroutine
}

func (m *Messenger) fastConnect(c *connection.Conn) { m.chain.FastConnect(c) }

func (m *Messenger) fastAccept(c *connection.Conn) { m.chain.FastAccept(c) }

func (m *Messenger) fastReset(c *connection.Conn) { m.chain.FastReset(c) }

func (m *Messenger) fastRemoteReset(c *connection.Conn) { m.chain.FastRemoteReset(c) }

// Fault implements connection.Sink.
func (k sink) Fault(c *connection.Conn, state session.State, err error) {
	w := c.Worker()
	if r, stranger := k.m.failures.Fault(w.Now(), c, c.Session().Announced(), state, err); stranger {
		k.m.shared.Stats[w.ID()].AcceptFailures[r].Add(1)
	}
}

// Renamed implements connection.Sink.
func (k sink) Renamed(c *connection.Conn) { k.m.reg.Rename(c, c.PeerAddrs()) }

// Absent implements connection.Sink.
func (k sink) Absent(c *connection.Conn) {
	if old := k.m.reg.Left(c, k.m.cfg.StandbyMax); old != nil {
		old.GiveUp(fmt.Errorf("%w, and more than %d peers are away", msg.ErrPeerAbsent, k.m.cfg.StandbyMax))
	}
}

// warnedPolicy and warnedAnon are keys of Messenger.warned.
type (
	warnedPolicy struct {
		peer  entity.Type
		lossy bool
	}
	warnedAnon struct{ peer entity.Type }
)

// Adopted implements connection.Sink.
func (k sink) Adopted(c *connection.Conn) {
	what := "the server keeps no sessions: this connection ends when its transport breaks, " +
		"and what is under way then is reported undeliverable"
	if !c.Policy().Lossy {
		what = "the server keeps the session: this connection is resumed when its transport breaks, " +
			"and sends again what was not acknowledged"
	}
	if _, before := k.m.warned.LoadOrStore(warnedPolicy{c.PeerType(), c.Policy().Lossy}, true); before {
		return
	}
	k.m.log.Warn("the policies of the two ends do not match, and the server's is followed", "conn", c,
		"lossy", c.Policy().Lossy, "which means", what)
}

// Changed implements connection.Sink.
func (k sink) Changed(c *connection.Conn, x *msg.Message) {
	k.m.counts.Changed.Add(1)
	k.m.log.Error("a message was changed after Send: it is the messenger's until its end", "conn", c,
		"type", x.Type, "tid", x.TID, "bytes", x.PayloadLen())
}

// Arbitrate implements connection.Sink.
func (k sink) Arbitrate(c *connection.Conn) { k.m.arbitrate(c, 0) }

// Gone implements connection.Sink.
func (k sink) Gone(c *connection.Conn) {
	k.m.reg.Remove(c)
	k.m.failures.Gone(c)
	k.m.tellClosed(c, k.m.reasonOf(c))
}

// Ended implements connection.Sink.
func (k sink) Ended(*connection.Conn) { k.m.reg.Ended() }

// Discard implements connection.Sink. Events go too when the connection was
// closed by the user, who wants to hear no more of it.
func (k sink) Discard(c *connection.Conn) {
	k.m.queue.Discard(c.ID(), c.MarkedDown())
}

// Undeliverable implements connection.Sink.
func (k sink) Undeliverable(c *connection.Conn, x *msg.Message, err error) {
	k.m.undeliverable(c, x, err)
}

// UserPanic implements connection.Sink.
func (k sink) UserPanic(c *connection.Conn, r any) { k.m.userPanicked(c, r, nil) }

func (m *Messenger) undeliverable(c msg.Connection, x *msg.Message, err error) {
	m.counts.Undeliverable.Add(1)
	m.losses.unsent[msg.LossOf(err)].Add(1)
	m.chain.Undeliverable(c, x, err)
}

// stale says that an item is not to be dispatched any more: it came out of the
// worker while its connection was being closed. After MarkDown that goes for
// events too.
func stale(it *dispatch.Item) bool {
	if it.Kind == dispatch.KindMessage {
		return it.Conn.IsClosed()
	}
	c, ok := it.Conn.(*connection.Conn)
	return ok && c.MarkedDown()
}

// discarded counts messages that the queue dropped; events are nobody's loss.
func (m *Messenger) discarded(it *dispatch.Item) {
	if it.Kind == dispatch.KindMessage {
		m.countDiscarded(it.Conn)
	}
}

// countDiscarded counts a received message that is not dispatched, by why not. Of a
// connection that goes on it is what came before a remote reset.
func (m *Messenger) countDiscarded(from msg.Connection) {
	m.counts.Discarded.Add(1)
	why := msg.LossRemoteReset
	c, ok := from.(*connection.Conn)
	switch {
	case m.losses.shutdown.Load():
		why = msg.LossShutdown
	case !ok || c.MarkedDown():
		why = msg.LossMarkedDown
	case c.IsClosed():
		why = msg.LossReset
	}
	m.losses.undispatched[why].Add(1)
}

// userPanicked is told of each panic of user code, and of each runtime.Goexit, which is
// a panic but for its consequences: it says nothing about the connection, which is left
// alone. (Were it faulted, a test's t.FailNow in HandleAccept would cut the connection
// each time that it comes back.)
func (m *Messenger) userPanicked(c msg.Connection, r any, stack []byte) {
	m.counts.Panics.Add(1)
	if len(stack) == 0 {
		stack = debug.Stack()
	}
	m.log.Error("panic in a callback", "conn", c, "panic", r, "stack", string(stack))
	if conn, ok := c.(*connection.Conn); ok && !m.cfg.IgnorePanics && r != any(msg.ErrGoexit) {
		conn.Fault(fmt.Errorf("%w: %v", ErrPanic, r))
	}
}
