package otelmsgr

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// spans is where the spans of a test go.
type spans struct {
	*tracetest.InMemoryExporter
	t        testing.TB
	provider *trace.TracerProvider
}

func newSpans(t testing.TB) *spans {
	s := &spans{InMemoryExporter: tracetest.NewInMemoryExporter(), t: t}
	s.provider = trace.NewTracerProvider(trace.WithSyncer(s))
	t.Cleanup(func() { require.NoError(t, s.provider.Shutdown(context.Background())) })
	return s
}

func (s *spans) tracing() *Tracing { return NewTracing(TracingConfig{TracerProvider: s.provider}) }

// want waits for the one span of that name and kind.
func (s *spans) want(name string, kind oteltrace.SpanKind) (found tracetest.SpanStub) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		n := 0
		for _, x := range s.GetSpans() {
			if x.Name == name && x.SpanKind == kind {
				found, n = x, n+1
			}
		}
		require.LessOrEqual(s.t, n, 1)
		return n == 1
	}, patience, time.Millisecond, "%s %s", kind, name)
	return found
}

const (
	typeAsk = 0x1000 // A asks B
	typeSub = 0x1001 // B asks C
)

// chain is A, which calls B, which calls C while it serves.
type chain struct {
	a, b, c *rpc.Node
	ab, bc  msg.Connection
	seen    chan string // the trace contexts that B saw
}

func newChain(t *testing.T, tr *Tracing, ofB msg.Policy) *chain {
	x := &chain{seen: make(chan string, 10)}
	opts := rpc.Options{
		Interceptors:       []rpc.ClientInterceptor{tr.Client()},
		ServerInterceptors: []rpc.ServerInterceptor{tr.Server()},
	}
	node := func(name entity.Name, p msg.Policy, set func(*rpc.Node)) (n *rpc.Node) {
		messenger(t, name, p, func(m *async.Messenger) {
			var err error
			n, err = rpc.New(m, opts)
			require.NoError(t, err)
			set(n)
		})
		return n
	}
	x.c = node(entity.OSD(3), Offer(msg.LosslessPeer()), func(n *rpc.Node) {
		require.NoError(t, n.HandleRaw(typeSub, func(_ context.Context, r *rpc.Request) ([]byte, error) {
			if string(r.Body) == "fail" {
				return nil, rpc.Errorf(rpc.CodeInvalid, "as planned")
			}
			return append([]byte("C of "), r.Body...), nil
		}))
	})
	x.b = node(entity.OSD(2), ofB, func(n *rpc.Node) {
		require.NoError(t, n.HandleRaw(typeAsk, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
			x.seen <- r.TraceContext
			reply, err := n.Call(ctx, x.bc, typeSub, r.Body)
			return append([]byte("B of "), reply...), err
		}, rpc.Concurrent(4)))
	})
	x.a = node(entity.OSD(1), Offer(msg.LosslessPeer()), func(*rpc.Node) {})
	x.bc = connect(t, x.b.Messenger(), x.c.Messenger())
	x.ab = connect(t, x.a.Messenger(), x.b.Messenger())
	return x
}

// TestOneTrace: a request that leads to another one is one trace, with each span below the one that has led to it.
func TestOneTrace(t *testing.T) {
	s := newSpans(t)
	x := newChain(t, s.tracing(), Offer(msg.LosslessPeer()))
	ctx, root := s.provider.Tracer("test").Start(timeout(t), "the user's")
	reply, err := x.a.Call(ctx, x.ab, typeAsk, []byte("A"))
	require.NoError(t, err)
	require.Equal(t, "B of C of A", string(reply))
	root.End()

	parent := root.SpanContext()
	for _, want := range []struct {
		name string
		kind oteltrace.SpanKind
		peer string
	}{
		{"0x1000", oteltrace.SpanKindClient, "osd.2"}, {"0x1000", oteltrace.SpanKindServer, "osd.1"},
		{"0x1001", oteltrace.SpanKindClient, "osd.3"}, {"0x1001", oteltrace.SpanKindServer, "osd.2"},
	} {
		span := s.want(want.name, want.kind)
		require.Equal(t, root.SpanContext().TraceID(), span.SpanContext.TraceID(), "%v", want)
		require.Equal(t, parent.SpanID(), span.Parent.SpanID(), "%v", want)
		require.Equal(t, want.kind == oteltrace.SpanKindServer, span.Parent.IsRemote())
		require.Equal(t, codes.Unset, span.Status.Code)
		has := map[string]string{}
		for _, a := range span.Attributes {
			has[string(a.Key)] = a.Value.String()
		}
		require.Equal(t, want.peer, has["msgr.peer"])
		parent = span.SpanContext
	}
	require.Len(t, s.GetSpans(), 5)
}

