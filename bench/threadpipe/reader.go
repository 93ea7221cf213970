package threadpipe

import (
	"errors"
	"io"

	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// reader reads one socket, on a thread of its own.
type reader struct {
	p    *Pipe // whose socket it is: another one's after a takeover
	sock socket
	prev <-chan struct{} // closed when the pipe's reader before it has ended; nil: it has
	done chan struct{}   // closed when this one has
	buf  readBuffer
	rest []byte // received, and not taken by the session
	w    work
}

func newReader(p *Pipe, sock socket, prev <-chan struct{}) *reader {
	return &reader{p: p, sock: sock, prev: prev, done: make(chan struct{}), buf: newReadBuffer(p.m.cfg.ReadBuffer)}
}

// run is the reader's thread. Should user code end it, another one takes its place.
func (r *reader) run() {
	returned := false
	defer func() {
		if !returned {
			r.p.m.spawn(r.run)
			return
		}
		r.buf.free()
		close(r.done)
	}()
	r.follow()
	r.p.mu.Lock()
	for r.p.sock == r.sock {
		p := r.p
		p.take(&r.w)
		if len(r.w.list) > 0 {
			r.tell()
			continue
		}
		p.uncork()
		switch {
		case p.arbitrate:
			p.arbitrate = false
			p.mu.Unlock()
			p.m.arbitrate(r)
			r.follow()
			r.p.mu.Lock()
		case p.authenticate:
			p.authenticate = false
			r.step()
		case p.s.Paused():
			p.adm.ReturnCredit()
			p.awaitRoom()
		case len(r.rest) > 0:
			n := p.s.HandleBytes(p.m.now(), r.rest)
			r.rest = r.rest[n:]
		default:
			r.read()
		}
	}
	r.p.uncork()
	r.p.adm.ReturnCredit()
	r.p.take(&r.w)
	r.p.mu.Unlock()
	r.p.perform(&r.w)
	returned = true
}

// step runs a slow step of the authentication, as all that this thread does; under mu,
// which is not held meanwhile.
func (r *reader) step() {
	p, returned := r.p, false
	step := p.s.AuthStep()
	if step == nil {
		return
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		if p.s.HandleStep(p.m.now()); !returned { // user code ends the thread
			p.mu.Unlock()
		}
	}()
	step.Run()
	returned = true
}

// follow waits until the reader before this one has ended, so that messages are
// dispatched in their order.
func (r *reader) follow() {
	if r.prev != nil {
		<-r.prev
		r.prev = nil
	}
}

// tell tells user code what has come; under mu, which is not held meanwhile. What user
// code sends now goes out together.
func (r *reader) tell() {
	p := r.p
	p.corked, p.clock = !p.m.cfg.plain(), p.m.now()
	p.mu.Unlock()
	p.tell(&r.w)
	p.mu.Lock()
	p.settle(&r.w)
	p.uncork()
}

// uncork wakes the writer for what was sent while the reader dispatched; under mu.
func (p *Pipe) uncork() {
	if p.corked {
		p.corked = false
		p.kick()
	}
}

// read receives into the session's memory, or into rest; under mu, which is not held
// meanwhile.
func (r *reader) read() {
	p, sock := r.p, r.sock
	p.adm.ReturnCredit()
	into := p.s.ReadInto()
	buf := into
	if into != nil {
		p.direct = true
	} else {
		buf = r.buf.bytes()
	}
	p.mu.Unlock()
	n, err := sock.read(buf, into != nil)
	p.mu.Lock()
	if into != nil {
		p.direct = false
		p.idle.Broadcast()
	}
	if p.sock != sock {
		return
	}
	if n == 0 {
		if err == errStalled {
			p.s.HandleTimeout(p.m.now()) // the writer must not, while it might cost the memory
			return
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = session.ErrPeerClosed
		}
		p.transportDown(sock, connection.NetworkError(err))
		return
	}
	if into != nil {
		p.s.HandleDirect(p.m.now(), n)
		return
	}
	r.buf.read(n)
	r.rest = buf[:n]
}
