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
		again = m.decide(r, ex)
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
	in := p.s.Incoming()
	switch pol := p.s.Policy(); {
	case in.Reconnect:
		ex = m.reg.lookup(in.Addrs)
	case pol.Server && pol.Lossy && !pol.RegisterLossyClients:
		return nil // spec 3.5-3: no lookup, not registered
	default:
		ex = m.reg.claim(in.Addrs, p)
	}
	if ex == p {
		return nil
	}
	if ex != nil {
		ex.mu.Lock()
	}
	return ex
}

// decide carries the verdict on r's pipe and the existing one of its peer out; again
// means that the existing one was changing. Under arbMu and the mutexes of both.
func (m *Messenger) decide(r *reader, ex *Pipe) (again bool) {
	v := m.verdict(r.p, ex)
	if ex != nil && ex.direct && (v.Action == session.ActReplace || v.Action == session.ActStopAccept) {
		ex.transportDown(ex.sock, session.ErrReplaced) // its reader lets go of its memory
		return true
	}
	m.execute(r, ex, v)
	return false
}

func (m *Messenger) verdict(p, ex *Pipe) (v session.Verdict) {
	in := p.s.Incoming()
	if ex == nil {
		v = session.Arbitrate(in, nil, false)
	} else {
		existing := ex.s.Existing()
		v = session.Arbitrate(in, &existing, in.Addrs.Msgr2().Compare(m.Addrs().Msgr2()) < 0)
	}
	m.log.Debug("arbitration", "pipe", p, "existing", ex, "verdict", v)
	return v
}

// execute carries v out; see decide.
func (m *Messenger) execute(r *reader, ex *Pipe, v session.Verdict) {
	p, now := r.p, m.now()
	s := p.s
	switch v.Action {
	case session.ActAccept:
		if ex != nil && !m.claims(p) {
			s.AnswerRefuse(now, session.ErrStale)
			break
		}
		s.AnswerAccept(now)
	case session.ActStopAccept:
		ex.s.StopReplaced()
		m.reg.remove(ex) // before its end is carried out
		if !m.claims(p) {
			s.AnswerRefuse(now, session.ErrStale)
			break
		}
		s.AnswerAccept(now)
	case session.ActReplace:
		r.prev = ex.takeOver(p, v.Reset)
		r.p = ex
	case session.ActWait:
		s.AnswerWait()
		ex.s.Keepalive(now)
	case session.ActSendReset:
		if !v.Full && ex.halfMade(p) {
			ex.loseSocket()
			ex.s.Fault(now, session.ErrReplaced)
		}
		s.AnswerReset(v.Full)
	case session.ActSendRetry:
		s.AnswerRetry(v.Seq)
	case session.ActSendRetryGlobal:
		s.AnswerRetryGlobal(v.Seq)
	case session.ActRefuse:
		if v.Probe {
			ex.s.Keepalive(now)
		}
		s.AnswerRefuse(now, v.Err)
	}
}

// claims makes p the pipe of its peer, and says whether it is.
func (m *Messenger) claims(p *Pipe) bool { return m.reg.claim(p.s.Incoming().Addrs, p) == nil }

// halfMade says that ex, which may be nil, has an attempt of ours that is half made and
// has to end: see msgr2 spec 3.5, RECONNECT d.
func (ex *Pipe) halfMade(p *Pipe) bool {
	if ex == nil {
		return false
	}
	in, e := p.s.Incoming(), ex.s.Existing()
	return in.Reconnect && e.ServerCookie == 0 && e.ClientCookie == in.ClientCookie
}

// takeOver makes p, the existing pipe of the peer, go on with the socket of in,
// which ceases to exist. It returns the end of p's last reader. Under arbMu and
// the mutexes of both.
func (p *Pipe) takeOver(in *Pipe, reset bool) (prev <-chan struct{}) {
	p.stopDialling()
	p.closeSocket()
	p.connected.Store(false)
	p.corked = false // the reader that did it may be long in coming back
	p.s.TakeOver(p.m.now(), in.s, reset)
	p.sock, in.sock = in.sock, nil
	p.remote = in.remote
	p.gen++
	prev, p.readerDone = p.readerDone, in.readerDone
	in.gone = true
	in.closeFor(session.ErrReplaced)
	in.m.reg.remove(in)
	return prev
}
