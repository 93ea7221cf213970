package connection

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// The methods of this file move bytes between the transport and the session, and say what
// becomes of a transport that is broken; all run on the worker.

// HandleConnected implements eventloop.Handler.
func (c *Conn) HandleConnected(t eventloop.Transport) {
	c.s.HandleTransportUp(c.now(), t.RemoteAddr(), t.LocalAddr())
	c.drain()
}

// ReadInto implements eventloop.Handler.
func (c *Conn) ReadInto() []byte { return c.s.ReadInto() }

// HandleRead implements eventloop.Handler.
func (c *Conn) HandleRead(direct int, rest []byte) {
	if c.sh.Inject.cut() {
		c.transportDown(ErrInjected)
		c.drain()
		return
	}
	now := c.now()
	if direct > 0 {
		c.enter()
		c.s.HandleDirect(now, direct)
		c.leave()
	}
	c.feed(now, rest, false)
}

// feed gives received bytes to the session and keeps what it does not take. own says that
// they lie in memory of c's, which may be kept as it is: with a throttle that is granted one
// message at a time, all that is left would be copied for each message.
func (c *Conn) feed(now time.Duration, b []byte, own bool) {
	for {
		t := c.t
		if t == nil {
			return
		}
		if len(b) > 0 && !c.s.Paused() {
			c.enter()
			b = b[c.s.HandleBytes(now, b):]
			c.leave()
		}
		if c.s.Paused() {
			if own && c.stash == nil && len(b) > 0 {
				c.stash = b
			} else {
				c.stash = append(c.stash, b...)
			}
			b = nil
			t.PauseRead()
		}
		c.drain()
		if len(b) == 0 || c.t != t {
			return
		}
	}
}

// resume goes on after the throttles were granted.
func (c *Conn) resume() {
	now := c.now()
	c.traffic.goesOn()
	c.enter()
	c.s.Resume(now)
	c.leave()
	c.drain() // a message without more bytes to come is complete already
	c.unstash(now)
}

// unstash gives the session what was kept while it was paused, and reads on.
func (c *Conn) unstash(now time.Duration) {
	if c.s.Paused() || c.t == nil {
		return
	}
	b := c.stash
	c.stash = nil
	c.t.ResumeRead()
	if len(b) > 0 {
		c.feed(now, b, true)
	}
}

// HandleEOF implements eventloop.Handler. msgr2 has no half-closed connections.
func (c *Conn) HandleEOF() {
	c.transportDown(session.ErrPeerClosed)
	c.drain()
}

// HandleClosed implements eventloop.Handler.
func (c *Conn) HandleClosed(err error) {
	c.forgetTransport() // it is closed
	c.transportDown(NetworkError(err))
	c.drain()
}

// transportDown is the way down of a transport that is broken: the session is told, by
// whoever found it, and what it wants done then is still to be done (drain).
func (c *Conn) transportDown(err error) {
	c.closeTransport()
	c.enter()
	c.s.HandleTransportDown(c.now(), err)
	c.leave()
}

// closeTransport closes the transport, if there is one.
func (c *Conn) closeTransport() {
	t := c.t
	c.forgetTransport()
	if t != nil {
		t.Close()
	}
}

// forgetTransport forgets what belongs to the transport: what was received and not taken
// yet, and what was encoded and not written.
func (c *Conn) forgetTransport() {
	c.t = nil
	c.stash = nil
	c.traffic.goesOn()
	c.dropPending()
}

func (c *Conn) dropPending() {
	if c.pending != nil {
		c.buffers().PutBatch(c.pending)
		c.pending = nil
	}
}

// HandleFlush implements eventloop.Handler: encode and write until the socket is
// full, nothing is left, or the neighbours' turn has come.
func (c *Conn) HandleFlush() {
	t, now := c.t, c.now()
	if t == nil {
		return
	}
	o := &c.sh.Options
	for budget := o.WriteBudget; ; {
		if c.pending == nil {
			c.pending = c.buffers().Batch()
		}
		if c.pending.Len() == 0 {
			c.s.Fill(now, c.pending, c.batch.limit(o.WriteBatch))
			c.countFilled()
			if c.pending.Len() == 0 {
				break
			}
		}
		if c.sh.Inject.jam() {
			t.WantFlush()
			c.drain()
			return
		}
		if c.sh.Inject.cut() {
			c.transportDown(ErrInjected)
			break
		}
		n, err := t.Write(c.pending.Buffers())
		c.pending.Advance(n)
		c.s.Written(now, n)
		if err != nil {
			c.transportDown(NetworkError(err))
			break
		}
		budget -= n
		full := c.pending.Len() > 0
		if !o.WriteBatchFixed {
			c.batch.took(o.WriteBudget-budget, o.WriteBatch, full)
		}
		if full {
			c.drain() // the socket is full: the stack calls again
			return
		}
		if budget <= 0 {
			t.WantFlush()
			break
		}
	}
	if c.pending != nil && c.pending.Len() == 0 {
		c.dropPending()
	}
	c.drain()
}

func (c *Conn) countFilled() {
	f := c.s.TakeFilled()
	if f.Messages == 0 {
		return
	}
	st := c.stats()
	st.Sent.Add(f.Messages)
	st.SentBytes.Add(f.Bytes)
	if f.Replayed > 0 {
		st.Replayed.Add(f.Replayed)
	}
	c.traffic.out(f)
	c.countPacked()
}
