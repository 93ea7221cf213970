package otelmsgr_test

import (
	"context"
	"fmt"
	"net/netip"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	otelmsgr "github.com/asyncmsgr/asyncmsgr/async/export/otel"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// Two nodes whose calls are traced.
func Example() {
	collector := tracetest.NewInMemoryExporter() // in a program: that of OTLP
	provider := trace.NewTracerProvider(trace.WithSyncer(collector))
	t := otelmsgr.NewTracing(otelmsgr.TracingConfig{
		TracerProvider: provider,
		TypeName:       func(uint16) string { return "greet" },
	})
	node := func(name entity.Name) *rpc.Node {
		m, err := async.New(async.Config{Name: name})
		check(err)
		m.SetDefaultPolicy(otelmsgr.Offer(msg.LosslessPeer()))
		n, err := rpc.New(m, rpc.Options{
			Interceptors:       []rpc.ClientInterceptor{t.Client()},
			ServerInterceptors: []rpc.ServerInterceptor{t.Server()},
		})
		check(err)
		check(n.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
			return append([]byte("hello "), r.Body...), nil
		}))
		check(m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		check(m.Start())
		return n
	}
	ctx := context.Background()
	a, b := node(entity.OSD(1)), node(entity.OSD(2))
	c, err := a.Messenger().ConnectTo(entity.TypeOSD, b.Messenger().Addrs())
	check(err)
	reply, err := a.Call(ctx, c, 1, []byte("world"))
	check(err)
	fmt.Printf("%s\n", reply)
	check(a.Messenger().Shutdown(ctx))
	check(b.Messenger().Shutdown(ctx))
	client, server := collector.GetSpans()[0], collector.GetSpans()[1]
	if client.SpanKind > server.SpanKind { // server is 2, client 3
		client, server = server, client
	}
	fmt.Println(server.Name, client.Name, server.SpanContext.TraceID() == client.SpanContext.TraceID())
	check(provider.Shutdown(ctx))
	// Output:
	// hello world
	// greet greet true
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
