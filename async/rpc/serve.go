package rpc

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

var background = context.Background()

// handler is what a type of requests is registered with; constant.
type handler struct {
	fn    Handler
	typ   uint16
	fast  bool
	prio  uint8 // of replies; 0: the request's
	group *group
	extra []ServerInterceptor
}

// HandlerOption changes how requests of a type are handled.
type HandlerOption func(*handler)

// Fast has the handler run on the connection's worker, right after the request was decoded. It must
// not block: it holds up all connections of the worker. Its requests are not ordered against
// those of other handlers, and a caller's cancellation does not reach its context.
func Fast() HandlerOption { return func(h *handler) { h.fast = true } }

// ReplyPriority has replies sent with that priority, in place of the request's.
func ReplyPriority(p uint8) HandlerOption { return func(h *handler) { h.prio = p } }

// Intercept adds interceptors around this handler, within those of Options.ServerInterceptors.
func Intercept(s ...ServerInterceptor) HandlerOption {
	return func(h *handler) { h.extra = append(h.extra, s...) }
}

// handlerTable is which handlers there are.
type handlerTable struct {
	mu  sync.Mutex // for adding
	all atomic.Pointer[map[uint16]*handler]
}

func (t *handlerTable) get(typ uint16) *handler {
	all := t.all.Load()
	if all == nil {
		return nil
	}
	return (*all)[typ]
}

// HandleRaw registers h for requests of that type, any number: the types of requests are not
// those of messages. The error is a *HandlerExistsError if there is a handler already. Without
// options h runs where Dispatch runs, never two at a time for one connection, in the order of
// the requests, and may block; meanwhile it holds up its connection, for dispatchers that are
// not of this package too. Concurrent and Fast are the other ways.
//
// A panic of h is logged with its stack, and answered with CodeInternal, as is the end of its
// goroutine (runtime.Goexit); the connection is left alone. Any goroutine.
func (n *Node) HandleRaw(typ uint16, h Handler, opts ...HandlerOption) error {
	x := &handler{typ: typ}
	for _, opt := range opts {
		opt(x)
	}
	x.fn = chainServer(n.opts.ServerInterceptors, chainServer(x.extra, h))
	n.handlers.mu.Lock()
	defer n.handlers.mu.Unlock()
	all := map[uint16]*handler{typ: x}
	if old := n.handlers.all.Load(); old != nil {
		if (*old)[typ] != nil {
			return &HandlerExistsError{typ}
		}
		for k, v := range *old {
			all[k] = v
		}
	}
	n.handlers.all.Store(&all)
	return nil
}

// dispatcher is the node as the messenger sees it.
type dispatcher struct{ n *Node }

func isOurs(typ uint16) bool { return typ >= msg.TypeRPCFirst && typ <= msg.TypeRPCLast }

// CanFastDispatch implements msg.FastDispatcher: all but requests to handlers that may block here.
func (d dispatcher) CanFastDispatch(m *msg.Message) bool {
	if m.Type != typeRequest {
		return isOurs(m.Type)
	}
	hd, _, err := parseHeader(typeRequest, m.Front, m.Middle, m.Data)
	if err != nil {
		return true
	}
	if hd.code != 0 {
		d.n.alive(m.Connection(), hd.code)
	}
	h := d.n.handlers.get(hd.method)
	return h == nil || h.fast || h.group != nil
}

// FastDispatch implements msg.FastDispatcher.
func (d dispatcher) FastDispatch(m *msg.Message) {
	switch m.Type {
	case typeRequest:
		d.n.handleRequest(m)
	case typeReply:
		d.n.handleReply(m)
	case typeCancel:
		d.n.handleCancel(m)
	case typeChunk:
		d.n.handleChunk(m)
	case typeCredit:
		d.n.handleCredit(m)
	case typeProbe:
		d.n.handleProbe(m)
	default:
		d.n.shardOf(m.Connection()).counts.Malformed.Add(1)
		m.Release()
	}
}

// Dispatch implements msg.Dispatcher.
func (d dispatcher) Dispatch(m *msg.Message) bool {
	if !isOurs(m.Type) {
		return false
	}
	d.n.handleRequest(m)
	return true
}

// HandleFastConnect implements msg.FastConnectHandler.
func (d dispatcher) HandleFastConnect(c msg.Connection) { d.n.ready(c) }

// HandleFastAccept implements msg.FastAcceptHandler.
func (d dispatcher) HandleFastAccept(c msg.Connection) { d.n.ready(c) }

// HandleFastRemoteReset implements msg.FastRemoteResetHandler. Calls that wait in the inbox for the
// next session fail too, and may be handled all the same. Of sessions that are over with their
// connection Messenger.WatchClosed tells.
func (d dispatcher) HandleFastRemoteReset(c msg.Connection) { d.n.peerLost(c, msg.ErrRemoteReset) }

// HandleUndeliverable implements msg.UndeliverableHandler.
func (d dispatcher) HandleUndeliverable(c msg.Connection, m *msg.Message, reason error) {
	if isOurs(m.Type) {
		d.n.undelivered(c, m, reason)
	}
}

