package threadpipe

import (
	"context"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// Send implements msg.Connection.
func (p *Pipe) Send(x *msg.Message) error {
	if err := connection.TakeMessage(x, &p.m.sessCfg, p.m.clock); err != nil {
		return err
	}
	_, err := p.enqueue(x, false)
	return err
}

// SendContext implements msg.Connection.
func (p *Pipe) SendContext(ctx context.Context, x *msg.Message) error {
	if err := connection.BeginWait(ctx); err != nil {
		return err
	}
	if err := connection.TakeMessage(x, &p.m.sessCfg, p.m.clock); err != nil {
		return err
	}
	return connection.SendWaiting(ctx, x, p.enqueue, mayWait)
}

// enqueue puts x, which was taken, into the session's queue, or gives it back with an
// error. If there is no room and wait is set, it returns a channel that is closed when
// there is, and x stays taken.
func (p *Pipe) enqueue(x *msg.Message, wait bool) (room <-chan struct{}, err error) {
	var w work
	p.mu.Lock()
	if p.closed != nil {
		err = fmt.Errorf("%w: %w", msg.ErrClosed, p.closed)
	} else {
		room, err = p.account.Take(x, wait)
	}
	if err == nil && room == nil {
		if x.Priority == 0 {
			x.Priority = uint8(p.m.defaultPrio.Load())
		}
		p.tellPressure()
		now := p.clock // a look at the clock for each message would be felt
		if !p.corked {
			now = p.m.now()
		}
		p.s.Send(now, x)
		p.take(&w)
	}
	p.mu.Unlock()
	if err != nil {
		msg.GiveBack(x)
	}
	p.perform(&w)
	return room, err
}

// Cancel implements msg.Connection.
func (p *Pipe) Cancel(x *msg.Message) bool {
	if !msg.Cancel(x) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Once for all that are cancelled until it has its turn: it goes through the queue.
	if !p.sweeps && !p.gone {
		p.sweeps = true
		p.m.spawn(p.sweep)
	}
	return true
}

// sweep ends the sending of messages that were cancelled.
func (p *Pipe) sweep() {
	p.do(func() {
		p.sweeps = false
		p.s.Sweep(p.m.now())
	})
}

// do runs f under mu, and carries out what the session wants done then.
func (p *Pipe) do(f func()) {
	var w work
	p.mu.Lock()
	f()
	p.take(&w)
	p.mu.Unlock()
	p.perform(&w)
}

// SendQueue implements msg.Connection.
func (p *Pipe) SendQueue() (messages int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.account.Held()
}

// Flush implements msg.Connection.
func (p *Pipe) Flush(ctx context.Context) error {
	if err := connection.BeginWait(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	done := p.account.Flush()
	p.mu.Unlock()
	return connection.AwaitFlush(ctx, done, p, mayWait)
}

// mayWait returns an error if the calling goroutine must not wait: it is a reader or a
// writer, or closes a connection, and is in a callback.
func mayWait() error {
	if callback.Inside() == callback.Worker {
		return msg.ErrOnWorker
	}
	return nil
}

// SendKeepalive implements msg.Connection.
func (p *Pipe) SendKeepalive() { p.do(func() { p.s.Keepalive(p.m.now()) }) }

// Follow makes whoever listens at the peer's place the peer: see session.Follow.
func (p *Pipe) Follow() { p.do(func() { p.s.Follow(p.m.now()) }) }

// RetryNow implements msg.Connection.
func (p *Pipe) RetryNow() { p.do(func() { p.s.RetryNow(p.m.now()) }) }

// MarkDisposable implements msg.Connection.
func (p *Pipe) MarkDisposable() {
	p.mu.Lock()
	p.s.MarkDisposable()
	p.publish()
	p.mu.Unlock()
}

// MarkDown implements msg.Connection.
func (p *Pipe) MarkDown() { p.Close(msg.ErrMarkedDown) }

// Close is MarkDown with another reason.
func (p *Pipe) Close(reason error) {
	p.Seen.MarkedDown.Store(true)
	var w work
	p.mu.Lock()
	if p.closeFor(reason) {
		p.Seen.Connected.Store(false)
		p.m.reg.Remove(p)
		p.loseSocket()
		p.s.MarkDown(reason)
		p.take(&w)
	}
	p.mu.Unlock()
	p.m.queue.Discard(p.ID(), true)
	p.perform(&w)
}

// Fault makes the pipe lose its socket, as if the network had failed.
func (p *Pipe) Fault(err error) {
	p.do(func() {
		if p.sock != nil {
			p.transportDown(p.sock, err)
		} else {
			p.s.Fault(p.m.now(), err)
		}
	})
}

// giveUp ends a session whose peer is absent, for that reason; any other is left alone.
func (p *Pipe) giveUp(reason error) { p.do(func() { p.s.GiveUp(p.m.now(), reason) }) }
