package threadpipe

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// kick wakes the writer if there is something to do for it; under mu.
func (p *Pipe) kick() {
	if !p.asleep {
		return
	}
	due := p.gone || p.dialNow
	if !due && !p.corked {
		due = p.sock != nil && p.s.WantsWrite()
	}
	if !due {
		at, ok := p.s.Deadline()
		due = ok && (p.armed == 0 || at < p.armed)
	}
	if due {
		p.asleep = false
		p.wake.wake()
	}
}

// writeLoop is the writer: it dials, writes, and keeps the session's time.
func (p *Pipe) writeLoop() {
	var w work
	var b *frame.Batch
	p.mu.Lock()
	for {
		p.take(&w)
		if len(w.list) > 0 {
			p.mu.Unlock()
			p.perform(&w)
			p.mu.Lock()
			continue
		}
		if p.gone {
			break
		}
		if p.dialNow {
			p.dial()
			continue
		}
		if p.sock != nil && p.s.WantsWrite() {
			if b == nil {
				b = frame.GetBatch()
			}
			p.write(b, &w)
			continue
		}
		if b != nil {
			frame.PutBatch(b)
			b = nil
		}
		p.sleep()
	}
	p.mu.Unlock()
	p.wake.close()
}

// dial connects; under mu, which is not held meanwhile.
func (p *Pipe) dial() {
	p.dialNow = false
	target := p.s.Target().AddrPort
	p.mu.Unlock()
	if via := p.m.cfg.Via; via != nil {
		target = via(target)
	}
	sock, err := p.m.net.dial(p.m.ctx, target, p.m.cfg.ReadyTimeout)
	p.mu.Lock()
	switch {
	case p.gone || p.s.State() != session.StateConnecting: // another socket was taken over
		if sock != nil {
			sock.close()
		}
	case err != nil:
		p.dialNow = false
		p.s.HandleTransportDown(p.m.now(), err, errors.Is(err, syscall.ECONNREFUSED))
	default:
		p.dialNow = false
		p.attach(sock)
	}
}

// write writes one batch; under mu, which is not held meanwhile. The session is
// told at once that the bytes were written: the peer's acknowledgement may be
// there before this goroutine is. What it finishes is held until that is true.
func (p *Pipe) write(b *frame.Batch, w *work) {
	p.s.Fill(p.m.now(), b, p.m.cfg.WriteBatch)
	p.countFilled()
	lossy := p.s.Policy().Lossy
	p.writing = true
	p.s.Written(b.Len())
	p.take(w)
	sock := p.sock
	p.mu.Unlock()
	err := sock.writev(b.Buffers())
	for err == errStalled {
		p.mu.Lock()
		p.stalled(w)
		p.mu.Unlock()
		err = sock.writeRest()
	}
	b.Reset()
	p.mu.Lock()
	p.writing = false
	for i, o := range p.held {
		if err != nil && lossy && o.Err == nil {
			o.Err = fmt.Errorf("%w: %w", msg.ErrReset, err)
		}
		w.list = append(w.list, o)
		p.held[i] = session.Output{}
	}
	p.held = p.held[:0]
	p.idle.Broadcast()
	if err != nil {
		p.transportDown(sock, err)
	}
}

// stalled looks at the deadline in the middle of a write; under mu. If the session
// gives up, the socket is closed, which ends the write.
func (p *Pipe) stalled(w *work) {
	if p.direct || p.sock == nil {
		return // the reader does it, or it was done
	}
	p.s.HandleTimeout(p.m.now())
	p.take(w)
}

func (p *Pipe) countFilled() {
	if f := p.s.TakeFilled(); f.Messages > 0 {
		p.counts.sent.Add(f.Messages)
		p.counts.sentBytes.Add(f.Bytes)
		p.counts.replayed.Add(f.Replayed)
	}
}

// sleep waits until the writer is woken or the session's time has come; under mu,
// which is not held meanwhile.
func (p *Pipe) sleep() {
	now := p.m.now()
	at, ok := p.s.Deadline()
	if ok && p.direct {
		at = max(at, now+stallLimit) // the reader acts on it
	}
	if ok && now >= at {
		p.s.HandleTimeout(now)
		return
	}
	p.asleep, p.armed = true, 0
	wait := time.Duration(-1)
	if ok {
		p.armed, wait = at, at-now
	}
	p.mu.Unlock()
	p.wake.wait(wait)
	p.mu.Lock()
	p.asleep = false
}
