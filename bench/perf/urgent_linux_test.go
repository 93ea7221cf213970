//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// BenchmarkUrgentBesideBulk measures the round trips of small messages at PriorityHigh,
// one after the other, on a connection over loopback whose queue is full of bulk.
func BenchmarkUrgentBesideBulk(b *testing.B) {
	for _, size := range bulkSizes {
		b.Run("bulk="+bulkName(size), func(b *testing.B) { urgentLoopback(b, size) })
	}
}

func urgentLoopback(b *testing.B, size int) {
	node := func(name entity.Name, p msg.Policy, d msg.Dispatcher) *async.Messenger {
		m, err := async.New(async.Config{Name: name})
		require.NoError(b, err)
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(d)
		require.NoError(b, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		require.NoError(b, m.Start())
		b.Cleanup(func() { require.NoError(b, m.Shutdown(context.Background())) })
		return m
	}
	srv := node(entity.OSD(0), msg.StatefulServer(), bulkServer{})
	var bulk atomic.Int64
	answers := make(chan struct{}, 1)
	c := &bulkClient{
		data: make([]byte, size), done: make(chan struct{}),
		sent: func(n int) { bulk.Add(int64(n)) }, answer: func() { answers <- struct{}{} },
	}
	cl := node(entity.OSD(1), msg.LosslessClient(), c)
	var err error
	c.conn, err = cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(b, err)
	c.begin(b)
	for range 20 { // it is under way
		c.urgent(b)
		<-answers
	}
	var took []time.Duration
	from, bulkFrom := time.Now(), bulk.Load()
	pause := pauses(size, 2e9)
	b.ResetTimer()
	for range b.N {
		time.Sleep(pause())
		at := time.Now()
		c.urgent(b)
		<-answers
		took = append(took, time.Since(at))
	}
	b.StopTimer()
	reportUrgent(b, took, bulk.Load()-bulkFrom, time.Since(from))
	close(c.done)
}
