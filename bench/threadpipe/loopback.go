package threadpipe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// loopback is the messenger's connection to itself (msgr2 spec 5.4): a thread of
// its own hands messages over without encoding, in the order of their Send. The
// thread begins with the first Send. It is connected until Shutdown; MarkDown drops
// what is on its way and leaves it open.
type loopback struct {
	m    *Messenger
	id   uint64
	wake waker

	mu      sync.Mutex // guards the fields below
	inbox   []*msg.Message
	running bool // the thread was started
	asleep  bool // it waits to be woken
	closed  error
	nmsgs   int // accepted by Send and not yet dispatched
	nbytes  int64
	room    chan struct{} // closed when there is room again; nil: nobody waits
	value   any
}

func newLoopback(m *Messenger) *loopback {
	return &loopback{m: m, id: m.lastID.Add(1), wake: m.net.newWaker()}
}

// Send implements msg.Connection.
func (l *loopback) Send(x *msg.Message) error {
	_, err := l.enqueue(x, false)
	return err
}

// SendContext implements msg.Connection.
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
	size, cfg := int64(x.PayloadLen()), &l.m.cfg
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
	l.nmsgs++
	l.nbytes += size
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

// run is the thread of local delivery.
func (l *loopback) run() {
	defer l.wake.close()
	l.mu.Lock()
	for {
		switch {
		case len(l.inbox) > 0:
			ms := l.inbox
			l.inbox = nil
			l.mu.Unlock()
			l.deliver(ms)
			l.mu.Lock()
		case l.closed != nil:
			l.mu.Unlock()
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

// deliver ends the sending of each message and dispatches it; without mu.
func (l *loopback) deliver(ms []*msg.Message) {
	m := l.m
	c := m.countsOf(l.id)
	for _, x := range ms {
		if r := msg.NotifySent(l, x, nil); r != nil {
			m.userPanicked(l, r, nil)
		}
		c.delivered.Add(1)
		d := msg.Deliverable(x, msg.Incoming{Conn: l, Receipt: l, At: m.now(), Charge: int64(x.PayloadLen())})
		if m.chain.Fast(d) == dispatch.Unhandled {
			_ = m.queue.Enqueue(dispatch.Item{Kind: dispatch.KindMessage, Priority: d.Priority, Class: l.id, Msg: d, Conn: l})
			continue
		}
		c.fast.Add(1)
	}
}

func (l *loopback) drop(x *msg.Message, reason error) {
	l.DispatchDone(int64(x.PayloadLen()))
	if r := msg.NotifySent(l, x, reason); r != nil {
		l.m.userPanicked(l, r, nil)
	}
	l.m.countsOf(l.id).undeliverable.Add(1)
	l.m.chain.Undeliverable(l, x, reason)
	(*msg.Recycler)(nil).Sent(x)
}

// DispatchDone implements msg.Receipt: room for another message.
func (l *loopback) DispatchDone(size int64) {
	l.mu.Lock()
	l.nmsgs--
	l.nbytes -= size
	l.wakeSenders()
	l.mu.Unlock()
}

func (l *loopback) wakeSenders() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// Hold and Unhold implement msg.Receipt: no policy throttles here.
func (l *loopback) Hold(int64)   {}
func (l *loopback) Unhold(int64) {}

// close ends the loopback connection and its thread.
func (l *loopback) close(reason error) {
	l.mu.Lock()
	l.closed = reason
	l.wakeSenders()
	l.mu.Unlock()
	l.MarkDown()
	l.mu.Lock()
	l.wakeLocked()
	l.mu.Unlock()
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
func (l *loopback) Policy() msg.Policy          { return l.m.policyFor(l.m.cfg.Name.Type) }
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
