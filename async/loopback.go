package async

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// loopback is the messenger's connection to itself (msgr2 spec 5.4): messages
// are handed over without encoding, in the order of their Send, on one worker.
// It is connected until Shutdown. MarkDown drops what is on its way and leaves
// it open, for there is no peer that could connect again.
type loopback struct {
	m  *Messenger
	id uint64
	w  eventloop.Worker

	mu     sync.Mutex
	inbox  []*msg.Message
	spare  []*msg.Message
	posted bool
	closed error
	nmsgs  int // accepted by Send and not yet dispatched
	nbytes int64
	room   chan struct{}
	value  any
}

func newLoopback(m *Messenger, id uint64) *loopback {
	return &loopback{m: m, id: id, w: m.cfg.Stack.Pick()}
}

func (l *loopback) Send(x *msg.Message) error {
	_, err := l.enqueue(x, false)
	return err
}

func (l *loopback) SendContext(ctx context.Context, x *msg.Message) error {
	for {
		room, err := l.enqueue(x, true)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", msg.ErrQueueFull, ctx.Err())
		}
	}
}

func (l *loopback) enqueue(x *msg.Message, wait bool) (<-chan struct{}, error) {
	size := int64(x.PayloadLen())
	cfg := &l.m.cfg
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		return nil, fmt.Errorf("%w: %w", msg.ErrClosed, l.closed)
	}
	if l.nmsgs >= cfg.SendQueueMessages || l.nmsgs > 0 && l.nbytes+size > cfg.SendQueueBytes {
		if !wait {
			return nil, fmt.Errorf("%w: %d messages, %d bytes", msg.ErrQueueFull, l.nmsgs, l.nbytes)
		}
		if l.room == nil {
			l.room = make(chan struct{})
		}
		return l.room, nil
	}
	if x.Priority == 0 {
		x.Priority = uint8(l.m.defaultPrio.Load())
	}
	if !l.posted {
		if err := l.w.Post(l); err != nil {
			return nil, fmt.Errorf("%w: %w", msg.ErrShutdown, err)
		}
		l.posted = true
	}
	l.nmsgs++
	l.nbytes += size
	l.inbox = append(l.inbox, x)
	return nil, nil
}

// Run implements eventloop.Task: deliver what was sent.
func (l *loopback) Run() {
	l.mu.Lock()
	ms, closed := l.inbox, l.closed
	l.inbox, l.spare = l.spare, nil
	l.posted = false
	l.mu.Unlock()

	var items []dispatch.Item
	for i, x := range ms {
		ms[i] = nil
		if closed != nil {
			l.drop(x, closed)
			continue
		}
		if p := msg.NotifySent(l, x, nil); p != nil {
			l.m.userPanicked(l, p, nil)
		}
		d := msg.Deliverable(x, msg.Incoming{Conn: l, Receipt: l, At: l.w.Now(), Charge: int64(x.PayloadLen())})
		l.m.shared.Stats[l.w.ID()].Delivered.Add(1)
		if l.m.chain.Fast(d) == dispatch.Unhandled {
			items = append(items, dispatch.Item{Kind: dispatch.KindMessage, Priority: d.Priority, Class: l.id, Msg: d, Conn: l})
		}
	}
	if len(items) > 0 {
		_ = l.m.queue.EnqueueBatch(items)
	}
	l.mu.Lock()
	if cap(ms) <= 256 && l.spare == nil {
		l.spare = ms[:0]
	}
	l.mu.Unlock()
}

func (l *loopback) drop(x *msg.Message, reason error) {
	l.DispatchDone(int64(x.PayloadLen()))
	if p := msg.NotifySent(l, x, reason); p != nil {
		l.m.userPanicked(l, p, nil)
	}
	l.m.undeliverable(l, x, reason)
	(*msg.Recycler)(nil).Sent(x)
}

// DispatchDone implements msg.Receipt: room for another message.
func (l *loopback) DispatchDone(size int64) {
	l.mu.Lock()
	l.nmsgs--
	l.nbytes -= size
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	l.mu.Unlock()
}

// Hold and Unhold implement msg.Receipt: no policy throttles here.
func (l *loopback) Hold(int64)   {}
func (l *loopback) Unhold(int64) {}

// Close ends the loopback connection.
func (l *loopback) Close(reason error) {
	l.mu.Lock()
	l.closed = reason
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
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

func (l *loopback) ID() uint64                  { return l.id }
func (l *loopback) SendKeepalive()              {}
func (l *loopback) MarkDisposable()             {}
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
