package connection

import (
	"context"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// What the calls that wait have in common: Send with a Context, and Flush, of every kind
// of connection.

// BeginWait is the beginning of each call that waits: a nil ctx panics, one that has
// ended is an error.
func BeginWait(ctx context.Context) error {
	if ctx == nil {
		panic("msgr: nil Context")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("msgr: not begun: %w", err)
	}
	return nil
}

// wait waits until done is closed. mayWait says whether the calling goroutine may wait at
// all.
func wait(ctx context.Context, done <-chan struct{}, mayWait func() error) error {
	if err := mayWait(); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SendWaiting has enqueue take m, which was taken from its sender, as soon as there is
// room for it: enqueue returns a channel that is closed when it is to be tried again, or
// the end of it. If there is none, m is given back.
func SendWaiting(
	ctx context.Context, m *msg.Message,
	enqueue func(m *msg.Message, wait bool) (room <-chan struct{}, err error), mayWait func() error,
) error {
	for {
		room, err := enqueue(m, true)
		if room == nil {
			return err
		}
		if err := wait(ctx, room, mayWait); err != nil {
			msg.GiveBack(m)
			return fmt.Errorf("%w: %w", msg.ErrQueueFull, err)
		}
	}
}

// AwaitFlush waits until done is closed, which is nil if there is nothing to wait for.
func AwaitFlush(ctx context.Context, done <-chan struct{}, c msg.Connection, mayWait func() error) error {
	if done == nil {
		return nil
	}
	err := wait(ctx, done, mayWait)
	if err != nil && err == ctx.Err() {
		n, bytes := c.SendQueue()
		return fmt.Errorf("msgr: flush with %d messages, %d bytes held by %v: %w", n, bytes, c, err)
	}
	return err
}
