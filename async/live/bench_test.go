package live

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// BenchmarkLook: what one look costs with 10 000 connections, each with a client of its own, with all
// that viewers are sent. By default there is one a second: its processor time in ms, divided by
// ten, is how many percent of a core the page takes.
func BenchmarkLook(b *testing.B) {
	const conns = 10_000
	net := simnet.New(1, simnet.Config{})
	hosts := []*simnet.Host{net.AddHost("server", simnet.HostConfig{}), net.AddHost("clients", simnet.HostConfig{})}
	var all []*async.Messenger
	start := func(h *simnet.Host, name entity.Name, p msg.Policy) *async.Messenger {
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: new(dispatch.Inline), Rand: h.Rand,
			HandshakesMax: conns, HandshakesMaxPerHost: conns, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(b, err)
		m.SetDefaultPolicy(p)
		all = append(all, m)
		return m
	}
	finish := func(f func() error) { // which waits for the network
		done := make(chan error, 1)
		go func() { done <- f() }()
		for len(done) == 0 {
			require.NoError(b, net.Run(time.Millisecond))
		}
		require.NoError(b, <-done)
	}
	srv := start(hosts[0], entity.OSD(0), msg.StatefulServer())
	finish(func() error { return srv.Bind(netip.AddrPortFrom(hosts[0].Addr(), 6800)) })
	require.NoError(b, srv.Start())
	for i := range conns {
		m := start(hosts[1], entity.Client(int64(i)), msg.LosslessClient())
		require.NoError(b, m.Start())
		_, err := m.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(b, err)
	}
	for srv.Stats().Accepted < conns {
		require.NoError(b, net.Run(10*time.Millisecond))
	}

	l := newLooker(&Config{Messengers: func() []*async.Messenger { return all[:1] }})
	l.begin()
	l.look()
	found := l.look()
	require.Equal(b, conns, found.Total.Ready)
	require.Len(b, found.Nodes, NodesMax)
	before := cpuTime()
	bytes := 0
	b.ReportAllocs()
	for b.Loop() {
		bytes = len(frame("state", l.look()))
	}
	b.ReportMetric((cpuTime()-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(bytes), "sent-B/op")
	finish(func() error {
		for _, m := range all {
			if err := m.Shutdown(context.Background()); err != nil {
				return err
			}
		}
		return nil
	})
	for _, h := range hosts {
		require.NoError(b, h.Close())
	}
}
