package mon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Answer is a monitor's answer to a command that it has carried out. It is the caller's.
type Answer struct {
	// Status is a line for people, often empty.
	Status string
	Output []byte
}

// question is a message that is answered by one of another type.
type question struct {
	reply   uint16
	message func(id uint64) *msg.Message
	done    func(m *msg.Message, err error) // once, on the worker
}

// Command has the monitors carry out a command, a JSON object such as {"prefix":"osd dump"},
// with input, which must not be changed until it returns. It waits for a session, and asks
// again when the answer was lost, until ctx ends; see the package for what that means. Errors:
// *CommandError if the monitor has not carried it out; ErrBusy, ErrTooLarge, ErrRefused,
// ErrAnswer, ErrClosed; ctx's.
//
// A dispatcher of a messenger with Config.DispatchWidth 1 must not call it: the answer is
// dispatched behind it.
func (c *Client) Command(ctx context.Context, json string, input []byte) (Answer, error) {
	return await(ctx, c, "the answer to a command", func(done func(Answer, error)) (uint64, error) {
		return c.goCommand(json, input, done)
	})
}

// Go is Command that does not block. done is called once, on the worker, and must not block;
// if Go itself returns an error, it is not called. Close ends the wait of all.
func (c *Client) Go(json string, input []byte, done func(Answer, error)) error {
	_, err := c.goCommand(json, input, done)
	return err
}

func (c *Client) goCommand(json string, input []byte, done func(Answer, error)) (uint64, error) {
	return c.ask(&question{
		reply: msg.TypeMonCommandAck,
		message: func(id uint64) *msg.Message {
			return wire.Command(c.MonMap().FSID, id, json, input)
		},
		done: func(m *msg.Message, err error) {
			if err != nil {
				done(Answer{}, err)
				return
			}
			code, status, err := wire.ParseCommandAck(m.Front)
			switch {
			case err != nil:
				done(Answer{}, fmt.Errorf("%w: %w", ErrAnswer, err))
			case code < 0:
				done(Answer{}, &CommandError{Errno: -int(code), Status: status, Output: m.Data})
			default:
				done(Answer{Status: status, Output: m.Data}, nil)
			}
		},
	})
}

// Version is the newest and the oldest epoch of a map, such as "osdmap", that the monitors have.
type Version struct{ Newest, Oldest uint64 }

// GetVersion asks for the epochs of a map. The errors are those of Command.
func (c *Client) GetVersion(ctx context.Context, what string) (Version, error) {
	return await(ctx, c, "the version of a map", func(done func(Version, error)) (uint64, error) {
		return c.ask(&question{
			reply:   msg.TypeMonGetVersionReply,
			message: func(id uint64) *msg.Message { return wire.GetVersion(id, what) },
			done: func(m *msg.Message, err error) {
				if err != nil {
					done(Version{}, err)
					return
				}
				_, newest, oldest, err := wire.ParseGetVersionReply(m.Front)
				done(Version{newest, oldest}, err)
			},
		})
	})
}

// await begins a question and waits for its end.
func await[T any](ctx context.Context, c *Client, what string, begin func(func(T, error)) (uint64, error)) (T, error) {
	type end struct {
		v   T
		err error
	}
	var zero T
	if callback.Inside() == callback.Worker {
		return zero, fmt.Errorf("mon: %w", msg.ErrOnWorker)
	}
	ch := make(chan end, 1)
	id, err := begin(func(v T, err error) { ch <- end{v, err} })
	if err != nil {
		return zero, err
	}
	select {
	case e := <-ch:
		return e.v, e.err
	case <-c.ended:
		return zero, ErrClosed
	case <-ctx.Done():
		c.post(func(time.Duration) { c.finish(id, nil, context.Cause(ctx)) })
		c.mu.Lock()
		last, up := c.state.last, c.state.up
		c.mu.Unlock()
		if up {
			last = nil // of another time
		}
		return zero, waited(what, context.Cause(ctx), last)
	}
}

// ask has q asked. Any goroutine.
func (c *Client) ask(q *question) (id uint64, err error) {
	if c.isClosed() {
		return 0, ErrClosed
	}
	if c.asked.Add(1) > int64(c.cfg.CommandsMax) {
		c.asked.Add(-1)
		return 0, fmt.Errorf("%w: %d", ErrBusy, c.cfg.CommandsMax)
	}
	id = c.lastID.Add(1)
	c.post(func(time.Duration) {
		c.questions[id] = q
		c.asks.add(id)
	})
	return id, nil
}

// askDue sends the questions whose turn it is. On the worker.
func (c *Client) askDue(now time.Duration) {
	if c.MonMap().Epoch == 0 {
		return // a command names the cluster
	}
	for _, x := range c.asks.due() {
		id := x.id
		err := c.session.conn.Send(c.questions[id].message(id))
		switch {
		case err == nil:
			x.sent(max(now, 1))
		case errors.Is(err, msg.ErrQueueFull), errors.Is(err, msg.ErrClosed):
			return // the next look, or session
		case errors.Is(err, msg.ErrTooLarge):
			c.asks.end(id)
			c.finish(id, nil, fmt.Errorf("%w: %w", ErrTooLarge, err))
		default:
			c.asks.end(id)
			c.finish(id, nil, fmt.Errorf("mon: %w", err))
		}
	}
}

// answer ends the question that m answers; others are nobody's. On the worker.
func (c *Client) answer(id uint64, m *msg.Message) {
	if q := c.questions[id]; q != nil && q.reply == m.Type {
		c.asks.answered()
		c.finish(id, m, nil)
	}
}

// finish ends a question, if it has not ended. On the worker.
func (c *Client) finish(id uint64, m *msg.Message, err error) {
	q := c.questions[id]
	if q == nil {
		return
	}
	delete(c.questions, id)
	c.asks.end(id)
	c.asked.Add(-1)
	q.done(m, err)
}

// finishAll ends all questions. On the worker.
func (c *Client) finishAll(err error) {
	for len(c.asks.list) > 0 {
		c.finish(c.asks.list[0].id, nil, err)
	}
}
