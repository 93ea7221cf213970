package rpc

import (
	"context"
	"fmt"
	"io"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Response is a reply that may have a body.
type Response struct {
	// Reply is the reply itself.
	Reply []byte
	// Body is never nil. It has to be read until an error, or closed: the handler waits for that. Read
	// returns io.EOF at the end, and ErrBodyIncomplete if the body ends before it, also
	// when the context of the call ends, which is the body's too. It is for one goroutine at a time.
	Body io.ReadCloser
}

// noBody is the body of a reply without one.
type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }

// CallBody is Call of a request that body follows, unless it is nil, and of a reply that may have a body. The
// handler has to be Concurrent. The request's body is sent by the calling goroutine, in chunks
// of at most 32 KiB, as fast as the handler reads it: CallBody returns when the reply is there. When
// that comes before the body's end the rest is not sent, and what still reads it fails: an Answer cannot be made
// of the Stream as it comes. When body fails, the handler's Read does, and
// the call ends with body's error. A body whose Read blocks holds CallBody up beyond
// the end of ctx. Each body has 256 KiB under way at most. Interceptors are not called.
func (n *Node) CallBody(ctx context.Context, c msg.Connection, typ uint16, req []byte, body io.Reader,
	opts ...CallOption) (*Response, error) {
	o := optionsOf(opts)
	if callback.InsideQuick() == callback.Worker {
		return nil, fmt.Errorf("rpc: CallBody: %w", msg.ErrOnWorker)
	}
	left, at, err := n.timesOf(ctx, c, o)
	if err != nil {
		return nil, failed(typ, err)
	}
	x, tid, err := n.shardOf(c).begin(c, typ, o.into, nil, ctx)
	if err != nil {
		return nil, failed(typ, err)
	}
	var out *outBody
	if body != nil {
		o.flags = flagBodyIn
		var p *pace
		if o.background {
			p = newPace()
		}
		out = n.openOut(c, tid, fromCaller, p)
		defer n.closeOut(c, tid, fromCaller)
	}
	x.build(tid, req, left, o)
	if err := n.sendWaiting(ctx, c, x.m, left); err != nil {
		return nil, x.notSent(tid, err)
	}
	if at != 0 {
		x.watch(ctx, tid, at, true)
	}
	completed := false
	defer func() {
		if !completed { // body has panicked
			x.stopWaiting(tid, context.Canceled)
		}
	}()
	ended := false // x.ch was read
	if body != nil {
		ended, err = n.sendBody(ctx, x, out, c, tid, body, o.prio)
	}
	if !ended && err == nil {
		select {
		case <-x.ch:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	completed = true
	if err != nil && x.stopWaiting(tid, err) {
		return nil, failed(typ, err)
	}
	reply, in, err := x.reply, x.in, x.err
	x.giveBack()
	if err != nil {
		return nil, err
	}
	r := &Response{Reply: reply, Body: noBody{}}
	if in != nil {
		r.Body = in
	}
	return r, nil
}

// stopWaiting ends x for its caller, who waits no longer. false: it has ended, and x.ch was read.
func (x *call) stopWaiting(tid uint64, err error) bool {
	if !x.takeIf(tid) {
		<-x.ch
		return false
	}
	x.withdraw(tid, err)
	x.giveBack()
	return true
}

// sendBody sends the body of x. ended says that x has ended meanwhile.
func (n *Node) sendBody(ctx context.Context, x *call, o *outBody, c msg.Connection, tid uint64, body io.Reader,
	prio uint8) (ended bool, err error) {
	switch err = n.pump(ctx, o, c, tid, fromCaller, prio, body, x.ch); err {
	case errStopped:
		return true, nil // the pump has read x.ch
	case ErrPeerReset:
		<-x.ch // which is told the same
		return true, nil
	}
	return false, err
}
