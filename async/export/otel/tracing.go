package otelmsgr

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// TracingConfig configures a Tracing. The zero value works.
type TracingConfig struct {
	// TracerProvider makes the spans; nil means otel.GetTracerProvider() at the time of NewTracing.
	TracerProvider trace.TracerProvider
	// TypeName names a type of messages or requests in the names of spans; nil means its number: "0x1000".
	TypeName func(typ uint16) string
	// Logger is told of trace contexts that are none: of the first, the second, the fourth, and so on.
	// nil means slog.Default().
	Logger *slog.Logger
}

// Tracing makes spans for messages and requests. Any goroutine may use it, and several messengers
// may share it.
type Tracing struct {
	tracer    trace.Tracer
	name      func(uint16) string
	log       *slog.Logger
	malformed atomic.Uint64
}

// NewTracing returns a Tracing.
func NewTracing(cfg TracingConfig) *Tracing {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.TypeName == nil {
		cfg.TypeName = func(typ uint16) string { return fmt.Sprintf("%#04x", typ) }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Tracing{tracer: cfg.TracerProvider.Tracer(ScopeName), name: cfg.TypeName, log: cfg.Logger}
}

// Offer returns p with msg.FeatureTraceContext among what it offers: trace contexts are carried over
// the connections of two policies that both do.
func Offer(p msg.Policy) msg.Policy {
	if p.FeaturesSupported == 0 {
		p.FeaturesSupported = msg.FeaturesAll
	}
	p.FeaturesSupported |= msg.FeatureTraceContext
	return p
}

// Malformed is how many trace contexts were received that were none. What they came with is handled
// as if it had none.
func (t *Tracing) Malformed() uint64 { return t.malformed.Load() }

// Context is what to set msg.Message.TraceContext to, or to give to rpc.TraceContext, for what
// belongs to the span in ctx: for broadcasts, and for calls that no interceptor sees. It is "" if there is no
// span. A tracestate for which there is no room is left out, as W3C allows.
//
// The form is W3C's traceparent, and behind a space its tracestate if there is one.
func (t *Tracing) Context(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	parent, state := carrier["traceparent"], carrier["tracestate"]
	if state == "" || len(parent)+1+len(state) > msg.TraceContextMax {
		return parent
	}
	return parent + " " + state
}

// Remote is the span that a received trace context names. It is not valid if there is none, or if
// context is malformed, which is counted and logged.
func (t *Tracing) Remote(context string) trace.SpanContext {
	if context == "" {
		return trace.SpanContext{}
	}
	sc := parse(context)
	if !sc.IsValid() {
		if n := t.malformed.Add(1); n&(n-1) == 0 {
			t.log.Warn("a trace context of a peer is none of W3C's", "context", context, "so far", n)
		}
	}
	return sc
}

func parse(text string) trace.SpanContext {
	parent, state, _ := strings.Cut(text, " ")
	carrier := propagation.MapCarrier{"traceparent": parent, "tracestate": state}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// Send sends m over c with a span of the kind producer, a child of the one in ctx, which lasts until m was
// acknowledged (lossless) or written (lossy). ctx is for the span alone: see SendContext. Errors are those
// of Connection.Send. m.Notify is called as ever; m's TraceContext is set, and is of use if c's
// peer has the feature.
func (t *Tracing) Send(ctx context.Context, c msg.Connection, m *msg.Message) error {
	return t.send(ctx, c, m, func(context.Context) error { return c.Send(m) })
}

// SendContext is Send by Connection.SendContext: it waits for room in the send queue until ctx ends.
func (t *Tracing) SendContext(ctx context.Context, c msg.Connection, m *msg.Message) error {
	return t.send(ctx, c, m, func(ctx context.Context) error { return c.SendContext(ctx, m) })
}

func (t *Tracing) send(ctx context.Context, c msg.Connection, m *msg.Message, by func(context.Context) error) error {
	ctx, span := t.tracer.Start(ctx, "send "+t.name(m.Type), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(messageAttributes(c, m)...))
	n := &sent{span: span, next: m.Notify}
	if again, is := m.Notify.(*sent); is { // m is sent once more
		n.next = again.next
	}
	m.TraceContext, m.Notify = t.Context(ctx), n
	err := by(ctx)
	if err != nil {
		m.Notify = n.next
		end(span, err)
	}
	return err
}

// sent ends the span of a message that was sent.
type sent struct {
	span trace.Span
	next msg.Notifier
}

// MessageSent implements msg.Notifier. It does not touch m, which may be another's by now.
func (n *sent) MessageSent(c msg.Connection, m *msg.Message, err error) {
	end(n.span, err)
	if n.next != nil {
		n.next.MessageSent(c, m, err)
	}
}

func end(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

func messageAttributes(c msg.Connection, m *msg.Message) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.Int("msgr.message.type", int(m.Type)),
		attribute.Int("msgr.message.size", m.PayloadLen()),
		attribute.String("msgr.peer", c.PeerName().String()),
	}
}

// Start begins a span of the kind consumer for a message that is being dispatched: the root of a trace, with
// a link to its sender's span if m names one. The caller ends it. It is for dispatchers of all
// kinds, which may wait for nothing in it; see Dispatcher.
func (t *Tracing) Start(ctx context.Context, m *msg.Message) (context.Context, trace.Span) {
	opts := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(messageAttributes(m.Connection(), m)...),
	}
	if sc := t.Remote(m.TraceContext); sc.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
	}
	return t.tracer.Start(ctx, "dispatch "+t.name(m.Type), opts...)
}

// Dispatcher returns a dispatcher of messages of those types, which calls f for each, with the span of
// Start in its context; the span ends when f returns. All other messages are left to the next dispatcher. f's
// rights and duties are those of msg.Dispatcher.
func (t *Tracing) Dispatcher(f func(ctx context.Context, m *msg.Message), types ...uint16) msg.Dispatcher {
	d := &dispatcher{t: t, f: f, types: map[uint16]bool{}}
	for _, typ := range types {
		d.types[typ] = true
	}
	return d
}

type dispatcher struct {
	t     *Tracing
	f     func(context.Context, *msg.Message)
	types map[uint16]bool
}

// Dispatch implements msg.Dispatcher.
func (d *dispatcher) Dispatch(m *msg.Message) bool {
	if !d.types[m.Type] {
		return false
	}
	ctx, span := d.t.Start(context.Background(), m)
	defer span.End()
	d.f(ctx, m)
	return true
}