// handleRequest calls the handler, or sees to it that it is called.
func (n *Node) handleRequest(m *msg.Message) {
	c, tid := m.Connection(), m.TID
	counts := &n.shardOf(c).counts
	hd, body, err := parseHeader(typeRequest, m.Front, m.Middle, m.Data)
	if err != nil {
		counts.Malformed.Add(1)
		n.reply(c, tid, m.Priority, 0, nil, Errorf(CodeInvalid, "%v", err))
		m.Release()
		return
	}
	oneWay := hd.flags&flagOneWay != 0
	h := n.handlers.get(hd.method)
	if h == nil {
		counts.Unimplemented.Add(1)
		if !oneWay {
			err := Errorf(CodeUnimplemented, "no handler for type %#04x", hd.method)
			n.reply(c, tid, m.Priority, hd.method, nil, err)
		}
		m.Release()
		return
	}
	counts.Requests.Add(1)
	prio, withBody := m.Priority, hd.flags&flagBodyIn != 0
	sc := n.newServerCall(m, h, hd, body)
	if withBody && (oneWay || h.group == nil) {
		sc.refuse(CodeInvalid, "requests of type %#04x have no body", hd.method)
		return
	}
	if !h.fast && !oneWay && !sc.register() {
		counts.CancelledBefore.Add(1)
		return
	}
	if withBody {
		if sc.in = n.openIn(&sc.ctx, c, tid, fromCaller, prio); sc.in == nil {
			counts.Overloaded.Add(1)
			sc.refuse(CodeOverloaded, "%d bodies are being received", n.opts.MaxBodies)
			return
		}
		sc.Stream = sc.in
	}
	if h.group != nil {
		h.group.add(sc)
		return
	}
	n.serve(sc)
}

// serve calls the handler of sc, unless nobody waits, and answers.
func (n *Node) serve(sc *serverCall) {
	counts := &sc.ctx.sh.counts
	if sc.late() {
		counts.Expired.Add(1)
		sc.drop()
		return
	}
	if sc.ctx.Err() != nil {
		counts.CancelledBefore.Add(1)
		sc.drop()
		return
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		r := recover()
		counts.Panics.Add(1)
		if !sc.answered {
			sc.finish(nil, Errorf(CodeInternal, "the handler did not return"))
		}
		if r != nil || sc.h.group != nil { // a Goexit in its callbacks is reported by the messenger
			n.reportPanic("a handler", sc, r)
		}
	}()
	reply, err := sc.h.fn(&sc.ctx, &sc.Request)
	if sc.answer != nil {
		err = sc.finishWithBody(reply, err)
		returned = true
		if err == nil {
			return
		}
	}
	returned = true
	sc.finish(reply, err)
}

// refuse answers sc, whose handler is not called.
func (sc *serverCall) refuse(code Code, format string, args ...any) {
	sc.finish(nil, Errorf(code, format, args...))
}

// finish answers sc, whose handler is done.
func (sc *serverCall) finish(reply []byte, err error) {
	n, counts := sc.ctx.n, &sc.ctx.sh.counts
	if sc.in != nil {
		_ = sc.in.Close()
	}
	gone := sc.unregister()
	if err != nil {
		counts.HandlerErrors.Add(1)
	}
	if sc.OneWay {
		return
	}
	if gone || sc.late() {
		counts.RepliesUnwanted.Add(1)
		return
	}
	n.reply(sc.Conn, sc.tid, sc.replyPriority(), sc.Type, reply, err)
}

func (sc *serverCall) replyPriority() uint8 {
	if sc.h.prio != 0 {
		return sc.h.prio
	}
	return sc.Priority
}

// reply sends a reply, or an error. What cannot be sent is counted, and logged now and then.
func (n *Node) reply(c msg.Connection, tid uint64, prio uint8, method uint16, reply []byte, err error) {
	send := func(reply []byte, code Code) error {
		m := newMessage(typeReply, header{method: method, code: uint32(code)}, reply, true)
		m.TID, m.Priority = tid, prio
		err := c.Send(m)
		if err != nil {
			m.Release()
		}
		return err
	}
	var sendErr error
	if err == nil {
		if sendErr = send(reply, 0); errors.Is(sendErr, msg.ErrTooLarge) {
			err = Errorf(CodeInternal, "the reply cannot be sent: %v", sendErr)
		}
	}
	if err != nil {
		text := err.Error()
		var e *Error
		if errors.As(err, &e) {
			text = e.Message
		}
		sendErr = send([]byte(text[:min(len(text), messageMax)]), CodeOf(err))
	}
	if sendErr != nil {
		n.replyDropped(c, method, sendErr)
	}
}

// replyDropped counts a reply that cannot be sent, and logs it now and then.
func (n *Node) replyDropped(c msg.Connection, method uint16, err error) {
	k := n.shardOf(c).counts.RepliesDropped.Add(1)
	if k&(k-1) == 0 && !c.IsClosed() {
		n.log.Warn("rpc: a reply cannot be sent, and its caller waits in vain", "conn", c, "type", method,
			"err", err, "so far", k)
	}
}

// reportPanic logs what did not return; recovered is nil for a Goexit.
func (n *Node) reportPanic(what string, sc *serverCall, recovered any) {
	if recovered == nil {
		recovered = msg.ErrGoexit
	}
	args := []any{"panic", recovered, "stack", string(debug.Stack())}
	if sc != nil {
		args = append(args, "type", sc.Type, "conn", sc.Conn)
	}
	n.log.Error("rpc: "+what+" panicked", args...)
}
