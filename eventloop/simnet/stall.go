package simnet

import "slices"

// stall is what a rule, a gate, a breakpoint or a dead host keeps from going on. A pipe
// that is stalled anew has another one.
type stall struct {
	p     *pipe
	no    uint64    // of all stalls, in the order of their beginning
	held  []*packet // by no
	by    string    // the name of what holds the first packet; "": of a dead host
	owner any       // what holds it: a *Fault, *Gate, *Hit, or the *machine that is dead
}

// over says that the stall holds nothing any more.
func (s *stall) over() bool { return s.p.stall != s }

// stallList holds stalls in the order of their beginning; and some that are over, never
// more than those that are not, and a few.
type stallList struct {
	all     []*stall
	sweepAt int // length at which those that are over go
}

func (l *stallList) add(s *stall) {
	if len(l.all) >= l.sweepAt {
		l.all = slices.DeleteFunc(l.all, (*stall).over)
		l.sweepAt = max(2*len(l.all), 16)
	}
	l.all = append(l.all, s)
}

// take empties the list.
func (l *stallList) take() []*stall {
	all := l.all
	*l = stallList{}
	return all
}

// resend tries all packets again that stalls of the list hold, as if they were sent now.
func resend(list []*stall) {
	for _, s := range list {
		if !s.over() {
			s.p.resend(false)
		}
	}
}

// pass holds a packet if others before it are held.
func (p *pipe) pass(pk *packet) {
	if p.stall != nil && pk.repeated() {
		p.stall.held = append(p.stall.held, pk)
		return
	}
	p.route(pk)
}

// repeated says that TCP sends the packet again if it is lost.
func (pk *packet) repeated() bool { return pk.kind != Rst || pk.answer }

// begin stalls a pipe that is not stalled. Who owns the stall knows of it, so that what
// ends it looks at nothing else.
func (p *pipe) begin(by string, owner any) {
	n := p.s.net
	n.stalls++
	p.stall = &stall{p: p, no: n.stalls, by: by, owner: owner}
	switch o := owner.(type) {
	case *Fault:
		o.held.add(p.stall)
	case *machine:
		o.held.add(p.stall)
	}
}

// hold keeps a packet, and with it all that follow.
func (p *pipe) hold(pk *packet, by string, owner any) {
	if !pk.repeated() || !p.s.listed {
		pk.free() // TCP does not repeat it, or there is nobody to do so
		return
	}
	if p.stall == nil {
		p.begin(by, owner)
	}
	p.stall.held = append(p.stall.held, pk)
}

// keep puts a packet that arrived at a dead host where it will be tried again.
func (p *pipe) keep(pk *packet) {
	if pk.kind == Rst || !p.s.listed {
		pk.free()
		return
	}
	if p.stall == nil {
		p.begin("", p.s.machines[1-p.side])
	}
	held := p.stall.held
	i := len(held)
	for i > 0 && held[i-1].no > pk.no {
		i--
	}
	p.stall.held = slices.Insert(held, i, pk)
}

// forgetHeld loses what is held.
func (p *pipe) forgetHeld() {
	if p.stall != nil {
		held := p.stall.held
		p.stall = nil
		for _, pk := range held {
			pk.free()
		}
	}
}

// drop loses everything under way.
func (p *pipe) drop() {
	p.epoch++
	p.forgetHeld()
}

// release lets go what owner holds here: the first packet as it is, those behind
// it as if they were sent now.
func (p *pipe) release(owner any) {
	if p.stall != nil && p.stall.owner == owner {
		p.resend(true)
	}
}

func (p *pipe) resend(first bool) {
	held := p.stall.held
	p.stall = nil
	for i, pk := range held {
		switch {
		case pk.epoch != p.epoch:
			pk.free()
		case p.stall != nil:
			p.stall.held = append(slices.Grow(p.stall.held, len(held)-i), pk)
		case first:
			p.s.net.record(pk, tookOff, Verdict{}, "")
			p.deliver(pk, 0)
		default:
			p.route(pk)
		}
		first = false
	}
}
