package threadpipe

import "github.com/asyncmsgr/asyncmsgr/async/msg"

// dispatchStage is the messenger's throttle in throttles; dispatchCredit is how much
// of it a reader takes at a time, for the messages of one read.
const (
	dispatchStage  = 2
	dispatchCredit = 32 << 10
)

// throttles are taken in this order (docs/PROTOCOL.md 4.4): messages and bytes of the
// policy, bytes of the messenger.
type throttles [3]msg.Throttler

func amount(stage int, size int64) int64 {
	if stage == 0 {
		return 1 // messages
	}
	return size
}

// needs says whether stage i applies: "0-size messages skip byte throttles".
func (t *throttles) needs(i int, size int64) bool { return t[i] != nil && amount(i, size) > 0 }

func (t *throttles) release(upTo int, size int64) {
	for i := range upTo {
		if t.needs(i, size) {
			t[i].Release(amount(i, size))
		}
	}
}

// gateWait is a message that waits for a throttle.
type gateWait struct {
	stage int
	size  int64
	ready chan struct{} // gets one when granted or abandoned
}

// ThrottleGranted implements msg.ThrottleWaiter.
func (g *gateWait) ThrottleGranted() { g.ready <- struct{}{} }

// Admit implements session.Gate; under mu.
func (p *Pipe) Admit(size int64) bool {
	t := &p.thr
	for i := range t {
		if t.needs(i, size) && !(i == dispatchStage && p.takeCredit(size)) && !t[i].Acquire(amount(i, size), nil) {
			g := &gateWait{stage: i, size: size, ready: make(chan struct{}, 1)}
			if p.admitFrom(g) {
				return true // given back in between
			}
			p.counts.ThrottleWaits.Add(1)
			p.wait = g
			return false
		}
	}
	return true
}

// takeCredit takes size of what the reader has in advance; under mu.
func (p *Pipe) takeCredit(size int64) bool {
	if p.credit >= size {
		p.credit -= size
		return true
	}
	if step := p.m.creditStep; step == 0 || !p.thr[dispatchStage].Acquire(size-p.credit+step, nil) {
		return false
	}
	p.credit = p.m.creditStep
	return true
}

// returnCredit gives back what the read did not need; under mu.
func (p *Pipe) returnCredit() {
	if p.credit > 0 {
		p.thr[dispatchStage].Release(p.credit)
		p.credit = 0
	}
}

// admitFrom takes what is left from g.stage on, or waits in line at g.stage.
func (p *Pipe) admitFrom(g *gateWait) bool {
	for ; g.stage < len(p.thr); g.stage++ {
		if p.thr.needs(g.stage, g.size) && !p.thr[g.stage].Acquire(amount(g.stage, g.size), g) {
			return false
		}
	}
	return true
}

// awaitRoom blocks the reader until its message may go on or was abandoned;
// under mu, which is not held meanwhile.
func (p *Pipe) awaitRoom() {
	g := p.wait
	p.mu.Unlock()
	<-g.ready
	p.mu.Lock()
	if p.wait != g {
		return // abandoned: whoever did that owns what was granted
	}
	g.stage++
	if p.admitFrom(g) {
		p.wait = nil
		p.s.Resume(p.m.now())
	}
}

// Abandon implements session.Gate; under mu.
func (p *Pipe) Abandon(size int64) {
	g := p.wait
	if g == nil {
		p.thr.release(len(p.thr), size)
		return
	}
	p.wait = nil
	upTo := g.stage
	if p.thr[g.stage].Cancel(g) {
		g.ready <- struct{}{} // nobody else will
	} else {
		upTo++ // granted meanwhile
	}
	p.thr.release(upTo, size)
}

// receipt gives back what delivered messages hold.
type receipt struct{ thr *throttles }

// DispatchDone implements msg.Receipt.
func (r receipt) DispatchDone(size int64) { r.thr.release(len(r.thr), size) }

// Hold implements msg.Receipt.
func (r receipt) Hold(size int64) {
	for i := range 2 {
		if r.thr.needs(i, size) {
			r.thr[i].Take(amount(i, size))
		}
	}
}

// Unhold implements msg.Receipt.
func (r receipt) Unhold(size int64) { r.thr.release(2, size) }
