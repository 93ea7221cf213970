package connection

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Loopback is a messenger's connection to itself (docs/PROTOCOL.md 5.4): messages are
// handed over without encoding, in the order of their Send, by whoever its owner has
// call Deliver: a worker, or a thread. It is connected until Close. MarkDown drops what is
// on its way and leaves it open, for there is no peer that could connect again.
type Loopback struct {
	id  uint64
	own LoopbackOwner
	set *LoopbackConfig

	mu      sync.Mutex
	inbox   []*msg.Message
	head    int  // inbox[:head] was taken out
	under   int  // taken out of the inbox by Deliver, and not with the dispatchers yet
	due     bool // Deliver is under way, or was asked for
	flushes []flushing
	closed  error
	account Account // accepted by Send and not yet dispatched
	value   any
}

// flushing is a Flush that waits for so many messages to reach the dispatchers.
type flushing struct {
	left int
	done chan struct{}
}

// LoopbackOwner is the messenger, as a Loopback sees it.
type LoopbackOwner interface {
	// Wake has Deliver called soon. It must not call back. An error says that it never
	// will.
	Wake() error
	// Dispatch hands d over to the dispatchers, at once or with EndOfBatch. over says that
	// d is done with, not merely queued.
	Dispatch(d *msg.Message) (over bool)
	EndOfBatch()
	// Discard takes what is queued for dispatch out.
	Discard()
	Undeliverable(x *msg.Message, err error)
	UserPanic(recovered any)
	// Self is what is known of the messenger.
	Self() Self
}

// Self is what a Loopback says of its peer.
type Self struct {
	Name   entity.Name
	Addrs  entity.AddrVec
	Policy msg.Policy
}

// LoopbackConfig is what a Loopback is made with.
type LoopbackConfig struct {
	Conn            msg.Connection // what messages come from: the Loopback, or what it is embedded in
	Clock           eventloop.Clock
	Limits          *SendLimits
	DefaultPriority func() uint8
	MayWait         func() error
}

// Init makes l ready for use.
func (l *Loopback) Init(id uint64, own LoopbackOwner, cfg *LoopbackConfig) {
	l.id, l.own, l.set = id, own, cfg
	l.account.Init(cfg.Limits)
}

// Send implements msg.Connection.
func (l *Loopback) Send(x *msg.Message) error {
	if err := takeMessage(x, l.set.Clock); err != nil {
		return err
	}
	_, err := l.enqueue(x, false)
	return err
}

// SendContext implements msg.Connection.
func (l *Loopback) SendContext(ctx context.Context, x *msg.Message) error {
	if err := BeginWait(ctx); err != nil {
		return err
	}
	if err := takeMessage(x, l.set.Clock); err != nil {
		return err
	}
	return SendWaiting(ctx, x, l.enqueue, l.set.MayWait)
}

func (l *Loopback) enqueue(x *msg.Message, wait bool) (room <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		err = fmt.Errorf("%w: %w", msg.ErrClosed, l.closed)
	} else {
		room, err = l.account.Take(x, wait)
	}
	if err == nil && room == nil && !l.due {
		if l.own.Wake() != nil {
			l.account.GiveOne(int64(x.PayloadLen()))
			err = fmt.Errorf("%w: nothing is delivered any more", msg.ErrShutdown)
		}
		l.due = err == nil
	}
	switch {
	case err != nil:
		msg.GiveBack(x)
	case room == nil:
		if x.Priority == 0 {
			x.Priority = l.set.DefaultPriority()
		}
		l.inbox = append(l.inbox, x)
	}
	return room, err
}

// Deliver hands over what was sent before the call. One goroutine at a time: the one that
// Wake asks. Should user code end that, the rest is asked for anew.
func (l *Loopback) Deliver() {
	defer l.delivered()
	l.mu.Lock()
	n := len(l.inbox) - l.head
	l.mu.Unlock()
	for range n {
		x, closed := l.take()
		switch {
		case x == nil:
			return // marked down
		case closed != nil:
			l.drop(x, closed)
		case msg.Begin(x):
			l.deliver(x)
		default:
			l.drop(x, msg.ErrCancelled)
		}
	}
}

// take takes one message out of the inbox, if there is one. closed is why it is not to be
// delivered.
func (l *Loopback) take() (x *msg.Message, closed error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.inbox) {
		return nil, nil
	}
	x = l.inbox[l.head]
	l.inbox[l.head] = nil
	l.head++
	l.under++
	if l.head == len(l.inbox) {
		if l.inbox, l.head = l.inbox[:0], 0; cap(l.inbox) > inboxKept {
			l.inbox = nil
		}
	}
	return x, l.closed
}

// delivered is the end of a Deliver, however it ended.
func (l *Loopback) delivered() {
	l.own.EndOfBatch()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.under
	l.under = 0
	l.flushes = slices.DeleteFunc(l.flushes, func(f flushing) bool { return f.left <= n && l.flushed(f) })
	for i := range l.flushes {
		l.flushes[i].left -= n
	}
	l.due = l.head < len(l.inbox) && l.own.Wake() == nil
}

func (l *Loopback) flushed(f flushing) bool {
	close(f.done)
	return true
}

