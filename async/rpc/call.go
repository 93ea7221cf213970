package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// CallOption changes one call.
type CallOption func(callOptions) callOptions

type callOptions struct {
	prio       uint8
	give       bool
	timeout    time.Duration
	into       []byte
	flags      uint8 // of the request
	trace      string
	background bool // its body gives way
}

// Priority has the request, and its reply unless the handler says otherwise, sent with that
// priority (msg.PriorityHigh and the like). 0 is the messenger's default.
func Priority(p uint8) CallOption {
	return func(o callOptions) callOptions { o.prio = p; return o }
}

// TraceContext says which trace the request is part of: see msg.Message.TraceContext. It is for Go,
// OneWay and CallBody, which call no interceptors.
func TraceContext(s string) CallOption {
	return func(o callOptions) callOptions { o.trace = s; return o }
}

// Background has the request's body give way: no more of it is under way than makes it wait for a
// millisecond on its way, or an eighth of what the line takes if that is more, and no less than 18 KiB. So what is
// urgent does not wait behind it in the queues of the network, where nothing overtakes, and the
// line is used all the same. It is LEDBAT's rule (RFC 6817), by the time from a chunk that is sent to its
// being read by the handler. It is for CallBody alone.
func Background() CallOption {
	return func(o callOptions) callOptions { o.background = true; return o }
}

// Timeout ends the call d after it began, by the messenger's clock, with
// context.DeadlineExceeded, as a deadline of its context does. It costs less than a context, and
// passes in virtual time on a simulated network. The shorter of the two counts. d must be
// positive.
func Timeout(d time.Duration) CallOption {
	return func(o callOptions) callOptions { o.timeout = max(d, 1); return o }
}

// Give hands the request's bytes over: they are not copied, and must not be written to again by
// anyone, also after the call has returned. It is for large requests.
func Give() CallOption {
	return func(o callOptions) callOptions { o.give = true; return o }
}

// Into has the reply appended to b[:0], which is the reply's until the call has returned: with room
// enough, the reply costs no memory.
func Into(b []byte) CallOption {
	return func(o callOptions) callOptions { o.into = b; return o }
}

func optionsOf(opts []CallOption) (o callOptions) {
	for _, opt := range opts {
		o = opt(o)
	}
	return o
}

// Call sends a request of that type over c and waits for the reply. req is the caller's again when
// Call returns; the reply is the caller's.
//
// It ends with the reply; with an *Error, the handler's or the peer's; with ErrPeerReset,
// ErrUndeliverable or ErrWrongType; with what Connection.Send refused the request for, if it was not
// sent; with ErrTooManyCalls; or with ctx's error, wrapped. When ctx ends first, a request
// that still waits to be sent is taken back, and otherwise the peer is told that nobody waits for
// the reply. Nothing is ever sent twice: see the package comment for what that means.
//
// The send queue being full, it waits for room. Called by what runs on a worker (a Fast
// handler, what Go calls, Message.Notify) it answers msg.ErrOnWorker and does nothing.
// Handlers that are not Fast, and dispatchers, may call it, also over the connection of the
// request that they handle: replies do not wait for them.
func (n *Node) Call(ctx context.Context, c msg.Connection, typ uint16, req []byte, opts ...CallOption) ([]byte, error) {
	o := optionsOf(opts)
	if n.invoke == nil {
		return n.roundTrip(ctx, c, typ, req, o)
	}
	return n.invoke(ctx, &CallInfo{
		Conn: c, Type: typ, Request: req, Priority: o.prio, TraceContext: o.trace, opts: o,
	})
}

// invoked is the innermost of the chain of interceptors.
func (n *Node) invoked(ctx context.Context, i *CallInfo) ([]byte, error) {
	o := i.opts
	o.prio, o.trace = i.Priority, i.TraceContext
	return n.roundTrip(ctx, i.Conn, i.Type, i.Request, o)
}

