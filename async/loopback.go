package async

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// loopback is the messenger's connection to itself (docs/PROTOCOL.md 5.4): messages
// are handed over without encoding, in the order of their Send, on one worker.
// It is connected until Shutdown. MarkDown drops what is on its way and leaves
// it open, for there is no peer that could connect again.
type loopback struct {
	m  *Messenger
	id uint64
	w  eventloop.Worker

	mu      sync.Mutex
	inbox   []*msg.Message
	spare   []*msg.Message
	posted  bool
	running bool // Run has taken the inbox and hands over what was in it
	closed  error
	account connection.Account // accepted by Send and not yet dispatched
	value   any
}

func newLoopback(m *Messenger, id uint64) *loopback {
	l := &loopback{m: m, id: id, w: m.cfg.Stack.Pick()}
	l.account.Init(&m.shared.Options.Send)
	return l
}

func (l *loopback) Send(x *msg.Message) error {
	if err := l.take(x); err != nil {
		return err
	}
	_, err := l.enqueue(x, false)
	return err
}

func (l *loopback) SendContext(ctx context.Context, x *msg.Message) error {
	if err := connection.BeginWait(ctx); err != nil {
		return err
	}
	if err := l.take(x); err != nil {
		return err
	}
	for {
		room, err := l.enqueue(x, true)
		if room == nil {
			return err
		}
		if err := mayWait(); err != nil {
			msg.GiveBack(x)
			return fmt.Errorf("%w: %w", msg.ErrQueueFull, err)
		}
		select {
		case <-room:
		case <-ctx.Done():
			msg.GiveBack(x)
			return fmt.Errorf("%w: %w", msg.ErrQueueFull, ctx.Err())
		}
	}
}

// take takes x from its sender.
func (l *loopback) take(x *msg.Message) error {
	if x == nil {
		panic("msgr: Send of a nil Message")
	}
	if err := msg.Take(x); err != nil {
		return err
	}
	if !x.Deadline.IsZero() && !x.Deadline.After(l.m.cfg.Clock.Wall()) {
		msg.GiveBack(x)
		return msg.ErrDeadline
	}
	return nil
}

func (l *loopback) enqueue(x *msg.Message, wait bool) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		msg.GiveBack(x)
		return nil, fmt.Errorf("%w: %w", msg.ErrClosed, l.closed)
	}
	if room, err := l.account.Take(x, wait); room != nil || err != nil {
		if err != nil {
			msg.GiveBack(x)
		}
		return room, err
	}
	if x.Priority == 0 {
		x.Priority = uint8(l.m.defaultPrio.Load())
	}
	if !l.posted {
		if err := l.w.Post(l); err != nil {
			var e connection.Ended
			e.Add(x)
			l.account.Give(e)
			msg.GiveBack(x)
			return nil, fmt.Errorf("%w: %w", msg.ErrShutdown, err)
		}
		l.posted = true
	}
	l.inbox = append(l.inbox, x)
	return nil, nil
}

// Run implements eventloop.Task: deliver what was sent.
func (l *loopback) Run() {
	l.mu.Lock()
	ms, closed := l.inbox, l.closed
	l.inbox, l.spare = l.spare, nil
	l.posted, l.running = false, true
	l.mu.Unlock()

	var items []dispatch.Item
	next := 0
	defer func() {
		if len(items) > 0 {
			_ = l.m.queue.EnqueueBatch(items)
		}
		if next < len(ms) { // user code ended the goroutine
			l.putBack(ms[next:])
			clear(ms[next:])
		}
		l.mu.Lock()
		l.running = false
		if cap(ms) <= 256 && l.spare == nil {
			l.spare = ms[:0]
		}
		l.mu.Unlock()
	}()
	for next < len(ms) {
		x := ms[next]
		ms[next] = nil
		next++
		switch {
		case closed != nil:
			l.drop(x, closed)
		case !msg.Begin(x):
			l.drop(x, msg.ErrCancelled)
		default:
			l.deliver(x, &items)
		}
	}
}

