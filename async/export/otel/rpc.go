package otelmsgr

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

func rpcAttributes(c msg.Connection, typ uint16) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("rpc.system", "msgr"),
		attribute.Int("msgr.request.type", int(typ)),
		attribute.String("msgr.peer", c.PeerName().String()),
	}
}

// Client returns an interceptor that makes a span of the kind client for each rpc.Node.Call, a child of the one in
// its context, and tells the peer of it. (Go, OneWay and CallBody have no interceptors: give them
// rpc.TraceContext(t.Context(ctx)).)
func (t *Tracing) Client() rpc.ClientInterceptor {
	return func(ctx context.Context, call *rpc.CallInfo, next rpc.Invoker) ([]byte, error) {
		ctx, span := t.tracer.Start(ctx, t.name(call.Type), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(rpcAttributes(call.Conn, call.Type)...))
		defer span.End() // though next panics
		call.TraceContext = t.Context(ctx)
		reply, err := next(ctx, call)
		ended(span, err)
		return reply, err
	}
}

// Server returns an interceptor that makes a span of the kind server for each handler, which has it in its
// context. It is a child of the caller's if the request names that, and the root of a trace if not.
func (t *Tracing) Server() rpc.ServerInterceptor {
	return func(ctx context.Context, r *rpc.Request, next rpc.Handler) ([]byte, error) {
		if sc := t.Remote(r.TraceContext); sc.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
		}
		ctx, span := t.tracer.Start(ctx, t.name(r.Type), trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(rpcAttributes(r.Conn, r.Type)...))
		defer span.End() // though the handler panics
		reply, err := next(ctx, r)
		ended(span, err)
		return reply, err
	}
}

// ended ends the span of a request, with the code of its error.
func ended(span trace.Span, err error) {
	var e *rpc.Error
	if errors.As(err, &e) {
		span.SetAttributes(attribute.String("msgr.request.error", e.Code.String()))
	}
	end(span, err)
}
