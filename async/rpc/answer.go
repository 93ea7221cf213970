package rpc

import (
	"io"
)

// finishWithBody answers sc with a reply that a body follows, and sends that. An error means that there
// is another answer.
func (sc *serverCall) finishWithBody(reply []byte, err error) error {
	if c, ok := sc.answer.(io.Closer); ok {
		defer c.Close()
	}
	if err != nil {
		return err
	}
	n := sc.ctx.n
	switch {
	case sc.h.group == nil:
		return Errorf(CodeInternal, "the handler is not Concurrent, and answers with a body")
	case sc.OneWay:
		sc.drop()
		return nil
	case sc.ctx.Err() != nil:
		sc.ctx.sh.counts.RepliesUnwanted.Add(1)
		sc.drop()
		return nil
	}
	defer sc.drop()
	prio := sc.replyPriority()
	o := n.openOut(sc.Conn, sc.tid, fromHandler, nil)
	defer n.closeOut(sc.Conn, sc.tid, fromHandler)
	m := newMessage(typeReply, header{flags: flagBodyIn, method: sc.Type}, reply, true)
	m.TID, m.Priority = sc.tid, prio
	if err := n.sendWaiting(&sc.ctx, sc.Conn, m, 0); err != nil {
		m.Release()
		n.replyDropped(sc.Conn, sc.Type, err)
		return nil
	}
	sc.answered = true
	// How it ends the receiver is told; an early end is its own doing, or the session's.
	_ = n.pump(&sc.ctx, o, sc.Conn, sc.tid, fromHandler, prio, sc.answer, nil)
	return nil
}

// drop is the end of sc without an answer.
func (sc *serverCall) drop() {
	if sc.in != nil {
		_ = sc.in.Close()
	}
	sc.unregister()
}
