// Package otelmsgr gives OpenTelemetry the metrics of messengers, and spans for messages and for
// requests of async/rpc. It is a module of its own, so that who imports the library does not inherit
// OpenTelemetry.
//
// # Metrics
//
// Register observes the metrics of async/export, counters and gauges, by a Meter. OpenTelemetry has no
// instrument for histograms that somebody else has counted: those are given by NewProducer, which a
// Reader of the SDK takes. No attribute has a peer in it: see async/export.
//
// # Traces
//
// NewTracing makes spans. Which span a message belongs to is carried in msg.Message.TraceContext: W3C's
// traceparent, and its tracestate if there is room. That needs the consent of both sides, a feature
// that their policies offer (Offer); what goes to others, Ceph's daemons among them, is not changed by
// a byte, and their spans begin traces of their own.
//
//	m.SetDefaultPolicy(otelmsgr.Offer(msg.StatefulServer()))
//	t := otelmsgr.NewTracing(otelmsgr.TracingConfig{})
//	node, err := rpc.New(m, rpc.Options{
//		Interceptors:       []rpc.ClientInterceptor{t.Client()},
//		ServerInterceptors: []rpc.ServerInterceptor{t.Server()},
//	})
//
// The span of a handler is a child of its caller's. That of a message that has no reply is the root of
// a trace of its own, with a link to its sender's: what it leads to may go on for long after that has
// ended, and has been collected.
package otelmsgr
