package connection

import (
	"context"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Send implements msg.Connection. Any goroutine; it takes one short lock, and
// wakes the worker if that is not on its way already, or sends itself (see lend.go).
func (c *Conn) Send(m *msg.Message) error {
	if err := c.checkSize(m); err != nil {
		return err
	}
	_, err := c.enqueue(m, false)
	return err
}

// SendContext implements msg.Connection.
func (c *Conn) SendContext(ctx context.Context, m *msg.Message) error {
	if err := c.checkSize(m); err != nil {
		return err
	}
	for {
		room, err := c.enqueue(m, true)
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

// checkSize refuses what the peer's decoder would refuse.
func (c *Conn) checkSize(m *msg.Message) error {
	l := &c.sh.Session.Limits
	if uint64(len(m.Front)) > uint64(l.Front) || uint64(len(m.Middle)) > uint64(l.Middle) || uint64(len(m.Data)) > uint64(l.Data) {
		return fmt.Errorf("%w: front %d (at most %d), middle %d (%d), data %d (%d)", msg.ErrTooLarge,
			len(m.Front), l.Front, len(m.Middle), l.Middle, len(m.Data), l.Data)
	}
	return nil
}

// enqueue puts m into the inbox. If that is full and wait is set, it returns a
// channel that is closed when there is room.
func (c *Conn) enqueue(m *msg.Message, wait bool) (room <-chan struct{}, err error) {
	size := int64(m.PayloadLen())
	o := &c.sh.Options
	c.mu.Lock()
	if c.closed != nil {
		err = c.closed
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", msg.ErrClosed, err)
	}
	// An oversized message is let in alone.
	if c.nmsgs >= o.SendMessagesMax || c.nmsgs > 0 && c.nbytes+size > o.SendBytesMax {
		if wait {
			if c.room == nil {
				c.room = make(chan struct{})
			}
			room = c.room
		} else {
			err = fmt.Errorf("%w: %d messages, %d bytes", msg.ErrQueueFull, c.nmsgs, c.nbytes)
		}
		c.mu.Unlock()
		return room, err
	}
	if m.Priority == 0 {
		m.Priority = uint8(o.DefaultPriority.Load())
	}
	c.nmsgs++
	c.sends++
	c.nbytes += size
	c.inbox = append(c.inbox, m)
	post := c.wantPost()
	c.mu.Unlock()
	if post && !(size <= lendMax && c.lend()) {
		c.post()
	}
	return nil, nil
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
		// The stack was closed under the messenger: nothing can be sent any more.
		c.abandonInbox(msg.ErrShutdown)
		c.over()
	}
}

// SendKeepalive implements msg.Connection.
func (c *Conn) SendKeepalive() { c.command(cmdKeepalive) }

// MarkDisposable implements msg.Connection.
func (c *Conn) MarkDisposable() { c.command(cmdDisposable) }

// MarkDown implements msg.Connection.
func (c *Conn) MarkDown() { c.Close(msg.ErrMarkedDown) }

// Close is MarkDown with another reason. Any goroutine; when it returns, nothing
// more is accepted or dispatched for the connection. The rest is done by the
// worker.
func (c *Conn) Close(reason error) {
	c.isDown.Store(true)
	c.mu.Lock()
	first := c.closeLocked(reason)
	c.mu.Unlock()
	if !first {
		c.sh.Sink.Discard(c) // of a reset that was not dispatched yet too
		return
	}
	c.connected.Store(false)
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

// wakeSenders lets those who wait for room try again; under mu.
func (c *Conn) wakeSenders() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// abandonInbox reports everything in the inbox undeliverable. Any goroutine.
func (c *Conn) abandonInbox(reason error) {
	c.mu.Lock()
	ms := c.inbox
	c.inbox = nil
	c.posted = false
	c.mu.Unlock()
	for _, m := range ms {
		c.finish(m, reason, nil)
	}
}

// finish ends the sending of m; r is the worker's recycler, or nil elsewhere.
func (c *Conn) finish(m *msg.Message, err error, r *msg.Recycler) {
	if p := msg.NotifySent(c, m, err); p != nil {
		c.sh.Sink.UserPanic(c, p)
	}
	if err != nil {
		c.sh.Sink.Undeliverable(c, m, err)
	}
	r.Sent(m)
}

// settle takes finished messages off the account and wakes senders.
func (c *Conn) settle(n int, bytes int64) {
	c.mu.Lock()
	c.nmsgs -= n
	c.nbytes -= bytes
	if c.nmsgs < 0 || c.nbytes < 0 {
		panic(fmt.Sprintf("connection %d: %d messages, %d bytes held", c.id, c.nmsgs, c.nbytes))
	}
	c.wakeSenders()
	c.mu.Unlock()
}
