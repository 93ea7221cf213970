package threadpipe

import (
	"context"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Send implements msg.Connection.
func (p *Pipe) Send(x *msg.Message) error {
	_, err := p.enqueue(x, false)
	return err
}

// SendContext implements msg.Connection.
func (p *Pipe) SendContext(ctx context.Context, x *msg.Message) error {
	for {
		room, err := p.enqueue(x, true)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", msg.ErrQueueFull, ctx.Err())
		}
	}
}

// enqueue puts x into the session's queue. If that is full and wait is set, it
// returns a channel that is closed when there is room.
func (p *Pipe) enqueue(x *msg.Message, wait bool) (room <-chan struct{}, err error) {
	l := &p.m.sessCfg.Limits
	if uint64(len(x.Front)) > uint64(l.Front) || uint64(len(x.Middle)) > uint64(l.Middle) || uint64(len(x.Data)) > uint64(l.Data) {
		return nil, fmt.Errorf("%w: front %d, middle %d, data %d", msg.ErrTooLarge, len(x.Front), len(x.Middle), len(x.Data))
	}
	size := int64(x.PayloadLen())
	cfg := &p.m.cfg
	var w work
	p.mu.Lock()
	switch {
	case p.closed != nil:
		err = fmt.Errorf("%w: %w", msg.ErrClosed, p.closed)
	case p.nmsgs >= cfg.SendQueueMessages || p.nmsgs > 0 && p.nbytes+size > cfg.SendQueueBytes:
		// (An oversized message is let in alone.)
		if !wait {
			err = fmt.Errorf("%w: %d messages, %d bytes", msg.ErrQueueFull, p.nmsgs, p.nbytes)
			break
		}
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room = p.room
	default:
		if x.Priority == 0 {
			x.Priority = uint8(p.m.defaultPrio.Load())
		}
		p.nmsgs++
		p.nbytes += size
		now := p.clock // a look at the clock for each message would be felt
		if !p.corked {
			now = p.m.now()
		}
		p.s.Send(now, x)
		p.take(&w)
	}
	p.mu.Unlock()
	p.perform(&w)
	return room, err
}

// wakeSenders lets those who wait for room try again; under mu.
func (p *Pipe) wakeSenders() {
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
}

// SendKeepalive implements msg.Connection.
func (p *Pipe) SendKeepalive() {
	var w work
	p.mu.Lock()
	p.s.Keepalive(p.m.now())
	p.take(&w)
	p.mu.Unlock()
	p.perform(&w)
}

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
	p.isDown.Store(true)
	var w work
	p.mu.Lock()
	if p.closeFor(reason) {
		p.connected.Store(false)
		p.m.reg.remove(p)
		p.loseSocket()
		p.s.MarkDown(reason)
		p.take(&w)
	}
	p.mu.Unlock()
	p.m.queue.Discard(p.id, true)
	p.perform(&w)
}

// Fault makes the pipe lose its socket, as if the network had failed.
func (p *Pipe) Fault(err error) {
	var w work
	p.mu.Lock()
	if p.sock != nil {
		p.transportDown(p.sock, err)
	} else {
		p.s.Fault(p.m.now(), err)
	}
	p.take(&w)
	p.mu.Unlock()
	p.perform(&w)
}
