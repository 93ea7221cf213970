package connection

import (
	"context"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Send implements msg.Connection. Any goroutine; it takes one short lock, and
// wakes the worker if that is not on its way already, or sends itself (see lend.go).
func (c *Conn) Send(m *msg.Message) error {
	if err := c.accept(m); err != nil {
		return err
	}
	_, err := c.enqueue(m, false)
	return err
}

// SendContext implements msg.Connection.
func (c *Conn) SendContext(ctx context.Context, m *msg.Message) error {
	if err := BeginWait(ctx); err != nil {
		return err
	}
	if err := c.accept(m); err != nil {
		return err
	}
	return SendWaiting(ctx, m, c.enqueue, c.sh.mayWait)
}

// accept takes m from its sender, or refuses it.
func (c *Conn) accept(m *msg.Message) error { return TakeMessage(m, c.sh.Session, c.sh.Clock) }

// TakeMessage takes m from its sender, for a session with that configuration, or
// refuses it: what the peer's decoder would refuse, or what takeMessage does.
func TakeMessage(m *msg.Message, cfg *session.Config, clock eventloop.Clock) error {
	if m == nil {
		panic("msgr: Send of a nil Message")
	}
	l := &cfg.Limits
	middle := len(m.Middle)
	if n := len(m.TraceContext); n > 0 {
		middle += 1 + n // see frame.PrependTraceContext
	}
	if uint64(len(m.Front)) > uint64(l.Front) || uint64(middle) > uint64(l.Middle) ||
		uint64(len(m.Data)) > uint64(l.Data) {
		return fmt.Errorf(
			"%w: front %d (Limits.Front is %d), middle %d (Limits.Middle is %d), data %d (Limits.Data is %d)",
			msg.ErrTooLarge, len(m.Front), l.Front, middle, l.Middle, len(m.Data), l.Data)
	}
	if err := takeMessage(m, clock); err != nil {
		return err
	}
	if cfg.CheckPayloads {
		msg.Seal(m)
	}
	return nil
}

// takeMessage takes m from its sender, or refuses it: what is being sent already, or what
// is too late. clock is the one that the receiver's time is from. A nil m panics.
func takeMessage(m *msg.Message, clock eventloop.Clock) error {
	if m == nil {
		panic("msgr: Send of a nil Message")
	}
	if n := len(m.TraceContext); n > msg.TraceContextMax {
		return fmt.Errorf("%w: a trace context of %d bytes, more than %d", msg.ErrTooLarge, n, msg.TraceContextMax)
	}
	if err := msg.Take(m); err != nil {
		return err
	}
	if !m.Deadline.IsZero() {
		left := m.Deadline.Sub(clock.Wall())
		if left <= 0 {
			msg.GiveBack(m)
			return msg.ErrDeadline
		}
		msg.SetExpiry(m, clock.Now()+left)
	}
	return nil
}

// enqueue puts m into the inbox, or gives it back with an error. If there is no room
// and wait is set, it returns a channel that is closed when there is, and m stays taken.
func (c *Conn) enqueue(m *msg.Message, wait bool) (room <-chan struct{}, err error) {
	size := m.PayloadLen()
	post, room, err := c.put(m, wait)
	if post && !(size <= lendMax && c.lend()) {
		c.post()
	}
	return room, err
}

// put is enqueue without the post, which is left to the caller if it says so.
func (c *Conn) put(m *msg.Message, wait bool) (post bool, room <-chan struct{}, err error) {
	c.mu.Lock()
	if c.closed != nil {
		err = fmt.Errorf("%w: %w", msg.ErrClosed, c.closed)
		c.mu.Unlock()
		msg.GiveBack(m)
		return false, nil, err
	}
	if room, err = c.account.Take(m, wait); room != nil || err != nil {
		c.mu.Unlock()
		if err != nil {
			msg.GiveBack(m)
		}
		return false, room, err
	}
	if m.Priority == 0 {
		m.Priority = uint8(c.sh.Options.DefaultPriority.Load())
	}
	if _, changed := c.account.Pressure(); changed {
		c.cmds |= cmdPressure
	}
	if msg.SharedOf(m) == nil { // one of a broadcast does not say that others follow
		c.sends++
	}
	c.stamp(m)
	c.inbox = append(c.inbox, m)
	post = c.wantPost()
	c.mu.Unlock()
	return post, nil, nil
}

// command asks the worker for something.
func (c *Conn) command(cmd command) {
	c.mu.Lock()
	c.cmds |= cmd
	post := c.wantPost()
	c.mu.Unlock()
	if post {
		c.post()
	}
}

// wantPost says whether a Run has to be posted; under mu.
func (c *Conn) wantPost() bool {
	if c.posted {
		return false
	}
	c.posted, c.postedTo = true, c.w
	return true
}

func (c *Conn) post() {
	if err := c.postedTo.Post(c); err != nil {
		c.refused()
	}
}

// refused is called when c cannot be posted: the stack was closed under the messenger, and
// nothing can be sent any more.
func (c *Conn) refused() {
	c.abandonInbox(msg.ErrShutdown)
	c.ended()
}

// SendKeepalive implements msg.Connection.
func (c *Conn) SendKeepalive() { c.command(cmdKeepalive) }

// MarkDisposable implements msg.Connection.
func (c *Conn) MarkDisposable() { c.command(cmdDisposable) }

// RetryNow implements msg.Connection.
func (c *Conn) RetryNow() { c.command(cmdRetry) }

// Follow makes whoever listens at the peer's place the peer: see session.Follow.
func (c *Conn) Follow() { c.command(cmdFollow) }

// MarkDown implements msg.Connection.
func (c *Conn) MarkDown() { c.Close(msg.ErrMarkedDown) }

// Cancel implements msg.Connection.
func (c *Conn) Cancel(m *msg.Message) bool {
	if !msg.Cancel(m) {
		return false
	}
	c.command(cmdSweep)
	return true
}

// SendQueue implements msg.Connection.
func (c *Conn) SendQueue() (messages int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account.Held()
}

// Flush implements msg.Connection.
func (c *Conn) Flush(ctx context.Context) error {
	if err := BeginWait(ctx); err != nil {
		return err
	}
	return AwaitFlush(ctx, c.Flushed(), c, c.sh.mayWait)
}

// Flushed returns a channel that is closed when all that is held now has had its end;
// nil if nothing is. Any goroutine.
func (c *Conn) Flushed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account.Flush()
}

