package stream

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// awaitOpen waits for the answer to OPEN.
func (c *Conn) awaitOpen(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.writers.wakeAll()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if done, err := c.answerLocked(); done {
			return err
		}
		if err := ctx.Err(); err != nil {
			c.closeLocked(net.ErrClosed, CodeCancelled, "")
			return err
		}
		c.writers.waitLocked()
	}
}

// answerLocked is what came of the OPEN, if that is known.
func (c *Conn) answerLocked() (done bool, err error) {
	switch {
	case c.closed != nil:
		return true, c.closed
	case c.opened: // what has become of it since is for Read and Write to say
		return true, nil
	}
	return c.fail != nil, c.fail
}

// flushLocked sends what is owed, as far as there is room.
func (c *Conn) flushLocked() {
	for c.owed != 0 && !c.sending && !c.late && !c.removed {
		bit := c.owed & -c.owed
		var m *msg.Message
		switch bit {
		case oweOpen:
			m = build(typeOpen, c.key, c.prio, header{window: uint32(c.window), service: c.service})
		case oweAccept:
			m = build(typeAccept, c.key, c.prio, header{window: uint32(c.window)})
		case oweWindow:
			m = build(typeWindow, c.key, c.prio, header{window: uint32(c.toReturn)})
		case oweFin:
			m = build(typeFin, c.key, c.prio, header{})
		case oweClose:
			m = build(typeClose, c.key, c.prio, header{code: c.code, reason: c.reason})
		}
		if err := c.s.conn.Send(m); err != nil {
			m.Release()
			if errors.Is(err, msg.ErrQueueFull) {
				c.late = true
				c.s.postpone(c)
				return
			}
			c.brokenLocked(err)
			return
		}
		c.owed &^= bit
		switch bit {
		case oweAccept:
			c.writers.wakeAll()
		case oweWindow:
			c.grant += c.toReturn
			c.toReturn = 0
		case oweClose:
			c.sentEnd = true
			c.owed = 0
			c.tidyLocked()
		}
	}
}

// brokenLocked: nothing can be sent over the connection any more.
func (c *Conn) brokenLocked(err error) {
	c.failLocked(ending(err))
	c.owed, c.sentEnd, c.gotClose = 0, true, true
	c.tidyLocked()
}

// failLocked ends both directions at once, for that reason.
func (c *Conn) failLocked(err error) {
	if c.fail == nil {
		c.fail = err
	}
	c.stopLocked()
}

// stopLocked drops what was not read and lets all who wait look again.
func (c *Conn) stopLocked() {
	c.in.drop()
	c.readers.wakeAll()
	c.writers.wakeAll()
	if c.stopSend != nil {
		c.stopSend()
	}
	c.tidyLocked()
}

// tidyLocked takes the stream out of the table when both ends have said CLOSE, and gives the
// window back when nothing is left to be read in addition.
func (c *Conn) tidyLocked() {
	if !c.removed && c.sentEnd && c.gotClose {
		c.removed = true
		c.s.remove(c)
	}
	if c.removed && !c.released && c.in.empty() {
		c.released = true
		c.s.release(c.window)
	}
}

// closeLocked is Close: calls on this side fail with err from now on, and the peer is told
// the rest.
func (c *Conn) closeLocked(err error, code uint32, reason string) {
	c.closed = err
	c.endLocked(code, reason)
	c.stopLocked()
}

// endLocked owes the peer a CLOSE, unless that was sent.
func (c *Conn) endLocked(code uint32, reason string) {
	if c.sentEnd || c.removed || c.owed&oweClose != 0 {
		return
	}
	c.code, c.reason = code, reason
	c.owed = c.owed&(oweOpen|oweAccept) | oweClose
	c.flushLocked()
}

// reset: the session with the peer is over, and the table empty.
func (c *Conn) reset(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.removed && c.closed == nil {
		c.s.x.count.reset.Add(1)
	}
	c.owed, c.sentEnd, c.gotClose, c.removed = 0, true, true, true
	c.failLocked(reason)
}

// breach: the peer broke the protocol.
func (c *Conn) breach(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breachLocked(CodeProtocol, what)
}

func (c *Conn) breachLocked(code uint32, what string) {
	c.s.x.count.protocol.Add(1)
	c.failLocked(&CloseError{Code: code, Reason: what})
	c.endLocked(code, what)
}