func (n *Node) roundTrip(ctx context.Context, c msg.Connection, typ uint16, req []byte, o callOptions) ([]byte, error) {
	if callback.InsideQuick() == callback.Worker {
		return nil, fmt.Errorf("rpc: Call: %w", msg.ErrOnWorker)
	}
	left, at, err := n.timesOf(ctx, c, o)
	if err != nil {
		return nil, failed(typ, err)
	}
	x, tid, err := n.shardOf(c).begin(c, typ, o.into, nil, nil)
	if err != nil {
		return nil, failed(typ, err)
	}
	x.build(tid, req, left, o)
	if err := n.sendWaiting(ctx, c, x.m, left); err != nil {
		return nil, x.notSent(tid, err)
	}
	if at != 0 {
		x.watch(ctx, tid, at, true)
	}
	if done := ctx.Done(); done == nil {
		<-x.ch
	} else {
		select {
		case <-x.ch:
		case <-done:
			if err := ctx.Err(); x.stopWaiting(tid, err) {
				return nil, failed(typ, err)
			}
		}
	}
	reply, err := x.reply, x.err
	x.giveBack()
	return reply, err
}

// notSent ends x, whose caller waits and whose request was refused.
func (x *call) notSent(tid uint64, err error) error {
	typ := x.typ
	if !x.takeIf(tid) {
		<-x.ch // somebody ends it at this moment
	}
	x.doubt = true
	x.giveBack()
	return failed(typ, err)
}

// failed says of which call err is.
func failed(typ uint16, err error) error {
	return fmt.Errorf("rpc: request of type %#04x: %w", typ, err)
}

// timesOf returns how long the caller waits, as the peer is told (0: for ever), and the time of the
// stack's clock at which the call ends by Timeout (0: never); or why there is no use in calling.
func (n *Node) timesOf(ctx context.Context, c msg.Connection, o callOptions) (left, at time.Duration, err error) {
	if !n.m.Owns(c) {
		return 0, 0, msg.ErrForeign
	}
	if ctx.Done() != nil {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		if l, ok := n.timeLeft(ctx); ok {
			if left = l; left <= 0 {
				return 0, 0, context.DeadlineExceeded
			}
		}
	}
	if o.timeout > 0 {
		at = n.clock.Now() + o.timeout
		if left == 0 || o.timeout < left {
			left = o.timeout
		}
	}
	return left, at, nil
}

// Go is Call that does not wait: done is called once, with what Call would have returned. It runs
// on the connection's worker, when the reply comes; or on the goroutine that ends the
// call in another way: that closes the connection, or ends ctx; or on the caller's, before Go
// returns, when the request cannot be sent, a full send queue (msg.ErrQueueFull) among that. So
// it must not block, and Call in it answers msg.ErrOnWorker; Go and OneWay may be called. A
// panic in it is logged. Any goroutine may call Go; it never blocks.
//
// A context that is not a Context of this package costs an allocation or two here if it can
// end; Timeout does not. Interceptors are not called.
func (n *Node) Go(ctx context.Context, c msg.Connection, typ uint16, req []byte,
	done func(reply []byte, err error), opts ...CallOption) {
	o := optionsOf(opts)
	left, at, err := n.timesOf(ctx, c, o)
	if err != nil {
		n.callDone(done, nil, failed(typ, err))
		return
	}
	x, tid, err := n.shardOf(c).begin(c, typ, o.into, done, nil)
	if err != nil {
		n.callDone(done, nil, failed(typ, err))
		return
	}
	x.build(tid, req, left, o)
	if err := c.Send(x.m); err != nil {
		if x.takeIf(tid) {
			x.doubt = true
			x.giveBack()
			n.callDone(done, nil, failed(typ, err))
			return
		}
		x.sent()
		return
	}
	x.sent()
	x.watch(ctx, tid, at, false)
}

// OneWay sends a request that has no reply: what becomes of it at the peer is not told. nil
// means that the messenger has it; what the messenger then cannot deliver is reported as it
// reports other messages. It waits for room in the send queue until ctx ends, but not
// on a worker: see Connection.SendContext, whose errors it returns. req is not kept.
func (n *Node) OneWay(ctx context.Context, c msg.Connection, typ uint16, req []byte, opts ...CallOption) error {
	o := optionsOf(opts)
	left, _, err := n.timesOf(ctx, c, o)
	if err != nil {
		return failed(typ, err)
	}
	h := header{flags: flagOneWay, method: typ, code: n.lifeOf(c), remaining: left}
	m := newMessage(typeRequest, h, req, o.give)
	m.Priority, m.TraceContext = o.prio, o.trace
	if err := n.sendWaiting(ctx, c, m, left); err != nil {
		m.Release()
		return failed(typ, err)
	}
	n.shardOf(c).counts.OneWaysSent.Add(1)
	return nil
}