// TestErrorsOfRequests: the error of a handler is on all spans that it passes.
func TestErrorsOfRequests(t *testing.T) {
	s := newSpans(t)
	x := newChain(t, s.tracing(), Offer(msg.LosslessPeer()))
	_, err := x.a.Call(timeout(t), x.ab, typeAsk, []byte("fail"))
	require.Error(t, err)
	for _, kind := range []oteltrace.SpanKind{oteltrace.SpanKindClient, oteltrace.SpanKindServer} {
		for _, name := range []string{"0x1000", "0x1001"} {
			span := s.want(name, kind)
			require.Equal(t, codes.Error, span.Status.Code)
			require.Contains(t, span.Status.Description, "as planned")
			require.Len(t, span.Events, 1)
		}
	}
}

// TestWithoutTheFeature: B does not offer trace contexts. It sees none, and what it does is a trace of its own; the
// request is what it would be without tracing.
func TestWithoutTheFeature(t *testing.T) {
	s := newSpans(t)
	x := newChain(t, s.tracing(), msg.LosslessPeer())
	reply, err := x.a.Call(timeout(t), x.ab, typeAsk, []byte("A"))
	require.NoError(t, err)
	require.Equal(t, "B of C of A", string(reply))
	require.Empty(t, <-x.seen)
	require.Zero(t, x.ab.Features()&msg.FeatureTraceContext)
	client := s.want("0x1000", oteltrace.SpanKindClient)
	server := s.want("0x1000", oteltrace.SpanKindServer)
	require.NotEqual(t, client.SpanContext.TraceID(), server.SpanContext.TraceID())
	require.False(t, server.Parent.IsValid())
	require.Equal(t, server.SpanContext.SpanID(), s.want("0x1001", oteltrace.SpanKindClient).Parent.SpanID())
}

// TestCallsWithoutInterceptors: what has none can be told of the trace.
func TestCallsWithoutInterceptors(t *testing.T) {
	s := newSpans(t)
	tr := s.tracing()
	x := newChain(t, tr, Offer(msg.LosslessPeer()))
	ctx, root := s.provider.Tracer("test").Start(timeout(t), "the user's")
	want := tr.Context(ctx)
	require.NotEmpty(t, want)
	done := make(chan error, 1)
	x.a.Go(ctx, x.ab, typeAsk, []byte("A"), func(_ []byte, err error) { done <- err }, rpc.TraceContext(want))
	require.NoError(t, <-done)
	require.Equal(t, want, <-x.seen)
	require.NoError(t, x.a.OneWay(ctx, x.ab, typeAsk, []byte("A"), rpc.TraceContext(want)))
	require.Equal(t, want, <-x.seen)
	// Nothing of it is left for the next call.
	x.a.Go(ctx, x.ab, typeAsk, []byte("A"), func(_ []byte, err error) { done <- err })
	require.NoError(t, <-done)
	require.Empty(t, <-x.seen)
	root.End()
}

// notes are the ends of sendings.
type notes chan error

func (n notes) MessageSent(_ msg.Connection, _ *msg.Message, err error) { n <- err }

// link is a server of messages with spans, and a client.
type link struct {
	srv, cl *async.Messenger
	c       msg.Connection
	got     chan string // trace contexts
}

func newLink(t *testing.T, tr *Tracing) *link {
	x, others := &link{got: make(chan string, 10)}, newSpans(t).tracing()
	x.srv = messenger(t, entity.OSD(0), Offer(msg.StatefulServer()), func(m *async.Messenger) {
		m.AddDispatcherTail(tr.Dispatcher(func(ctx context.Context, m *msg.Message) {
			span := oteltrace.SpanFromContext(ctx)
			require.True(t, span.IsRecording())
			_, root := others.Start(ctx, m) // whatever its context
			require.NotEqual(t, span.SpanContext().TraceID(), root.SpanContext().TraceID())
			x.got <- m.TraceContext
		}, 0x1000))
	})
	x.cl = messenger(t, entity.Client(1), Offer(msg.LosslessClient()), func(*async.Messenger) {})
	x.c = connect(t, x.cl, x.srv)
	return x
}

