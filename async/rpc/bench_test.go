package rpc_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// BenchmarkCall is client and server in one process, with blocking calls of 64 bytes: one at a
// time, and 64 goroutines over 16 connections.
func BenchmarkCall(b *testing.B) {
	for _, callers := range []int{1, 64} {
		for name, opts := range map[string][]rpc.HandlerOption{"queue": nil, "fast": {rpc.Fast()}} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				benchmarkCall(b, callers, opts)
			})
		}
	}
}

func benchmarkCall(b *testing.B, callers int, opts []rpc.HandlerOption) {
	p := newPair(b, func(o *pairOptions) { o.clientPol, o.serverPol = msg.LossyClient(), msg.StatelessServer() })
	require.NoError(b, p.server.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		return r.Body, nil
	}, opts...))
	conns := []msg.Connection{p.conn}
	for len(conns) < min(callers, 16) {
		c, err := p.client.Messenger().ConnectAnon(entity.TypeOSD, p.server.Messenger().Addrs())
		require.NoError(b, err)
		conns = append(conns, c)
	}
	req := make([]byte, 64)
	for _, c := range conns {
		_, err := p.client.Call(context.Background(), c, 1, req)
		require.NoError(b, err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			for i := g; i < b.N; i += callers {
				if _, err := p.client.Call(context.Background(), conns[g%len(conns)], 1, req); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkSizes is one call at a time, of bodies that are copied, and of large ones.
func BenchmarkSizes(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 64 << 10, 200_000, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			lossy := func(o *pairOptions) { o.clientPol, o.serverPol = msg.LossyClient(), msg.StatelessServer() }
			p := newPair(b, lossy)
			req := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.client.Call(context.Background(), p.conn, echo, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
