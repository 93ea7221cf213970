package mon

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
	"github.com/asyncmsgr/asyncmsgr/eventloop"

	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
)

// How soon the client looks again, at the least and at the most.
const (
	lookMin = 10 * time.Millisecond
	lookMax = time.Minute
)

// Dispatch implements msg.Dispatcher.
func (c *Client) Dispatch(m *msg.Message) bool {
	switch m.Type {
	case msg.TypeMonMap, msg.TypeMonCommandAck, msg.TypeMonGetVersionReply, msg.TypeMonSubscribeAck, msg.TypeConfig,
		wire.TypeOSDMap, cephx.TypeMAuthReply:
	default:
		return false
	}
	if !c.isOurs(m.Connection()) {
		return false
	}
	c.post(func(now time.Duration) { c.handle(m, now) })
	return true
}

// HandleConnect implements msg.ConnectHandler.
func (c *Client) HandleConnect(conn msg.Connection) {
	if !c.isOurs(conn) {
		return
	}
	c.post(func(now time.Duration) {
		if i, ok := c.callOf(conn); ok && c.session.conn == nil {
			c.up(i, conn, now)
		}
	})
}

// HandleReset implements msg.ResetHandler.
func (c *Client) HandleReset(conn msg.Connection, reason error) bool {
	if !c.isOurs(conn) {
		return false
	}
	c.post(func(now time.Duration) {
		if i, ok := c.callOf(conn); ok {
			c.failed(i, reason)
		} else if conn == c.session.conn {
			c.lost(reason, false, now)
		}
	})
	return true
}

// HandleConnectFailed implements msg.ConnectFailedHandler.
func (c *Client) HandleConnectFailed(conn msg.Connection, err *msg.ConnectError) {
	if !c.isOurs(conn) {
		return
	}
	c.post(func(time.Duration) {
		if i, ok := c.callOf(conn); ok {
			c.failed(i, fmt.Errorf("%s: %w", c.mons[i], err))
		}
	})
}

// post has f run on the worker, and after it what is due.
func (c *Client) post(f func(now time.Duration)) {
	_ = c.w.Post(eventloop.TaskFunc(func() { // refused: the stack is closed
		callback.OnWorker(func() {
			now := c.w.Now()
			f(now)
			c.look(now)
		})
	}))
}

// Run implements eventloop.Task: it does what is due.
func (c *Client) Run() { callback.OnWorker(func() { c.look(c.w.Now()) }) }

// HandleTimer implements eventloop.TimerHandler.
func (c *Client) HandleTimer(time.Duration) { c.Run() }

// look does what is due, and sets the timer for what is due next.
func (c *Client) look(now time.Duration) {
	if c.isClosed() {
		c.end()
		return
	}
	wake := now + lookMax
	if c.session.conn != nil {
		c.watch(now)
	}
	if c.session.conn != nil {
		c.askDue(now)
		wake = min(wake, c.session.ping, c.session.heard+c.cfg.KeepaliveTimeout, c.renewAt(now))
		if since := c.asks.oldest(); since != 0 {
			wake = min(wake, since+c.cfg.AnswerTimeout)
		}
	} else {
		wake = min(wake, c.callDue(now))
	}
	if c.isClosed() {
		c.end()
		return
	}
	c.w.SetTimer(&c.timer, max(wake, now+lookMin))
}

// renewAt is when tickets are due.
func (c *Client) renewAt(now time.Duration) time.Duration {
	if c.cfg.Cephx == nil {
		return now + lookMax
	}
	at := c.cfg.Cephx.RenewAt()
	if at.IsZero() {
		return now + lookMin
	}
	return now + at.Sub(c.cfg.Cephx.Now())
}

// callDue calls the monitors whose turn it is, and says when to look again.
func (c *Client) callDue(now time.Duration) time.Duration {
	for i := range c.mons {
		if conn := c.calls[i]; conn != nil && conn.IsClosed() { // by somebody else, of which nobody is told
			c.failed(i, fmt.Errorf("%s: %w", c.mons[i], msg.ErrMarkedDown))
		}
	}
	begin, giveUp, wake := c.hunt.step(now)
	for _, i := range giveUp {
		err := fmt.Errorf("%s: mon: it does not let this side in within %v", c.mons[i], c.cfg.AttemptTimeout)
		c.set(func(s *state) { s.last = err })
		c.giveUp(i)
	}
	for _, i := range begin {
		conn, err := c.m.ConnectAnonWith(msg.LossyClient(), entity.TypeMon, c.mons[i])
		if errors.Is(err, msg.ErrShutdown) {
			c.stop()
			return now
		}
		if err != nil {
			c.failed(i, fmt.Errorf("%s: %w", c.mons[i], err))
			wake = now // the next one
			continue
		}
		c.calls[i] = conn
	}
	c.setOurs()
	if wake == 0 {
		wake = now + lookMax
	}
	return wake
}

// failed notes that monitor number i could not be reached, or refuses.
func (c *Client) failed(i int, err error) {
	c.hunt.failed(i)
	c.giveUp(i)
	c.set(func(s *state) { s.last = err })
	failed, ok := errors.AsType[*msg.ConnectError](err)
	if !ok || failed.Reason != msg.ReasonAuth {
		return
	}
	// Keys are the cluster's: a second monitor is asked, no more of them.
	c.refusals++
	if c.refusals < min(2, len(c.mons)) {
		return
	}
	c.refusals = 0
	err = fmt.Errorf("%w: %w", ErrRefused, err)
	c.cfg.Logger.Warn("mon: refused", "err", err)
	c.set(func(s *state) { s.refused = err })
	c.finishAll(err)
}

// giveUp ends the call of monitor number i.
func (c *Client) giveUp(i int) {
	if conn := c.calls[i]; conn != nil {
		conn.MarkDown()
		delete(c.calls, i)
		c.setOurs()
	}
}

// callOf is the number of the monitor that is called on conn.
func (c *Client) callOf(conn msg.Connection) (i int, ok bool) {
	for i, x := range c.calls {
		if x == conn {
			return i, true
		}
	}
	return 0, false
}

// setOurs tells isOurs which connections are the client's.
func (c *Client) setOurs() {
	var ours []msg.Connection
	for _, x := range c.calls {
		ours = append(ours, x)
	}
	if c.session.conn != nil {
		ours = append(ours, c.session.conn)
	}
	c.mu.Lock()
	c.ours = ours
	c.mu.Unlock()
}

// isOurs says whether a connection is one of the client's. Any goroutine.
func (c *Client) isOurs(conn msg.Connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.ours, conn)
}

// end closes everything, after Close.
func (c *Client) end() {
	c.w.StopTimer(&c.timer)
	for i := range c.mons {
		c.giveUp(i)
	}
	if c.session.conn != nil {
		c.session.conn.MarkDown()
		c.session = session{}
		c.setOurs()
	}
	c.finishAll(ErrClosed)
}