// TestMessages: the span of a dispatch is a root with a link to the sender's span, which lasts until the message
// was acknowledged. A message that is sent again has another span.
func TestMessages(t *testing.T) {
	s := newSpans(t)
	tr := s.tracing()
	x := newLink(t, tr)
	ctx, root := s.provider.Tracer("test").Start(timeout(t), "the user's")
	n := make(notes, 2)
	m := &msg.Message{Type: 0x1000, Front: []byte("front"), Notify: n}
	require.NoError(t, tr.Send(ctx, x.c, m))
	require.NoError(t, <-n)
	require.NotEmpty(t, <-x.got)
	send := s.want("send 0x1000", oteltrace.SpanKindProducer)
	dispatch := s.want("dispatch 0x1000", oteltrace.SpanKindConsumer)
	require.Equal(t, root.SpanContext().SpanID(), send.Parent.SpanID())
	require.False(t, dispatch.Parent.IsValid())
	require.NotEqual(t, send.SpanContext.TraceID(), dispatch.SpanContext.TraceID())
	require.Len(t, dispatch.Links, 1)
	require.Equal(t, send.SpanContext.SpanID(), dispatch.Links[0].SpanContext.SpanID())
	require.Equal(t, send.SpanContext.TraceID(), dispatch.Links[0].SpanContext.TraceID())

	s.Reset()
	require.NoError(t, tr.SendContext(ctx, x.c, m))
	require.NoError(t, <-n)
	<-x.got
	again := s.want("send 0x1000", oteltrace.SpanKindProducer)
	require.NotEqual(t, send.SpanContext.SpanID(), again.SpanContext.SpanID())
	require.Empty(t, n, "it was told twice")
	require.Equal(t, again.SpanContext.SpanID(),
		s.want("dispatch 0x1000", oteltrace.SpanKindConsumer).Links[0].SpanContext.SpanID())
	root.End()

	// One that is refused, and one that is taken back: no more than its own Notifier is left.
	s.Reset()
	x.c.MarkDown()
	require.ErrorIs(t, tr.Send(ctx, x.c, m), msg.ErrClosed)
	require.Equal(t, n, m.Notify)
	require.Equal(t, codes.Error, s.want("send 0x1000", oteltrace.SpanKindProducer).Status.Code)
	require.False(t, tr.Dispatcher(nil, 1, 2).Dispatch(&msg.Message{Type: 3}))
}

// TestMalformed: what is no trace context is counted, and the message is dispatched like one without.
func TestMalformed(t *testing.T) {
	s := newSpans(t)
	tr := s.tracing()
	x := newLink(t, tr)
	for i, bad := range []string{
		"garbage", "\x00\xff", "00-00000000000000000000000000000000-0000000000000000-01", " ", strings.Repeat("-", 255),
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
	} {
		s.Reset()
		require.NoError(t, x.c.Send(&msg.Message{Type: 0x1000, TraceContext: bad}))
		require.Equal(t, bad, <-x.got)
		span := s.want("dispatch 0x1000", oteltrace.SpanKindConsumer)
		require.Empty(t, span.Links)
		require.EqualValues(t, i+1, tr.Malformed())
	}
	require.False(t, tr.Remote("").IsValid())
	require.EqualValues(t, 6, tr.Malformed())
}

// TestContext: what is written is read again, tracestate included if there is room; nothing if there is no span.
func TestContext(t *testing.T) {
	s := newSpans(t)
	tr := s.tracing()
	require.Empty(t, tr.Context(context.Background()))
	for _, state := range []string{"", "a=b", "a=" + strings.Repeat("x", 197), "a=" + strings.Repeat("x", 198)} {
		ts, err := oteltrace.ParseTraceState(state)
		require.NoError(t, err)
		sc := oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
			TraceID: oteltrace.TraceID{1, 2}, SpanID: oteltrace.SpanID{3}, TraceFlags: oteltrace.FlagsSampled,
			TraceState: ts, Remote: true,
		})
		text := tr.Context(oteltrace.ContextWithSpanContext(context.Background(), sc))
		require.LessOrEqual(t, len(text), msg.TraceContextMax)
		if len(state) > 199 {
			sc = sc.WithTraceState(oteltrace.TraceState{})
		}
		require.True(t, sc.Equal(tr.Remote(text)), "%s", text)
	}
	require.Zero(t, tr.Malformed())
}

func TestOffer(t *testing.T) {
	require.Equal(t, msg.FeaturesAll|msg.FeatureTraceContext, Offer(msg.LosslessPeer()).FeaturesSupported)
	p := msg.Policy{FeaturesSupported: msg.FeatureMsgAddr2}
	require.Equal(t, msg.FeatureMsgAddr2|msg.FeatureTraceContext, Offer(p).FeaturesSupported)
}