// sendWaiting sends m, and waits for room if need be.
func (n *Node) sendWaiting(ctx context.Context, c msg.Connection, m *msg.Message, left time.Duration) error {
	err := c.Send(m)
	if err == nil || !errors.Is(err, msg.ErrQueueFull) {
		return err
	}
	if left > 0 { // it may be Timeout's
		limited, cancel := n.WithTimeout(ctx, left)
		defer cancel()
		ctx = limited
	}
	return c.SendContext(ctx, m)
}

// inlineMax is the largest body that stands in a message's Front, behind the header, and is
// copied; what is larger is Data.
const inlineMax = 1 << 10

// newMessage returns a message that the messenger releases when it was sent. With give a large
// body is not copied.
func newMessage(typ uint16, h header, body []byte, give bool) *msg.Message {
	size := shortHeader
	if typ == typeRequest {
		size = requestHeader
	}
	if len(body) <= inlineMax {
		m := msg.New(typ, size+len(body))
		copy(appendHeader(m.Front[:0], typ, h)[size:size+len(body)], body)
		return m
	}
	m := msg.New(typ, size)
	appendHeader(m.Front[:0], typ, h)
	if m.Data = body; !give {
		m.Data = append([]byte(nil), body...)
	}
	return m
}

// build makes the request.
func (x *call) build(tid uint64, req []byte, left time.Duration, o callOptions) {
	x.told, x.prio = left > 0, o.prio
	h := header{flags: o.flags, method: x.typ, code: x.sh.n.lifeOf(x.conn), remaining: left}
	switch {
	case x.conn.IsLoopback(): // which hands the bytes themselves over
		x.m = newMessage(typeRequest, h, req, o.give)
	case len(req) <= inlineMax:
		if x.own == nil {
			x.own = new(msg.Message)
		}
		x.m = x.own
		x.buf = append(appendHeader(x.buf[:0], typeRequest, h), req...)
		x.m.Front = x.buf
	case !o.give && requestHeader+len(req) <= bufferMax:
		if x.own == nil {
			x.own = new(msg.Message)
		}
		x.m = x.own
		x.lent = borrow(requestHeader + len(req))
		x.m.Front = append(appendHeader((*x.lent)[:0], typeRequest, h), req...)
	default:
		x.m = &msg.Message{Front: appendHeader(nil, typeRequest, h), Data: req}
		if !o.give {
			x.m.Data = append([]byte(nil), req...)
		}
	}
	x.m.Type, x.m.Priority, x.m.TID, x.m.TraceContext = typeRequest, o.prio, tid, o.trace
}

// withdraw takes back the request of x, which was taken from the table, or tells the peer that
// nobody waits for the reply any more. If that is for time, the peer knows.
func (x *call) withdraw(tid uint64, err error) {
	c, counts := x.conn, &x.sh.counts
	x.doubt = true
	var body *bodyFailure
	if errors.As(err, &body) { // the handler's Read fails, which is all that it need know
		counts.Abandoned.Add(1)
		return
	}
	if !c.IsLoopback() { // whose messages are another's when they are sent
		if c.Cancel(x.m) {
			counts.Withdrawn.Add(1)
			return
		}
	}
	counts.Abandoned.Add(1)
	if x.told && errors.Is(err, context.DeadlineExceeded) {
		return
	}
	x.sh.n.cancelPeer(c, tid, x.prio)
}

// abandon ends x, if it is still out as tid, since its caller waits no longer.
func (x *call) abandon(tid uint64, err error) {
	if !x.takeIf(tid) {
		return
	}
	typ := x.typ
	x.withdraw(tid, err)
	x.end(nil, failed(typ, err))
}

// callDone calls what Go was given.
func (n *Node) callDone(done func([]byte, error), reply []byte, err error) {
	returned := false
	defer func() {
		if !returned {
			n.reportPanic("what was given to Go", nil, recover())
		}
	}()
	callback.OnWorker(func() { done(reply, err) })
	returned = true
}
