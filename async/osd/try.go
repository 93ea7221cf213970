package osd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// errAgain is wrapped by why a try has failed, where another one may succeed.
var errAgain = errors.New("osd: no answer yet")

func again(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errAgain, fmt.Errorf(format, args...))
}

// try asks the OSD that has the object at the moment, once.
func (c *Client) try(ctx context.Context, x *op, pool string, o *wire.OSDOp) (*msg.Message, error) {
	p, err := c.place(ctx, pool, o.Namespace, o.Object)
	if err != nil {
		return nil, err
	}
	if p.primary < 0 {
		return nil, again("%s: its placement group has no OSD", named(pool, o.Namespace, o.Object))
	}
	addrs, err := c.addrs(ctx, p.primary)
	if err != nil {
		return nil, err
	}
	conn, err := c.m.ConnectToWith(msg.LossyClient(), entity.TypeOSD, addrs)
	if other, ok := errors.AsType[*msg.PolicyError](err); ok {
		conn, err = other.Conn, nil
	}
	if err != nil {
		return nil, fmt.Errorf("osd.%d: %w", p.primary, err)
	}
	o.Pool, o.Hash, o.Seed, o.Epoch = p.pool, p.hash, p.seed, p.epoch
	if c.aim(x, conn, o) {
		if err := send(ctx, conn, o, p.primary); err != nil {
			return nil, err
		}
	}
	m, err := c.answer(ctx, x, conn, p.primary)
	if !errors.Is(err, errUnblocked) {
		return m, err
	}
	// Once for each try, so that an OSD that blocks and unblocks for ever is not a hot loop.
	o.Retry++
	if c.aim(x, conn, o) {
		if err := send(ctx, conn, o, p.primary); err != nil {
			return nil, err
		}
	}
	return c.answer(ctx, x, conn, p.primary)
}

// send sends an operation once.
func send(ctx context.Context, conn msg.Connection, o *wire.OSDOp, osd int) error {
	err := conn.SendContext(ctx, o.Message())
	switch {
	case errors.Is(err, msg.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, msg.ErrClosed):
		return again("osd.%d: %w", osd, err)
	case err != nil:
		return fmt.Errorf("osd.%d: %w", osd, err)
	}
	return nil
}

// errUnblocked: what was held back may be sent again.
var errUnblocked = errors.New("it held the object back for a while (MOSDBackoff)")

// answer waits for the answer to a try.
func (c *Client) answer(ctx context.Context, x *op, conn msg.Connection, osd int) (*msg.Message, error) {
	late := time.NewTimer(c.cfg.AnswerTimeout)
	defer late.Stop()
	for {
		select {
		case e := <-x.events:
			switch {
			case e.reply != nil: // an answer to an earlier try is as good
				return e.reply, nil
			case e.conn != conn:
			case errors.Is(e.err, frame.ErrTooLarge): // it would be again
				return nil, fmt.Errorf("%w: osd.%d: %w", ErrTooLarge, osd, e.err)
			case e.err != nil && refused(e.err):
				return nil, fmt.Errorf("osd.%d: %w", osd, e.err)
			default:
				return nil, again("osd.%d: %w", osd, e.err)
			}
		case <-x.changed:
			if held, dropped := c.isHeld(x); dropped && !held {
				return nil, again("osd.%d: %w", osd, errUnblocked)
			}
		case <-late.C:
			if held, _ := c.isHeld(x); held { // perhaps another OSD has it now
				return nil, again("osd.%d: %w", osd, errHeld)
			}
			return nil, again("osd.%d: no answer within %v", osd, c.cfg.AnswerTimeout)
		case <-ctx.Done():
			if held, _ := c.isHeld(x); held {
				return nil, again("osd.%d: %w", osd, errHeld)
			}
			return nil, context.Cause(ctx)
		}
	}
}

// refused says whether an OSD does not let this side in.
func refused(err error) bool {
	failed, ok := errors.AsType[*msg.ConnectError](err)
	return ok && failed.Reason == msg.ReasonAuth && failed.Attempt > refusalsMax
}

// refusalsMax is how many refusals of an OSD are not believed: after the first the client gets
// other tickets.
const refusalsMax = 2

// Dispatch implements msg.Dispatcher.
func (c *Client) Dispatch(m *msg.Message) bool {
	conn := m.Connection()
	switch m.Type {
	case wire.TypeOSDOpReply:
		c.mu.Lock()
		x := c.ops[m.TID]
		c.mu.Unlock()
		if x != nil {
			x.tell(event{conn: conn, reply: m})
		}
		return m.TID>>tidBits == c.last.Load()>>tidBits // a late one is nobody else's
	case wire.TypeOSDMap: // by which an OSD says that it has a newer map; the monitor is asked anyway
		return conn.PeerType() == entity.TypeOSD
	case wire.TypeOSDBackoff:
		return conn.PeerType() == entity.TypeOSD && c.dispatchBackoff(m)
	}
	return false
}

// HandleReset implements msg.ResetHandler.
func (c *Client) HandleReset(conn msg.Connection, reason error) bool {
	c.mu.Lock()
	delete(c.held, conn)
	c.mu.Unlock()
	c.tellAll(conn, reason)
	return false
}

// HandleConnectFailed implements msg.ConnectFailedHandler: an OSD that is not there any more
// leaves its operations to another one. One that refuses is called again with other tickets, by
// the messenger, refusalsMax times.
func (c *Client) HandleConnectFailed(conn msg.Connection, err *msg.ConnectError) {
	told := c.tellAll(conn, err)
	if told && (err.Reason != msg.ReasonAuth || err.Attempt > refusalsMax) {
		conn.MarkDown()
	}
}

// tellAll tells the operations that are out on a connection, and says whether there are any.
func (c *Client) tellAll(conn msg.Connection, err error) (told bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.ops {
		if x.conn == conn {
			x.tell(event{conn: conn, err: err})
			told = true
		}
	}
	return told
}

// tell leaves an event, unless there are too many, of which the first ones will do.
func (x *op) tell(e event) {
	select {
	case x.events <- e:
	default:
	}
}
