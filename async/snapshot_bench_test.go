package async

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// BenchmarkSnapshot: a snapshot of a messenger with 10 000 connections; "registry" is the part
// for which those who connect wait.
func BenchmarkSnapshot(b *testing.B) {
	net := simnet.New(1, simnet.Config{})
	h := net.AddHost("h", simnet.HostConfig{})
	m, err := New(Config{Stack: h, Executor: new(dispatch.Inline), Rand: h.Rand, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	require.NoError(b, m.Start())
	for i := range 10_000 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 6800)
		_, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: at}})
		require.NoError(b, err)
	}
	b.Run("messenger", func(b *testing.B) {
		for b.Loop() {
			m.Snapshot()
		}
	})
	b.Run("connections", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for range m.ConnectionStats() {
				n++
			}
			require.Equal(b, 10_001, n)
		}
	})
	b.Run("registry", func(b *testing.B) {
		for b.Loop() {
			m.reg.Copy()
		}
	})
	done := make(chan error, 1)
	go func() { done <- m.Shutdown(context.Background()) }()
	for len(done) == 0 {
		require.NoError(b, net.Run(1))
	}
	require.NoError(b, <-done)
	require.NoError(b, h.Close())
}
