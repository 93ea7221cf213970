package rpc

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// handleReply ends the call that m answers. On the worker.
func (n *Node) handleReply(m *msg.Message) {
	c, tid := m.Connection(), m.TID
	h, body, err := parseHeader(typeReply, m.Front, m.Middle, m.Data)
	if err != nil {
		n.shardOf(c).counts.Malformed.Add(1)
	}
	x, late := n.take(c, tid)
	counts := &n.shardOf(c).counts
	switch {
	case x == nil && late:
		counts.LateReplies.Add(1)
		m.Release()
	case x == nil:
		counts.UnknownReplies.Add(1)
		m.Release()
	case err != nil:
		counts.Failed.Add(1)
		typ := x.typ
		m.Release()
		x.end(nil, failed(typ, fmt.Errorf("%w: %w", ErrBadReply, err)))
	case h.method != x.typ:
		counts.WrongTypes.Add(1)
		typ := x.typ
		m.Release()
		x.end(nil, failed(typ, fmt.Errorf("%w: of type %#04x", ErrWrongType, h.method)))
	case h.code != 0:
		counts.RemoteErrors.Add(1)
		e := &Error{Code: Code(h.code), Message: string(body[:min(len(body), messageMax)])}
		m.Release()
		x.end(nil, e)
	case h.flags&flagBodyIn != 0:
		n.replyWithBody(m, x, body)
	default:
		counts.Replies.Add(1)
		x.end(keep(m, body, x.into), nil)
	}
}

// replyWithBody ends x with a reply whose chunks follow, and come to the same worker.
func (n *Node) replyWithBody(m *msg.Message, x *call, reply []byte) {
	c, tid, prio, typ := m.Connection(), m.TID, m.Priority, x.typ
	counts := &n.shardOf(c).counts
	if x.body != nil {
		if x.in = n.openIn(x.body, c, tid, fromHandler, prio); x.in != nil {
			counts.Replies.Add(1)
			x.end(keep(m, reply, x.into), nil)
			return
		}
	}
	m.Release()
	counts.Failed.Add(1)
	why := fmt.Errorf("%w: it has a body, which CallBody takes", ErrBadReply)
	if x.body != nil {
		why = fmt.Errorf("%w: %d bodies are being received", ErrTooManyCalls, n.opts.MaxBodies)
	}
	n.cancelPeer(c, tid, prio)
	x.end(nil, failed(typ, why))
}

// copyMax is up to which size a body is copied out of its message, which is used again then.
const copyMax = 32 << 10

// keep returns body as long as anyone refers to it, and releases the message if it can.
func keep(m *msg.Message, body, into []byte) []byte {
	switch {
	case cap(into) >= len(body):
		into = append(into[:0], body...)
	case len(body) <= copyMax:
		into = append([]byte(nil), body...)
	default:
		return body
	}
	m.Release()
	return into
}

// connClosed is told of each connection that is gone for good.
func (n *Node) connClosed(c msg.Connection, reason error) {
	n.peerLost(c, reason)
	n.forgetLife(c)
}

// peerLost ends all calls over c, and the contexts of the handlers that work for it.
func (n *Node) peerLost(c msg.Connection, reason error) {
	n.endAll(c, lost(reason))
	n.endBodies(c, reason)
	n.endRunning(c)
}

// undelivered is told of each message that the messenger gave up.
func (n *Node) undelivered(c msg.Connection, m *msg.Message, reason error) {
	counts := &n.shardOf(c).counts
	switch m.Type {
	case typeReply:
		counts.RepliesLost.Add(1)
		if !c.IsLoopback() {
			return
		}
	case typeRequest:
		if errors.Is(reason, msg.ErrCancelled) {
			return // by withdraw
		}
	default:
		return
	}
	if x, _ := n.take(c, m.TID); x != nil {
		counts.Failed.Add(1)
		typ := x.typ
		x.doubt = true
		x.end(nil, failed(typ, lost(reason)))
	}
}
