package threadpipe

import "github.com/asyncmsgr/asyncmsgr/connection/session"

// arbitrate decides about an accepted pipe whose peer has said who it is (msgr2
// spec 3.5), on its reader r. The socket may belong to another pipe from now on; r then
// has to follow that one's reader.
func (m *Messenger) arbitrate(r *reader) {
	p := r.p
	var mine work
	var others []toTell
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
		var ex *Pipe
		if ex, again = m.decide(r); ex != nil {
			its := toTell{p: ex}
			ex.take(&its.w)
			ex.mu.Unlock()
			others = append(others, its)
		}
		p.take(&mine)
		p.mu.Unlock()
	}
	m.arbMu.Unlock()
	defer func() { // whatever user code does
		for i := range others {
			others[i].p.perform(&others[i].w)
		}
	}()
	p.perform(&mine)
}

// toTell is work of a pipe that is to be performed.
type toTell struct {
	p *Pipe
	w work
}

// decide looks at the existing pipe of the peer, which it returns locked, and
// carries the verdict out; again means that the existing one was changing. Under
// arbMu and the mutex of r's pipe.
func (m *Messenger) decide(r *reader) (ex *Pipe, again bool) {
	p := r.p
	s, in, now := p.s, p.s.Incoming(), m.now()
	if pol := s.Policy(); !in.Reconnect && pol.Server && pol.Lossy && !pol.RegisterLossyClients {
		s.AnswerAccept(now) // spec 3.5-3: no lookup, not registered
		return nil, false
	}
	if in.Reconnect {
		ex = m.reg.lookup(in.Addrs)
	} else {
		ex = m.reg.claim(in.Addrs, p)
	}
	var v session.Verdict
	if ex == nil || ex == p {
		ex = nil
		v = session.Arbitrate(in, nil, false)
	} else {
		ex.mu.Lock()
		existing := ex.s.Existing()
		v = session.Arbitrate(in, &existing, in.Addrs.Msgr2().Compare(m.Addrs().Msgr2()) < 0)
	}
	m.log.Debug("arbitration", "pipe", p, "existing", ex, "verdict", v)
	if ex != nil && ex.direct && (v.Action == session.ActReplace || v.Action == session.ActStopAccept) {
		ex.transportDown(ex.sock, session.ErrReplaced) // its reader lets go of its memory
		return ex, true
	}
	switch v.Action {
	case session.ActAccept:
		if ex != nil && m.reg.claim(in.Addrs, p) != nil {
			s.AnswerRefuse(now, session.ErrStale)
			break
		}
		s.AnswerAccept(now)
	case session.ActStopAccept:
		ex.s.StopReplaced()
		ex.m.reg.remove(ex) // before its end is carried out
		if m.reg.claim(in.Addrs, p) != nil {
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
		if ex != nil && !v.Full {
			e := ex.s.Existing()
			if in.Reconnect && e.ServerCookie == 0 && e.ClientCookie == in.ClientCookie {
				// An attempt of ours that is half made has to end: see msgr2 spec 3.5, RECONNECT d.
				ex.loseSocket()
				ex.s.Fault(now, session.ErrReplaced)
			}
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
	return ex, false
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
