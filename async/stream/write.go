package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Write sends p, and returns when all of it is in the connection's send queue: it waits for
// the peer to read (Options.Window there) and for room in the queue. "Written" does not
// mean received. Errors, in a *net.OpError: os.ErrDeadlineExceeded; net.ErrClosed after
// Close and CloseWrite; a *CloseError if the peer closed; ErrPeerReset; msg.ErrOnWorker. n
// is how much was sent then.
func (c *Conn) Write(p []byte) (n int, err error) {
	if !c.wmu.TryLock() {
		if err := mayBlock(); err != nil {
			return 0, c.opError("write", err)
		}
		c.wmu.Lock()
	}
	defer c.wmu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for first := true; first || n < len(p); first = false {
		if err := c.writeErrLocked(); err != nil {
			return n, c.opError("write", err)
		}
		need := min(len(p)-n, c.s.x.opt.PieceMax)
		if need == 0 {
			break
		}
		// A small rest of the credit waits for more, rather than make small pieces.
		if c.credit < min(need, max(c.sendWindow/4, 1)) || c.owed&oweAccept != 0 {
			if err := c.writers.wait(); err != nil {
				return n, c.opError("write", err)
			}
			continue
		}
		k := min(need, c.credit)
		if err := c.sendLocked(p[n : n+k]); err != nil {
			return n, c.opError("write", err)
		}
		n += k
	}
	return n, nil
}

// writeErrLocked is why nothing can be written, or nil.
func (c *Conn) writeErrLocked() error {
	switch {
	case c.closed != nil:
		return c.closed
	case c.fail != nil:
		return c.fail
	case c.finished:
		return fmt.Errorf("%w for writing", net.ErrClosed)
	case c.gotClose:
		return &CloseError{Code: CodeClosed, Remote: true}
	}
	return c.writers.expired()
}

// sendLocked sends p, for which there is credit, as one message. mu is not held meanwhile.
func (c *Conn) sendLocked(p []byte) error {
	c.credit -= len(p)
	seq := c.sendSeq
	c.sendSeq++
	c.sending = true
	c.mu.Unlock()
	m := msg.New(typeData, len(p))
	copy(m.Front, p)
	m.TID, m.Priority, m.DataOff = c.key.tid(), c.prio, seq
	err := c.s.conn.Send(m)
	if err != nil && errors.Is(err, msg.ErrQueueFull) {
		err = c.sendWaiting(m)
	}
	c.mu.Lock()
	c.sending = false
	if err != nil {
		m.Release()
		c.credit += len(p)
		c.sendSeq--
		if errors.Is(err, msg.ErrClosed) || errors.Is(err, msg.ErrShutdown) {
			c.brokenLocked(err)
			err = c.fail
		}
	} else {
		count := &c.s.x.count
		count.messagesSent.Add(1)
		count.bytesSent.Add(uint64(len(p)))
	}
	c.flushLocked()
	return err
}

// sendWaiting waits for room in the send queue.
func (c *Conn) sendWaiting(m *msg.Message) error {
	c.s.x.count.sendWaits.Add(1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.mu.Lock()
	err := c.writeErrLocked()
	c.stopSend = cancel
	c.writers.arm()
	c.mu.Unlock()
	if err == nil {
		err = c.s.conn.SendContext(ctx, m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopSend = nil
	if err != nil && ctx.Err() != nil {
		if why := c.writeErrLocked(); why != nil {
			return why
		}
	}
	return err
}

var _ io.Writer = (*Conn)(nil)