// Close is MarkDown with another reason. Any goroutine; when it returns, nothing
// more is accepted or dispatched for the connection. The rest is done by the
// worker.
func (c *Conn) Close(reason error) {
	c.Seen.MarkedDown.Store(true)
	c.mu.Lock()
	first := c.closeLocked(reason)
	c.mu.Unlock()
	if !first {
		c.sh.Sink.Discard(c) // of a reset that was not dispatched yet too
		return
	}
	c.Seen.Connected.Store(false)
	c.sh.Sink.Gone(c)
	c.sh.Sink.Discard(c)
	c.command(cmdMarkDown)
}

// Fault makes the connection lose its transport for that reason, as if the
// network had failed: a lossy session ends, a lossless one reconnects. Any goroutine.
func (c *Conn) Fault(err error) {
	c.mu.Lock()
	c.fault = err
	c.mu.Unlock()
	c.command(cmdFault)
}

// GiveUp ends a session whose peer is absent, or that nobody knows of yet, for that
// reason; any other is left alone. Any goroutine.
func (c *Conn) GiveUp(err error) {
	c.mu.Lock()
	c.fault = err
	c.mu.Unlock()
	c.command(cmdGiveUp)
}

// abandonInbox reports everything in the inbox undeliverable. Any goroutine.
func (c *Conn) abandonInbox(reason error) {
	c.mu.Lock()
	ms := c.inbox
	c.inbox = nil
	c.posted = false
	c.mu.Unlock()
	for _, m := range ms {
		var e Ended
		e.Add(m)
		c.finish(m, reason, nil)
		c.settle(e)
	}
}

// finish ends the sending of m; r is the worker's recycler, or nil elsewhere.
func (c *Conn) finish(m *msg.Message, err error, r *msg.Recycler) {
	if msg.SharedOf(m) != nil {
		defer msg.EndCopy(m, r, c.userFailed) // though user code ends the goroutine: the others count on it
		c.report(m, err)
		return
	}
	c.report(m, err)
	r.Sent(m)
}

// report tells how the sending of m ended.
func (c *Conn) report(m *msg.Message, err error) {
	if !msg.Intact(m) {
		c.sh.Sink.Changed(c, m)
	}
	msg.NotifySent(c, m, err, c.userFailed)
	if err != nil {
		c.sh.Sink.Undeliverable(c, msg.Original(m), err)
	}
}

// userFailed is told of callbacks that did not return.
func (c *Conn) userFailed(recovered any) { c.sh.Sink.UserPanic(c, recovered) }

// settle takes finished messages off the account and wakes senders.
func (c *Conn) settle(e Ended) {
	if e.n == 0 {
		return
	}
	if c.give(e) {
		c.post()
	}
}

// give is settle's part under mu, which is unlocked though the account is wrong and
// panics: who recovers would hang otherwise, and nobody hear of it.
func (c *Conn) give(e Ended) (post bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account.Give(e)
	if c.account.n > 0 {
		c.account.since = c.w.Now()
	}
	if _, changed := c.account.Pressure(); changed {
		c.cmds |= cmdPressure
	}
	return c.cmds&cmdPressure != 0 && c.wantPost()
}