// deliver ends the sending of x and dispatches it.
func (l *Loopback) deliver(x *msg.Message) {
	size, n := int64(x.PayloadLen()), x.Notify
	d := msg.Deliverable(x, msg.Incoming{Conn: l.set.Conn, Receipt: l, At: l.set.Clock.Now(), Charge: size})
	defer l.dispatch(d, size) // also if the Notifier ends the goroutine
	if msg.SharedOf(x) != nil {
		defer msg.EndCopy(x, nil, l.own.UserPanic)
	}
	msg.NotifyDelivered(l.set.Conn, x, d, n, l.own.UserPanic)
}

func (l *Loopback) dispatch(d *msg.Message, size int64) {
	over := true
	defer func() {
		if over {
			l.DispatchDone(size)
		}
	}()
	over = l.own.Dispatch(d)
}

// drop ends the sending of x for that reason.
func (l *Loopback) drop(x *msg.Message, reason error) {
	l.DispatchDone(int64(x.PayloadLen()))
	if msg.SharedOf(x) != nil {
		defer msg.EndCopy(x, nil, l.own.UserPanic)
		l.report(x, reason)
		return
	}
	l.report(x, reason)
	(*msg.Recycler)(nil).Sent(x)
}

func (l *Loopback) report(x *msg.Message, reason error) {
	msg.NotifySent(l.set.Conn, x, reason, l.own.UserPanic)
	l.own.Undeliverable(msg.Original(x), reason)
}

// dropAll drops what had not been handed over. Should user code end the goroutine, it
// does so on its way out.
func (l *Loopback) dropAll(ms []*msg.Message, reason error) {
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
func (l *Loopback) DispatchDone(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock() // the account may panic
	l.account.GiveOne(size)
}

// Hold and Unhold implement msg.Receipt: no policy throttles here.
func (l *Loopback) Hold(int64)   {}
func (l *Loopback) Unhold(int64) {}

// Close ends the connection.
func (l *Loopback) Close(reason error) {
	l.mu.Lock()
	l.closed = reason
	l.account.Wake()
	l.mu.Unlock()
	l.MarkDown()
}

// MarkDown implements msg.Connection.
func (l *Loopback) MarkDown() {
	l.mu.Lock()
	ms, reason := l.inbox[l.head:], l.closed
	l.inbox, l.head = nil, 0
	for i := range l.flushes { // what is under way is left to wait for
		l.flushes[i].left = min(l.flushes[i].left, l.under)
	}
	if l.under == 0 {
		l.flushes = slices.DeleteFunc(l.flushes, l.flushed)
	}
	l.mu.Unlock()
	if reason == nil {
		reason = msg.ErrMarkedDown
	}
	l.own.Discard()
	l.dropAll(ms, reason)
}

// Cancel implements msg.Connection: x ends when it would have been handed over.
func (l *Loopback) Cancel(x *msg.Message) bool { return msg.Cancel(x) }

// SendQueue implements msg.Connection: what is not dispatched yet.
func (l *Loopback) SendQueue() (messages int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account.Held()
}

// Flush implements msg.Connection: it waits until what was sent has been handed to the
// dispatchers, or to their queue.
func (l *Loopback) Flush(ctx context.Context) error {
	if err := BeginWait(ctx); err != nil {
		return err
	}
	return AwaitFlush(ctx, l.Flushed(), l.set.Conn, l.set.MayWait)
}

// Flushed returns a channel that is closed when what was sent before the call has been
// handed over; nil if all has.
func (l *Loopback) Flushed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := flushing{left: len(l.inbox) - l.head + l.under}
	if f.left == 0 {
		return nil
	}
	f.done = make(chan struct{})
	l.flushes = append(l.flushes, f)
	return f.done
}

// The rest of msg.Connection: a peer that is always there.

func (l *Loopback) ID() uint64                  { return l.id }
func (l *Loopback) SendKeepalive()              {}
func (l *Loopback) MarkDisposable()             {}
func (l *Loopback) RetryNow()                   {}
func (l *Loopback) LastError() error            { return nil }
func (l *Loopback) IsConnected() bool           { return !l.IsClosed() }
func (l *Loopback) IsLoopback() bool            { return true }
func (l *Loopback) PeerName() entity.Name       { return l.own.Self().Name }
func (l *Loopback) PeerType() entity.Type       { return l.own.Self().Name.Type }
func (l *Loopback) PeerAddrs() entity.AddrVec   { return l.own.Self().Addrs }
func (l *Loopback) PeerGlobalID() uint64        { return 0 }
func (l *Loopback) Features() uint64            { return msg.FeaturesAll }
func (l *Loopback) Policy() msg.Policy          { return l.own.Self().Policy }
func (l *Loopback) LastKeepalive() time.Time    { return time.Time{} }
func (l *Loopback) LastKeepaliveAck() time.Time { return time.Time{} }
func (l *Loopback) String() string              { return fmt.Sprintf("loopback of %s", l.own.Self().Name) }

// TransportAddrs implements msg.Connection: there is no socket.
func (l *Loopback) TransportAddrs() (local, remote netip.AddrPort) { return local, remote }

// Authenticated implements msg.Connection.
func (l *Loopback) Authenticated() (none entity.Authenticated) { return none }

// State implements msg.Connection.
func (l *Loopback) State() msg.ConnState {
	if l.IsClosed() {
		return msg.StateClosed
	}
	return msg.StateReady
}

// IsClosed implements msg.Connection.
func (l *Loopback) IsClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed != nil
}

// SetValue implements msg.Connection.
func (l *Loopback) SetValue(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = v
}

// Value implements msg.Connection.
func (l *Loopback) Value() any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}
