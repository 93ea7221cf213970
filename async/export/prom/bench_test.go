package prom

import (
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// BenchmarkCollect: what a scrape costs for a messenger with 10 000 connections, which are on a
// simulated network and idle.
func BenchmarkCollect(b *testing.B) {
	net := simnet.New(1, simnet.Config{})
	h := net.AddHost("h", simnet.HostConfig{})
	m, err := async.New(async.Config{Stack: h, Executor: new(dispatch.Inline), Rand: h.Rand})
	require.NoError(b, err)
	require.NoError(b, m.Start())
	for i := range 10_000 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 6800)
		_, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: at}})
		require.NoError(b, err)
	}
	for _, skip := range []bool{false, true} {
		name := map[bool]string{false: "all", true: "without connections"}[skip]
		c := NewCollector(Config{
			Messengers: []*async.Messenger{m}, Options: export.Options{SkipConnections: skip},
		})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			to := make(chan prometheus.Metric, 2000)
			for b.Loop() {
				c.Collect(to)
				b.ReportMetric(float64(len(to)), "series")
				for len(to) > 0 {
					<-to
				}
			}
		})
		b.Run(name+", gathered", func(b *testing.B) {
			b.ReportAllocs()
			reg := prometheus.NewRegistry()
			reg.MustRegister(c)
			for b.Loop() {
				_, err := reg.Gather()
				require.NoError(b, err)
			}
		})
	}
	done := make(chan error, 1)
	go func() { done <- m.Shutdown(b.Context()) }()
	for len(done) == 0 {
		require.NoError(b, net.Run(1))
	}
	require.NoError(b, <-done)
	require.NoError(b, h.Close())
}
