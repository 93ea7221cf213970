package threadpipe

import "github.com/asyncmsgr/asyncmsgr/connection/session"

// arbitrate decides about an accepted pipe whose peer has said who it is (msgr2
// spec 3.5), on its reader r. The socket may belong to another pipe from now on; r then
// has to follow that one's reader.
func (m *Messenger) arbitrate(r *reader) {
	p := r.p
	var told []*toTell
	m.arbMu.Lock()
	for again := true; again; {
		p.mu.Lock()
		for p.writing { // part of the handshake, which a socket has room for
			p.idle.Wait()
		}
		if p.gone || p.s.State() != session.StateArbitrating {
			p.mu.Unlock()
			break // closed meanwhile
		}
		ex := m.existing(p)
		again = m.settle(r, ex)
		if ex != nil {
			told = append(told, ex.toTell())
			ex.mu.Unlock()
		}
		told = append(told, p.toTell())
		p.mu.Unlock()
	}
	m.arbMu.Unlock()
	tellAll(told)
}

// toTell is work of a pipe that is to be performed.
type toTell struct {
	p *Pipe
	w work
}

// toTell takes what p's session wants done; under mu.
func (p *Pipe) toTell() *toTell {
	x := &toTell{p: p}
	p.take(&x.w)
	return x
}

// tellAll performs all, whatever user code does.
func tellAll(all []*toTell) {
	defer func() {
		if len(all) > 0 { // it has ended the goroutine
			tellAll(all)
		}
	}()
	for len(all) > 0 {
		x := all[0]
		all = all[1:]
		x.p.perform(&x.w)
	}
}

// existing returns the existing pipe of the peer of p, locked, or nil; p is the one from
// now on if it has none, or asks for no session of its own. Under arbMu and p.mu.
func (m *Messenger) existing(p *Pipe) (ex *Pipe) {
	switch in := p.s.Incoming(); {
	case in.Unlisted:
	case in.Reconnect:
		ex = m.reg.Lookup(in.Addrs)
	default:
		ex = m.reg.Claim(in.Addrs, p)
	}
	if ex == p {
		return nil
	}
	if ex != nil {
		ex.mu.Lock()
	}
	return ex
}

// settle has the sessions of r's pipe and the existing one of its peer settle it, and does
// what that leaves to do; again means that the existing one was changing. Under arbMu and
// the mutexes of both.
func (m *Messenger) settle(r *reader, ex *Pipe) (again bool) {
	p, now := r.p, m.now()
	var existing *session.Session
	if ex != nil {
		existing = ex.s
	}
	v := p.s.Judge(existing)
	m.log.Debug("arbitration", "pipe", p, "existing", ex, "verdict", v)
	if ex != nil && ex.direct && (v.Action == session.ActReplace || v.Action == session.ActStopAccept) {
		ex.transportDown(ex.sock, session.ErrReplaced) // its reader lets go of its memory
		return true
	}
	outcome := p.s.Settle(now, existing)
	switch {
	case outcome == session.Replace:
		r.prev = ex.takeOver(p)
		r.p = ex
	case outcome == session.Register && m.claims(p, ex):
		p.s.Accept(now)
	case outcome == session.Register:
		p.s.Refuse(now, session.ErrStale)
	}
	return false
}

// claims makes p the pipe of its peer in place of ex, which is over or nil, and says
// whether it is.
func (m *Messenger) claims(p, ex *Pipe) bool {
	if ex != nil {
		m.reg.Remove(ex) // before its end is carried out
	}
	return m.reg.Claim(p.s.Incoming().Addrs, p) == nil
}

// takeOver makes p, the existing pipe of the peer, go on with the socket of in,
// which ceases to exist. It returns the end of p's last reader. Under arbMu and
// the mutexes of both.
func (p *Pipe) takeOver(in *Pipe) (prev <-chan struct{}) {
	p.stopDialling()
	p.closeSocket()
	p.Seen.Connected.Store(false)
	p.corked = false // the reader that did it may be long in coming back
	p.s.TakeOver(p.m.now(), in.s)
	p.sock, in.sock = in.sock, nil
	p.publish()
	p.gen++
	prev, p.readerDone = p.readerDone, in.readerDone
	in.gone = true
	in.closeFor(session.ErrReplaced)
	in.m.reg.Remove(in)
	return prev
}
