package rpc_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// TestTraceContext: each kind of request carries what its option or an interceptor says, large and small ones, and
// the first one, which is sent before the peer has said what it offers. The next request has nothing of it.
func TestTraceContext(t *testing.T) {
	var says string
	p := newPair(t, func(o *pairOptions) {
		o.clientPol.FeaturesSupported = msg.FeaturesAll | msg.FeatureTraceContext
		o.serverPol.FeaturesSupported = msg.FeaturesAll | msg.FeatureTraceContext
		o.client.Interceptors = append(o.client.Interceptors,
			func(ctx context.Context, call *rpc.CallInfo, next rpc.Invoker) ([]byte, error) {
				if says != "" {
					call.TraceContext = says
				}
				return next(ctx, call)
			})
	})
	saw := make(chan string, 1)
	const tell, tellBody = 1, 2
	h := func(_ context.Context, r *rpc.Request) ([]byte, error) {
		saw <- r.TraceContext
		return r.Body, nil
	}
	require.NoError(t, p.server.HandleRaw(tell, h))
	require.NoError(t, p.server.HandleRaw(tellBody, h, rpc.Concurrent(2)))
	ctx := timeout(t)
	for _, size := range []int{1, 2 << 10, 1 << 20} {
		body := make([]byte, size)
		for _, context := range []string{"option", ""} {
			reply, err := p.client.Call(ctx, p.conn, tell, body, rpc.TraceContext(context))
			require.NoError(t, err)
			require.Len(t, reply, size)
			require.Equal(t, context, <-saw)

			done := make(chan error, 1)
			p.client.Go(ctx, p.conn, tell, body, func(_ []byte, err error) { done <- err }, rpc.TraceContext(context))
			require.NoError(t, <-done)
			require.Equal(t, context, <-saw)

			require.NoError(t, p.client.OneWay(ctx, p.conn, tell, body, rpc.TraceContext(context)))
			require.Equal(t, context, <-saw)

			r, err := p.client.CallBody(ctx, p.conn, tellBody, body, strings.NewReader("more"),
				rpc.TraceContext(context))
			require.NoError(t, err)
			require.NoError(t, r.Body.Close())
			require.Equal(t, context, <-saw)
		}
	}
	says = "interceptor"
	_, err := p.client.Call(ctx, p.conn, tell, nil, rpc.TraceContext("option"))
	require.NoError(t, err)
	require.Equal(t, "interceptor", <-saw)
	says = strings.Repeat("x", msg.TraceContextMax+1)
	_, err = p.client.Call(ctx, p.conn, tell, nil)
	require.ErrorIs(t, err, msg.ErrTooLarge)
}
