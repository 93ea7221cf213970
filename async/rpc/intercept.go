package rpc

import (
	"context"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// CallInfo is a call, as an interceptor sees it. An interceptor may change it, before next.
type CallInfo struct {
	Conn     msg.Connection
	Type     uint16
	Request  []byte
	Priority uint8
	// TraceContext is what Request.TraceContext is at the peer, if it understands that.
	TraceContext string

	opts callOptions
}

// Invoker makes a call and returns its reply.
type Invoker func(ctx context.Context, call *CallInfo) ([]byte, error)

// ClientInterceptor is called around each Call; next makes the call, through the interceptors that
// follow. It may call next or not, or again: then that is another request to the peer. It runs on
// the caller's goroutine.
type ClientInterceptor func(ctx context.Context, call *CallInfo, next Invoker) ([]byte, error)

// Handler answers requests. r is the handler's; the reply's bytes are the library's from the
// return on. An error is sent as an *Error: its own code if there is one in it, CodeDeadline or
// CodeCancelled for the errors of contexts, and CodeUnknown with the error's text for others.
type Handler func(ctx context.Context, r *Request) ([]byte, error)

// ServerInterceptor is called around each handler; next is the handler, with the interceptors that
// follow around it. It runs where the handler runs, and must not block where that must not.
type ServerInterceptor func(ctx context.Context, r *Request, next Handler) ([]byte, error)

// chainClient returns nil if there are no interceptors.
func chainClient(all []ClientInterceptor, last Invoker) Invoker {
	if len(all) == 0 {
		return nil
	}
	next := last
	for i := len(all) - 1; i >= 0; i-- {
		f, inner := all[i], next
		next = func(ctx context.Context, call *CallInfo) ([]byte, error) { return f(ctx, call, inner) }
	}
	return next
}

func chainServer(all []ServerInterceptor, last Handler) Handler {
	next := last
	for i := len(all) - 1; i >= 0; i-- {
		f, inner := all[i], next
		next = func(ctx context.Context, r *Request) ([]byte, error) { return f(ctx, r, inner) }
	}
	return next
}
