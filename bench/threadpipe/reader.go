package threadpipe

import (
	"errors"
	"io"

	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// readLoop is the reader of one socket. prev is closed when the pipe's reader
// before it has ended, so that messages are dispatched in their order.
func (p *Pipe) readLoop(sock socket, prev, done chan struct{}) {
	defer close(done)
	if prev != nil {
		<-prev
	}
	var w work
	buf := newReadBuffer(p.m.cfg.ReadBuffer)
	defer buf.free()
	var rest []byte // received, and not taken by the session
	p.mu.Lock()
	for p.sock == sock {
		switch {
		case p.arbitrate:
			p.arbitrate = false
			p.mu.Unlock()
			owner, prev := p.m.arbitrate(p)
			if owner != p {
				p = owner
				if prev != nil {
					<-prev
				}
			}
			p.mu.Lock()
		case p.s.Paused():
			p.returnCredit()
			p.awaitRoom()
		case len(rest) > 0:
			n := p.s.HandleBytes(p.m.now(), rest)
			rest = rest[n:]
		default:
			rest = p.read(sock, &buf)
		}
		p.take(&w)
		if len(w.list) > 0 {
			// What user code sends now goes out together.
			p.corked, p.clock = !p.m.cfg.plain(), p.m.now()
			p.mu.Unlock()
			p.perform(&w)
			p.mu.Lock()
			p.corked = false
			p.kick()
		}
	}
	p.returnCredit()
	p.take(&w)
	p.mu.Unlock()
	p.perform(&w)
}

// read receives into the session's memory, or returns what was received into buf;
// under mu, which is not held meanwhile.
func (p *Pipe) read(sock socket, own *readBuffer) []byte {
	p.returnCredit()
	into := p.s.ReadInto()
	buf := into
	if into != nil {
		p.direct = true
	} else {
		buf = own.bytes()
	}
	p.mu.Unlock()
	n, err := sock.read(buf, into != nil)
	p.mu.Lock()
	if into != nil {
		p.direct = false
		p.idle.Broadcast()
	}
	if p.sock != sock {
		return nil
	}
	if n == 0 {
		if err == errStalled {
			p.s.HandleTimeout(p.m.now()) // the writer must not, while it might cost the memory
			return nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = session.ErrPeerClosed
		}
		p.transportDown(sock, err)
		return nil
	}
	if into != nil {
		p.s.HandleDirect(p.m.now(), n)
		return nil
	}
	own.read(n)
	return buf[:n]
}
