package threadpipe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// loopback is the messenger's connection to itself (docs/PROTOCOL.md 5.4): a thread of
// its own hands messages over without encoding, in the order of their Send. The
// thread begins with the first Send. It is connected until Shutdown; MarkDown drops
// what is on its way and leaves it open.
type loopback struct {
	m    *Messenger
	id   uint64
	wake waker

	mu      sync.Mutex // guards the fields below
	inbox   []*msg.Message
	busy    []*msg.Message  // taken out of the inbox by the thread, and not yet handed over
	flushes []chan struct{} // closed when what is in the inbox has been handed over
	due     []chan struct{} // closed when what is in busy has been
	running bool            // the thread was started
	asleep  bool            // it waits to be woken
	closed  error
	account connection.Account // accepted by Send and not yet dispatched
	value   any
}

func newLoopback(m *Messenger) *loopback {
	l := &loopback{m: m, id: m.lastID.Add(1), wake: m.net.newWaker()}
	l.account.Init(&m.sendLimits)
	return l
}

// Send implements msg.Connection.
func (l *loopback) Send(x *msg.Message) error {
	if err := l.take(x); err != nil {
		return err
	}
	_, err := l.enqueue(x, false)
	return err
}

// SendContext implements msg.Connection.
func (l *loopback) SendContext(ctx context.Context, x *msg.Message) error {
	if err := connection.BeginWait(ctx); err != nil {
		return err
	}
	if err := l.take(x); err != nil {
		return err
	}
	return sendWaiting(ctx, x, l.enqueue)
}

// take takes x from its sender.
func (l *loopback) take(x *msg.Message) error {
	if x == nil {
		panic("msgr: Send of a nil Message")
	}
	if err := msg.Take(x); err != nil {
		return err
	}
	if !x.Deadline.IsZero() && !x.Deadline.After(l.m.clock.Wall()) {
		msg.GiveBack(x)
		return msg.ErrDeadline
	}
	return nil
}

func (l *loopback) enqueue(x *msg.Message, wait bool) (room <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		err = fmt.Errorf("%w: %w", msg.ErrClosed, l.closed)
	} else {
		room, err = l.account.Take(x, wait)
	}
	if err != nil || room != nil {
		if err != nil {
			msg.GiveBack(x)
		}
		return room, err
	}
	if x.Priority == 0 {
		x.Priority = uint8(l.m.defaultPrio.Load())
	}
	l.inbox = append(l.inbox, x)
	if !l.running {
		l.running = true
		l.m.spawn(l.run)
	}
	l.wakeLocked()
	return nil, nil
}

func (l *loopback) wakeLocked() {
	if l.asleep {
		l.asleep = false
		l.wake.wake()
	}
}

// run is the thread of local delivery. Should user code end it, another one takes its
// place.
func (l *loopback) run() {
	returned := false
	defer func() {
		if !returned {
			l.m.spawn(l.run)
		}
	}()
	l.mu.Lock()
	for {
		switch {
		case len(l.busy) > 0:
			x := l.busy[0]
			l.busy[0] = nil
			l.busy = l.busy[1:]
			l.mu.Unlock()
			l.handOver(x)
			l.mu.Lock()
		case len(l.due) > 0:
			for _, done := range l.due {
				close(done)
			}
			l.due = nil
		case len(l.inbox) > 0 || len(l.flushes) > 0:
			l.busy, l.inbox = l.inbox, nil
			l.due, l.flushes = l.flushes, nil
		case l.closed != nil:
			l.mu.Unlock()
			l.wake.close()
			returned = true
			return
		default:
			l.asleep = true
			l.mu.Unlock()
			l.wake.wait(-1)
			l.mu.Lock()
			l.asleep = false
		}
	}
}

// handOver ends the sending of x and dispatches it, unless it was cancelled.
func (l *loopback) handOver(x *msg.Message) {
	if msg.Begin(x) {
		l.deliver(x)
	} else {
		l.drop(x, msg.ErrCancelled)
	}
}

// deliver ends the sending of x and dispatches it; without mu.
func (l *loopback) deliver(x *msg.Message) {
	size, n := int64(x.PayloadLen()), x.Notify
	d := msg.Deliverable(x, msg.Incoming{Conn: l, Receipt: l, At: l.m.now(), Charge: size})
	defer l.dispatch(d, size) // also if the Notifier ends the goroutine
	msg.NotifyDelivered(l, x, d, n, l.userFailed)
}

// dispatch hands d to the dispatchers, or queues it.
func (l *loopback) dispatch(d *msg.Message, size int64) {
	m, c, owes := l.m, l.m.countsOf(l.id), true
	defer func() {
		if owes { // to the account, for it does not wait for dispatch
			l.DispatchDone(size)
		}
	}()
	c.Delivered.Add(1)
	if m.chain.FastOwing(d) != dispatch.Unhandled {
		c.FastDispatched.Add(1)
		return
	}
	owes = false
	_ = m.queue.Enqueue(dispatch.Item{Kind: dispatch.KindMessage, Priority: d.Priority, Class: l.id, Msg: d, Conn: l})
}