// deliver ends the sending of x and dispatches it.
func (l *loopback) deliver(x *msg.Message, items *[]dispatch.Item) {
	size, n := int64(x.PayloadLen()), x.Notify
	d := msg.Deliverable(x, msg.Incoming{Conn: l, Receipt: l, At: l.w.Now(), Charge: size})
	defer l.dispatch(d, size, items) // also if the Notifier ends the goroutine
	msg.NotifyDelivered(l, x, d, n, l.userFailed)
}

// dispatch hands d to the dispatchers, or appends it to what is to be queued.
func (l *loopback) dispatch(d *msg.Message, size int64, items *[]dispatch.Item) {
	owes := true
	defer func() {
		if owes {
			l.DispatchDone(size)
		}
	}()
	l.m.shared.Stats[l.w.ID()].Delivered.Add(1)
	if l.m.chain.FastOwing(d) == dispatch.Unhandled {
		owes = false
		*items = append(*items, dispatch.Item{Kind: dispatch.KindMessage, Priority: d.Priority, Class: l.id, Msg: d, Conn: l})
	}
}

// putBack is for what was not delivered yet.
func (l *loopback) putBack(ms []*msg.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = append(append([]*msg.Message(nil), ms...), l.inbox...)
	if !l.posted {
		l.posted = l.w.Post(l) == nil
	}
}

func (l *loopback) userFailed(recovered any) { l.m.userPanicked(l, recovered, nil) }

func (l *loopback) drop(x *msg.Message, reason error) {
	l.DispatchDone(int64(x.PayloadLen()))
	msg.NotifySent(l, x, reason, l.userFailed)
	l.m.undeliverable(l, x, reason)
	(*msg.Recycler)(nil).Sent(x)
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

// Close ends the loopback connection.
func (l *loopback) Close(reason error) {
	l.mu.Lock()
	l.closed = reason
	l.account.Wake()
	l.mu.Unlock()
	l.MarkDown()
}

// MarkDown implements msg.Connection.
func (l *loopback) MarkDown() {
	l.mu.Lock()
	ms, reason := l.inbox, l.closed
	l.inbox = nil
	l.mu.Unlock()
	if reason == nil {
		reason = msg.ErrMarkedDown
	}
	for _, x := range ms {
		l.drop(x, reason)
	}
	l.m.queue.Discard(l.id, true)
}

// Cancel implements msg.Connection.
func (l *loopback) Cancel(x *msg.Message) bool { return msg.Cancel(x) }

// SendQueue implements msg.Connection: what is not dispatched yet.
func (l *loopback) SendQueue() (messages int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account.Held()
}

// Flush implements msg.Connection.
func (l *loopback) Flush(ctx context.Context) error {
	if err := connection.BeginWait(ctx); err != nil {
		return err
	}
	done := l.flushed()
	if done == nil {
		return nil
	}
	if err := mayWait(); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("msgr: flush of %v: %w", l, ctx.Err())
	}
}

// flushed returns a channel that is closed when what was sent before has been handed to
// the dispatch queue, or nil. The worker does that in the order of posting.
func (l *loopback) flushed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.inbox) == 0 && !l.posted && !l.running {
		return nil
	}
	done := make(chan struct{})
	if l.w.Post(eventloop.TaskFunc(func() { close(done) })) != nil {
		return nil // the stack is closed, and nothing is delivered any more
	}
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
func (l *loopback) Policy() msg.Policy          { return l.m.policies.get(l.m.cfg.Name.Type) }
func (l *loopback) LastKeepalive() time.Time    { return time.Time{} }
func (l *loopback) LastKeepaliveAck() time.Time { return time.Time{} }
func (l *loopback) String() string              { return fmt.Sprintf("loopback of %s", l.m.cfg.Name) }

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