// lost: the messenger gave up a message that was sent. If it was OPEN or ACCEPT, the peer will
// not answer the CLOSE; so that is not waited for.
func (c *Conn) lost(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(fmt.Errorf("%w: %w", ErrLost, reason))
	c.endLocked(CodeProtocol, "a message was lost")
	c.gotClose, c.gotFin = true, true
	c.tidyLocked()
}

// handleControl takes a message that is neither OPEN nor DATA, on the worker.
func (c *Conn) handleControl(typ uint16, h header, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if typ == typeClose {
		c.handleClose(h, err)
		return
	}
	if err == nil && typ == typeAccept && !c.opened { // also if it is closed here meanwhile
		c.opened = true
		c.credit, c.sendWindow = int(h.window), int(h.window)
		c.writers.wakeAll()
		return
	}
	if c.sentEnd || c.owed&oweClose != 0 {
		return // it crossed our CLOSE
	}
	if err != nil {
		c.breachLocked(CodeProtocol, err.Error())
		return
	}
	if !c.opened {
		c.breachLocked(CodeProtocol, "used before ACCEPT")
		return
	}
	switch typ {
	case typeAccept:
		c.breachLocked(CodeProtocol, "ACCEPT twice")
	case typeWindow:
		if c.credit+int(h.window) > c.sendWindow {
			c.breachLocked(CodeProtocol, fmt.Sprintf("WINDOW of %d bytes, with %d of %d left",
				h.window, c.credit, c.sendWindow))
			return
		}
		c.credit += int(h.window)
		c.writers.wakeAll()
	case typeFin:
		if c.gotFin {
			c.breachLocked(CodeProtocol, "FIN twice")
			return
		}
		c.gotFin = true
		c.readers.wakeAll()
	}
}

func (c *Conn) handleClose(h header, err error) {
	if err != nil {
		h = header{code: CodeProtocol, reason: err.Error()}
		c.s.x.count.protocol.Add(1)
	}
	wasOpen := c.opened
	c.gotClose, c.gotFin = true, true
	switch {
	case !wasOpen: // refused
		c.sentEnd, c.owed = true, 0
		c.failLocked(&CloseError{Code: h.code, Reason: h.reason, Remote: true})
		return
	case h.code == CodeUnknown:
		c.sentEnd, c.owed = true, 0
		c.failLocked(&CloseError{Code: h.code, Reason: h.reason, Remote: true})
		return
	case h.code != CodeClosed:
		c.failLocked(&CloseError{Code: h.code, Reason: h.reason, Remote: true})
	}
	c.endLocked(CodeClosed, "")
	c.readers.wakeAll()
	c.writers.wakeAll()
	if c.stopSend != nil {
		c.stopSend()
	}
	c.tidyLocked()
}

// Close closes the stream in both directions and returns at once. What was written is
// still sent, and the peer reads it and then io.EOF; what was not read is dropped, and
// what the peer writes from now on fails there. Closing twice answers net.ErrClosed.
func (c *Conn) Close() error { return c.closeWith(CodeClosed, "") }

// CloseWithError closes the stream in both directions at once, for that reason: reads and
// writes of the peer fail with a *CloseError that has it, also if something is left
// there to be read. code is the application's, from 1 up and below CodeReserved.
func (c *Conn) CloseWithError(code uint32, reason string) error {
	if code >= CodeReserved {
		return fmt.Errorf("stream: CloseWithError with code %#x, which is reserved", code)
	}
	return c.closeWith(code, reason)
}

func (c *Conn) closeWith(code uint32, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.opError("close", net.ErrClosed)
	}
	var err error = net.ErrClosed
	if code != CodeClosed {
		err = &CloseError{Code: code, Reason: reason}
	}
	c.closeLocked(err, code, reason)
	c.readers.stop()
	c.writers.stop()
	return nil
}

// CloseWrite ends what this side writes: the peer reads what was written, then io.EOF.
// Reading goes on. A Write that waits fails.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writeErrLocked(); err != nil && !c.finished {
		return c.opError("close", err)
	}
	if c.finished {
		return nil
	}
	c.finished = true
	c.writers.wakeAll()
	if c.stopSend != nil {
		c.stopSend()
	}
	c.owed |= oweFin
	c.flushLocked()
	return nil
}
