package threadpipe

import "github.com/asyncmsgr/asyncmsgr/connection"

// dispatchCredit is how much of the messenger's throttle a reader takes at a time, for the
// messages of one read.
const dispatchCredit = 32 << 10

// Admit implements session.Gate; under mu.
func (p *Pipe) Admit(size int64) bool {
	if p.adm.Admit(size) {
		return true
	}
	p.counts.ThrottleWaits.Add(1)
	if p.adm.AtOwnBound() {
		p.counts.ConnThrottleWaits.Add(1)
	}
	return false
}

// Abandon implements session.Gate; under mu.
func (p *Pipe) Abandon(size int64) {
	p.adm.Abandon(size)
	p.Granted(nil) // nobody else wakes the reader
}

// Granted implements connection.TurnTaker: the reader looks again.
func (p *Pipe) Granted(*connection.Turn) {
	select {
	case p.turn <- struct{}{}:
	default: // it will
	}
}

// awaitRoom blocks the reader until its message may go on or was abandoned; under mu,
// which is not held meanwhile.
func (p *Pipe) awaitRoom() {
	t := p.adm.Turn()
	for p.adm.Turn() == t && !t.WasGranted() {
		p.mu.Unlock()
		<-p.turn
		p.mu.Lock()
	}
	if p.adm.Go(t) {
		p.s.Resume(p.m.now())
	}
}
