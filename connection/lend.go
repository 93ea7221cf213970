package connection

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// A message that is sent while the connection's worker sleeps need not wait until
// that is awake: its sender becomes the worker for a moment (eventloop.Lender),
// encodes and writes. There is still one owner at a time, but this one does nothing
// else: what calls user code, above all, is left to the worker.

const (
	// lendMax is the largest payload sent this way, in bytes: it bounds for how long
	// others on the worker are held up.
	lendMax = 64 << 10
	// lendPause is how soon after each other messages are thought to belong
	// together. The worker then sends them in one write, which costs less.
	lendPause = 20 * time.Microsecond
)

// lend does what the Run that is due would do, on this goroutine. false: Run has to
// be posted, since the worker does not sleep, or since more messages of this
// connection are about to be dispatched: their replies had better go out together.
func (c *Conn) lend() bool {
	if c.queued.Load() > 1 {
		return false
	}
	if x := c.sh.Inject; x != nil && x.swallows(c.PeerType()) {
		return false
	}
	l, ok := c.postedTo.(eventloop.Lender)
	return ok && l.Lend((*borrower)(c))
}

// borrower is a connection as a task for its worker while that is lent.
type borrower Conn

// Run implements eventloop.Task.
func (b *borrower) Run() { (*Conn)(b).runLent() }

func (c *Conn) runLent() {
	c.mu.Lock()
	now := c.postedTo.Now()
	burst := c.sends > 1 || now-c.lentAt < lendPause
	c.sends, c.lentAt = 0, now
	// Without a transport a message may make the session dial, which is not for us.
	if burst || c.postedTo != c.w || c.cmds != 0 || c.closed != nil || c.t == nil || c.s.State() != session.StateReady {
		c.mu.Unlock()
		c.post()
		return
	}
	ms := c.takeInbox(now)
	c.mu.Unlock()

	c.stats().Lent.Add(1)
	c.lent = true
	c.sendAll(now, ms)
	c.holdAck()
	if c.t != nil && c.pending == nil && c.s.WantsWrite() {
		c.HandleFlush()
	} else {
		c.drain()
	}
	c.lent = false
}

// leaves says whether what the session wants done next is left to the worker itself, by
// who is the worker for a moment: all but the end of a sending of which nobody wants to be
// told. What comes behind it waits too.
func (c *Conn) leaves() bool {
	o, ok := c.s.PeekOutput()
	return ok && (o.Kind != session.OutFinish || o.Err != nil || o.Msg.Notify != nil || !msg.Intact(o.Msg))
}