func (l *loopback) userFailed(recovered any) { l.m.userPanicked(l, recovered, nil) }

// drop ends the sending of x for that reason; without mu.
func (l *loopback) drop(x *msg.Message, reason error) {
	l.DispatchDone(int64(x.PayloadLen()))
	l.m.countsOf(l.id).Undeliverable.Add(1)
	msg.NotifySent(l, x, reason, l.userFailed)
	l.m.chain.Undeliverable(l, x, reason)
	(*msg.Recycler)(nil).Sent(x)
}

// dropAll drops what had not been handed over. Should user code end the goroutine, it
// does so on its way out.
func (l *loopback) dropAll(ms []*msg.Message, reason error) {
	defer func() {
		if len(ms) > 0 {
			l.dropAll(ms, reason)
		}
	}()
	for len(ms) > 0 {
		x := ms[0]
		ms = ms[1:]
		l.drop(x, reason)
	}
}

// DispatchDone implements msg.Receipt: room for another message.
func (l *loopback) DispatchDone(size int64) {
	l.mu.Lock()
	l.account.GiveOne(size)
	l.mu.Unlock()
}

// Hold and Unhold implement msg.Receipt: no policy throttles here.
func (l *loopback) Hold(int64)   {}
func (l *loopback) Unhold(int64) {}

// close ends the loopback connection and its thread.
func (l *loopback) close(reason error) {
	l.mu.Lock()
	l.closed = reason
	l.account.Wake()
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.wakeLocked()
		l.mu.Unlock()
	}()
	l.MarkDown()
}

// MarkDown implements msg.Connection.
func (l *loopback) MarkDown() {
	l.mu.Lock()
	ms, reason := slices.Concat(l.busy, l.inbox), l.closed
	l.busy, l.inbox = nil, nil
	l.mu.Unlock()
	if reason == nil {
		reason = msg.ErrMarkedDown
	}
	l.m.queue.Discard(l.id, true)
	l.dropAll(ms, reason)
}

// Cancel implements msg.Connection: it ends when it would have been handed over.
func (l *loopback) Cancel(x *msg.Message) bool { return msg.Cancel(x) }

// SendQueue implements msg.Connection: what is not dispatched yet.
func (l *loopback) SendQueue() (messages int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account.Held()
}

// Flush implements msg.Connection: it waits until what was sent has been handed to the
// dispatch queue.
func (l *loopback) Flush(ctx context.Context) error {
	if err := connection.BeginWait(ctx); err != nil {
		return err
	}
	return await(ctx, l.flushed(), l)
}

// flushed returns a channel that is closed when what was sent before has been handed
// over, or nil.
func (l *loopback) flushed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running || l.asleep || l.closed != nil && len(l.inbox)+len(l.busy) == 0 {
		return nil
	}
	done := make(chan struct{})
	l.flushes = append(l.flushes, done)
	return done
}

func (l *loopback) ID() uint64                  { return l.id }
func (l *loopback) SendKeepalive()              {}
func (l *loopback) MarkDisposable()             {}
func (l *loopback) RetryNow()                   {}
func (l *loopback) LastError() error            { return nil }
func (l *loopback) IsConnected() bool           { return !l.IsClosed() }
func (l *loopback) IsLoopback() bool            { return true }
func (l *loopback) PeerName() entity.Name       { return l.m.cfg.Name }
func (l *loopback) PeerType() entity.Type       { return l.m.cfg.Name.Type }
func (l *loopback) PeerAddrs() entity.AddrVec   { return l.m.Addrs() }
func (l *loopback) PeerGlobalID() uint64        { return 0 }
func (l *loopback) Features() uint64            { return msg.FeaturesAll }
func (l *loopback) Policy() msg.Policy          { return l.m.policyFor(l.m.cfg.Name.Type) }
func (l *loopback) LastKeepalive() time.Time    { return time.Time{} }
func (l *loopback) LastKeepaliveAck() time.Time { return time.Time{} }
func (l *loopback) String() string              { return fmt.Sprintf("loopback of %s", l.m.cfg.Name) }

// State implements msg.Connection.
func (l *loopback) State() msg.ConnState {
	if l.IsClosed() {
		return msg.StateClosed
	}
	return msg.StateReady
}

func (l *loopback) IsClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed != nil
}

func (l *loopback) SetValue(v any) {
	l.mu.Lock()
	l.value = v
	l.mu.Unlock()
}

func (l *loopback) Value() any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}
