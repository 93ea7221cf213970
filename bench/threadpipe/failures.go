package threadpipe

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// blame counts and logs what a peer is to blame for; under mu.
func (p *Pipe) blame(state session.State, err error) {
	if r, stranger := p.m.failures.Fault(p.m.now(), p, p.s.Announced(), state, err); stranger {
		p.counts.AcceptFailures[r].Add(1)
	}
}

// adopted: the peer decides whether the session is lossy, and decided otherwise than the
// own policy; under mu.
func (p *Pipe) adopted() {
	if !p.m.adopted.Swap(true) {
		p.m.log.Warn("the policies of the two ends do not match, and the server's is followed", "pipe", p,
			"lossy", p.s.Policy().Lossy)
	}
}

// changed: x is not what it was when it was handed to Send. Any goroutine.
func (p *Pipe) changed(x *msg.Message) {
	p.counts.Changed.Add(1)
	p.m.log.Error("a message was changed after Send: it is the messenger's until its end", "pipe", p,
		"type", x.Type, "tid", x.TID, "bytes", x.PayloadLen())
}
