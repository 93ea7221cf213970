package rpc

import (
	"context"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// earlyMax is how many cancellations a shard keeps of requests that it does not know: most come
// after the reply was sent, some while the request waits for dispatch, or is overtaken by it. The
// oldest is forgotten: its request, if it comes, is handled for nobody.
const earlyMax = 256

// earlyCancels are such.
type earlyCancels struct {
	known map[callKey]int // where in the ring
	ring  []callKey
	next  int
}

func (e *earlyCancels) add(k callKey) {
	if e.known == nil {
		e.known = make(map[callKey]int, earlyMax)
		e.ring = make([]callKey, earlyMax)
	}
	if _, twice := e.known[k]; twice {
		return
	}
	if old := e.ring[e.next]; e.known[old] == e.next+1 {
		delete(e.known, old)
	}
	e.ring[e.next] = k
	e.known[k] = e.next + 1
	e.next = (e.next + 1) % earlyMax
}

// take says whether k was cancelled, and forgets it.
func (e *earlyCancels) take(k callKey) bool {
	if len(e.known) == 0 || e.known[k] == 0 {
		return false
	}
	delete(e.known, k)
	return true
}

// handleCancel ends the context of the handler whose caller waits no longer. On the worker.
func (n *Node) handleCancel(m *msg.Message) {
	c := m.Connection()
	sh := n.shardOf(c)
	k := callKey{c.ID(), m.TID}
	_, _, err := parseHeader(typeCancel, m.Front, m.Middle, m.Data)
	m.Release()
	if err != nil {
		sh.counts.Malformed.Add(1)
		return
	}
	sh.counts.CancelsReceived.Add(1)
	sh.mu.Lock()
	sc := sh.running[k]
	if sc == nil {
		sh.early.add(k)
	}
	sh.mu.Unlock()
	if sc != nil {
		sc.ctx.end(context.Canceled)
	}
}

// register lets a cancellation find sc; false: it has come before.
func (sc *serverCall) register() bool {
	sh, k := sc.ctx.sh, callKey{sc.Conn.ID(), sc.tid}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.early.take(k) {
		return false
	}
	if sh.running[k] == nil { // a peer that uses a tid twice is answered twice
		sh.running[k] = sc
		sc.live = true
	}
	return true
}

// unregister is the end of sc, and of its context. gone says that nobody waited any more, as it
// was told.
func (sc *serverCall) unregister() (gone bool) {
	sh := sc.ctx.sh
	if sc.live {
		sh.mu.Lock()
		delete(sh.running, callKey{sc.Conn.ID(), sc.tid})
		sh.mu.Unlock()
	}
	sc.ctx.mu.Lock()
	gone = sc.ctx.err == context.Canceled
	sc.ctx.mu.Unlock()
	if !gone {
		sc.ctx.end(context.Canceled)
	}
	return gone
}

// endRunning ends the contexts of all handlers that work for c's peer.
func (n *Node) endRunning(c msg.Connection) {
	sh, id := n.shardOf(c), c.ID()
	var all []*serverCall
	sh.mu.Lock()
	for k, sc := range sh.running {
		if k.conn == id {
			all = append(all, sc)
		}
	}
	sh.mu.Unlock()
	for _, sc := range all {
		sc.ctx.end(context.Canceled)
	}
}
