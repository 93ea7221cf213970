package rpc

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Lossless policies without ResetCheck (msg.LosslessPeer) do not tell when a peer that has lost its
// session, started anew or after MarkDown, is the first to call again: the connection goes on as if
// nothing had been. Calls that were out would wait for ever, and handlers work for nobody. So over
// such connections each request says whose it is, in a number of the caller's connection, its
// life; and so does a PROBE, which is sent each time that the session is ready. Another life than before means
// that the session was lost.

// lifeOf is the number of this side's c; 0: it needs none.
func (n *Node) lifeOf(c msg.Connection) uint32 {
	if p := c.Policy(); p.Lossy || p.ResetCheck || c.IsLoopback() {
		return 0
	}
	return max(1, uint32((n.chance+c.ID())*0x9e3779b97f4a7c15>>32))
}

// ready tells c's peer whose session it is. On the worker.
func (n *Node) ready(c msg.Connection) {
	life := n.lifeOf(c)
	if life == 0 {
		return
	}
	m := newMessage(typeProbe, header{code: life}, nil, false)
	m.Priority = msg.PriorityHighest
	if c.Send(m) != nil { // closed; or full, and then a request will tell
		m.Release()
	}
}

// alive notes that c's peer is of that life. On the worker, in the order in which messages came.
func (n *Node) alive(c msg.Connection, life uint32) {
	sh, id := n.shardOf(c), c.ID()
	sh.mu.Lock()
	before := sh.lives[id]
	if before != life {
		sh.lives[id] = life
	}
	sh.mu.Unlock()
	if before != 0 && before != life {
		sh.counts.LivesLost.Add(1)
		n.peerLost(c, msg.ErrRemoteReset)
	}
}

// handleProbe takes note of a life. On the worker.
func (n *Node) handleProbe(m *msg.Message) {
	c := m.Connection()
	h, _, err := parseHeader(typeProbe, m.Front, m.Middle, m.Data)
	m.Release()
	if err != nil {
		n.shardOf(c).counts.Malformed.Add(1)
		return
	}
	if h.code != 0 {
		n.alive(c, h.code)
	}
}

// forgetLife forgets a connection that is gone.
func (n *Node) forgetLife(c msg.Connection) {
	sh := n.shardOf(c)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.lives, c.ID())
}
