package async

import (
	"context"
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// Flush waits until every message that was accepted before the call, over all
// connections, has had its end; see msg.Connection.Flush.
func (m *Messenger) Flush(ctx context.Context) error {
	if err := connection.BeginWait(ctx); err != nil {
		return err
	}
	var waits []<-chan struct{}
	for _, c := range m.reg.Snapshot() {
		if done := c.Flushed(); done != nil {
			waits = append(waits, done)
		}
	}
	if done := m.loop.Flushed(); done != nil {
		waits = append(waits, done)
	}
	if len(waits) > 0 {
		if err := mayWait(); err != nil {
			return err
		}
	}
	for i, done := range waits {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("msgr: %d of %d connections still hold messages that were sent: %w",
				len(waits)-i, len(waits), ctx.Err())
		}
	}
	return nil
}

// Drain ends the messenger in peace: it begins no new session (ConnectTo answers
// ErrShutdown, peers are turned away; those that exist go on, break and come back, and
// may still send), waits until everything that was sent has had its end (Flush),
// acknowledges what was received, so that peers do not wait for that in vain, and shuts
// down. If ctx ends before that, what is left is reported undeliverable with ErrShutdown,
// and ctx's error is wrapped; Wait then waits for those reports. A peer that is away may
// never come back: give ctx a deadline. What was received and still waits for dispatch is
// discarded and counted, as by Shutdown: "acknowledged" does not mean handled. Where the
// sender has to know that, answer.
func (m *Messenger) Drain(ctx context.Context) error {
	if err := mayWait(); err != nil {
		return err
	}
	m.reg.Drain()
	err := m.Flush(ctx)
	for _, c := range m.reg.Snapshot() {
		c.Acknowledge()
	}
	_ = m.awaitPosted(ctx, func(int) {}) // Shutdown says it too
	down := m.Shutdown(ctx)
	if err != nil && errors.Is(down, ctx.Err()) {
		return err // which says more of the same
	}
	return errors.Join(err, down)
}

// mayWait returns an error if the calling goroutine must not wait: it is a worker.
func mayWait() error {
	if callback.Inside() == callback.Worker {
		return msg.ErrOnWorker
	}
	return nil
}
