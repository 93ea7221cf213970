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
	in := s.Incoming()
	if p := s.Policy(); !in.Reconnect && p.Server && p.Lossy && !p.RegisterLossyClients {
		s.AnswerAccept(now)
		c.answered()
		return
	}
	ex, _ := n.reg.Lookup(in.Addrs)
	var existing *Existing
	if ex != nil {
		x := ex.s.Existing()
		existing = &x
	}
	v := Arbitrate(in, existing, in.Addrs.Msgr2().Compare(n.addr) < 0)
	n.verdicts = append(n.verdicts, v.Action)
	n.w.logf("%s: arbitrate %+v against %s: %s", c, in, ex, v)
	switch v.Action {
	case ActAccept:
		c.register(in.Addrs)
		s.AnswerAccept(now)
	case ActStopAccept:
		ex.s.StopReplaced()
		ex.settle()
		c.register(in.Addrs)
		s.AnswerAccept(now)
	case ActReplace:
		ex.takeOver(c, v.Reset)
		return
	case ActWait:
		s.AnswerWait()
		ex.s.Keepalive(now)
		ex.settle()
	case ActSendReset:
		s.AnswerReset(v.Full)
	case ActSendRetry:
		s.AnswerRetry(v.Seq)
	case ActSendRetryGlobal:
		s.AnswerRetryGlobal(v.Seq)
	case ActRefuse:
		if v.Probe {
			ex.s.Keepalive(now)
			ex.settle()
		}
		s.AnswerRefuse(now, v.Err)
	}
	c.answered()
}

func (c *simConn) answered() {
	c.settle()
	c.unstash()
}

// takeOver gives the transport of in to c.
func (c *simConn) takeOver(in *simConn, reset bool) {
	if c.end != nil {
		c.letGo()
	}
	c.end, c.pending, c.stash = in.end, in.pending, in.stash
	in.end, in.pending, in.stash = nil, nil, nil
	c.end.conn = c
	c.s.TakeOver(c.n.w.now, in.s, reset)
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
