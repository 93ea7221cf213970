package threadpipe

import (
	"fmt"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// kick wakes the writer if there is something to do for it; under mu.
func (p *Pipe) kick() {
	if !p.asleep {
		return
	}
	due := p.gone
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

// batches are what writers encode into; one that waits has none.
var batches = sync.Pool{New: func() any { return &frame.Batch{Blocks: new(frame.Blocks)} }}

// writeLoop is the writer: it writes, and keeps the session's time. Should user code
// end it, another one takes its place.
func (p *Pipe) writeLoop() {
	returned := false
	defer func() {
		if !returned {
			p.m.spawn(p.writeLoop)
		}
	}()
	var w work
	var b *frame.Batch
	p.mu.Lock()
	for {
		p.take(&w)
		if len(w.list) > 0 {
			p.mu.Unlock()
			p.tell(&w)
			p.mu.Lock()
			p.settle(&w)
			continue
		}
		if p.gone {
			break
		}
		if p.sock != nil && p.s.WantsWrite() {
			if b == nil {
				b = batches.Get().(*frame.Batch)
			}
			p.write(b, &w)
			continue
		}
		if b != nil {
			b.Trim()
			batches.Put(b)
			b = nil
		}
		p.sleep()
	}
	p.mu.Unlock()
	p.wake.close()
	returned = true
}

// write writes one batch; under mu, which is not held meanwhile. The session is
// told at once that the bytes were written: the peer's acknowledgement may be
// there before this goroutine is. What it finishes is held until that is true.
func (p *Pipe) write(b *frame.Batch, w *work) {
	now := p.m.now()
	p.s.Fill(now, b, p.m.cfg.WriteBatch)
	if b.Len() == 0 {
		return // what was queued was cancelled, or came too late
	}
	p.countFilled()
	lossy := p.s.Policy().Lossy
	p.writing = true
	p.s.Written(now, b.Len())
	p.take(w)
	sock := p.sock
	p.mu.Unlock()
	n, err := sock.writev(b.Buffers())
	for err == errStalled {
		p.mu.Lock()
		p.stalled(sock, n, w)
		p.mu.Unlock()
		n, err = sock.writeRest()
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
		p.transportDown(sock, connection.NetworkError(err))
	}
}

// stalled looks at the deadline in the middle of a write, n bytes after the last time;
// under mu. If the session gives up, the socket is closed, which ends the write.
func (p *Pipe) stalled(sock socket, n int, w *work) {
	if p.sock != sock {
		return
	}
	if n > 0 {
		p.s.HandleRoom(p.m.now())
	}
	if p.direct {
		return // the reader looks
	}
	p.s.HandleTimeout(p.m.now())
	p.take(w)
	if len(w.list) > 0 {
		// By another thread: user code must not end this one in the middle of a write.
		rest := *w
		*w = work{}
		p.m.spawn(func() { p.perform(&rest) })
	}
}

func (p *Pipe) countFilled() {
	if f := p.s.TakeFilled(); f.Messages > 0 {
		p.counts.Sent.Add(f.Messages)
		p.counts.SentBytes.Add(f.Bytes)
		p.counts.Replayed.Add(f.Replayed)
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
