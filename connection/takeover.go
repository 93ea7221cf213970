package connection

import (
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// The methods of this file carry out what was decided about a connection in
// StateArbitrating; all run on its worker.

// MoveTo puts an arbitrating connection, with its transport, on worker w and
// calls then there. If the transport cannot be moved the connection faults.
func (c *Conn) MoveTo(w eventloop.Worker, then func()) {
	c.w.StopTimer(&c.timer)
	t := c.t
	sock, err := t.Detach()
	if err != nil {
		c.transportDown(NetworkError(err))
		c.drain()
		return
	}
	c.t = nil
	c.s.SetBuffers(c.sh.Buffers[w.ID()])
	c.mu.Lock()
	c.w = w // from here on the other worker may run what was posted
	c.mu.Unlock()
	task := eventloop.TaskFunc(func() {
		if c.s.State() != session.StateArbitrating { // marked down on the way
			sock.Close()
			return
		}
		c.t = w.Adopt(sock, c)
		c.t.PauseRead()
		then()
	})
	if w.Post(task) != nil {
		sock.Close() // the stack is closed
		c.ended()
	}
}

// Settle has the session of c settle it with that of ex, the existing connection of its
// peer on the same worker, or nil (session.Settle), and carries out what that led to on
// ex. What it led to on c is due with Answered.
func (c *Conn) Settle(ex *Conn) session.Outcome {
	if ex == nil {
		c.sh.Log.Debug("arbitration", "conn", c, "verdict", c.s.Judge(nil))
		return c.s.Settle(c.now(), nil)
	}
	c.sh.Log.Debug("arbitration", "conn", c, "existing", ex, "verdict", c.s.Judge(ex.s))
	o := c.s.Settle(c.now(), ex.s)
	ex.drain()
	return o
}

// Answered goes on when the peer of c has got its answer.
func (c *Conn) Answered() {
	c.drain()
	c.unstash(c.now())
}

// TakeOver makes c, the existing connection of the peer, go on with the
// transport of in, which Settle told to Replace it and which ceases to exist.
func (c *Conn) TakeOver(in *Conn) {
	c.closeTransport()
	sock, err := in.t.Detach()
	if err != nil {
		in.closeTransport()
	}
	in.t = nil
	in.w.StopTimer(&in.timer)
	now := c.now()
	c.stash, in.stash = in.stash, nil
	c.pending, in.pending = in.pending, nil
	c.enter()
	c.s.TakeOver(now, in.s)
	c.leave()
	in.vanish()
	if err != nil {
		c.transportDown(NetworkError(err))
		c.drain()
		return
	}
	c.t = c.w.Adopt(sock, c)
	c.t.PauseRead()
	if c.pending != nil {
		c.t.WantFlush()
	}
	c.drain()
	c.unstash(now)
}

// vanish ends a connection that was taken over; nobody has seen it.
func (c *Conn) vanish() {
	c.gone = true
	c.mu.Lock()
	first := c.closeLocked(session.ErrReplaced)
	c.mu.Unlock()
	if first {
		c.sh.Sink.Gone(c)
	}
	c.ended()
}
