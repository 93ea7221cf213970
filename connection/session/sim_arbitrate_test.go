package session

import (
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

func netipPort0(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

// arbitrate does for the accepted c what a messenger does.
func (n *simNode) arbitrate(c *simConn) {
	s, now := c.s, n.w.now
	if s.State() != StateArbitrating {
		return
	}
	in := s.Incoming()
	var ex *simConn
	var existing *Session
	if !in.Unlisted {
		if ex, _ = n.reg.Lookup(in.Addrs); ex != nil {
			existing = ex.s
		}
	}
	v := s.Judge(existing)
	n.verdicts = append(n.verdicts, v.Action)
	n.w.logf("%s: arbitrate %+v against %s: %s", c, in, ex, v)
	outcome := s.Settle(now, existing)
	if ex != nil {
		ex.settle()
	}
	switch outcome {
	case Register:
		c.register(in.Addrs)
		s.Accept(now)
	case Replace:
		ex.takeOver(c)
		return
	}
	c.answered()
}

func (c *simConn) answered() {
	c.settle()
	c.unstash()
}

// takeOver gives the transport of in to c.
func (c *simConn) takeOver(in *simConn) {
	if c.end != nil {
		c.letGo()
	}
	c.end, c.pending, c.stash = in.end, in.pending, in.stash
	in.end, in.pending, in.stash = nil, nil, nil
	c.end.conn = c
	c.s.TakeOver(c.n.w.now, in.s)
	in.closed = true
	c.settle()
	c.unstash()
}

// ready says whether c is in a session.
func (c *simConn) isReady() bool { return c.s.State() == StateReady }

// only returns the node's connections that are not closed.
func (n *simNode) open() (cs []*simConn) {
	for _, c := range n.conns {
		if !c.closed {
			cs = append(cs, c)
		}
	}
	return cs
}

// to returns the node's connection to p, or nil.
func (n *simNode) to(p *simNode) *simConn {
	c, _ := n.reg.Lookup(p.vec())
	return c
}

// restart loses all that the node knew; its connections break.
func (n *simNode) restart(nonce uint32) {
	n.w.logf("%s restarts", n.name)
	for _, c := range n.conns {
		if e := c.end; e != nil {
			c.letGo()
		}
	}
	n.conns, n.reg, n.gseq = nil, entity.Index[*simConn]{}, 0
	n.addr.Nonce = nonce
}

func (w *world) runFor(d time.Duration) { w.run(w.now+d, 20000) }

// pair is two nodes of which the first calls the second.
func pair(t failer, p pairing) (w *world, a, b *simNode) {
	w = &world{t: t}
	if p.client.Standby && !p.server.Server {
		a = w.node(1, p.client)
	} else {
		a = w.node(1, p.client, clientOnly)
	}
	b = w.node(2, p.server)
	return w, a, b
}

var _ Env = (*simNode)(nil)
var _ Gate = (*simConn)(nil)
