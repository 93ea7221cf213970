//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// secured has a messenger authenticate with TLS and a shared secret, and encrypt.
func secured(b testing.TB) func(*async.Config) {
	return func(cfg *async.Config) {
		name := entity.AuthName{Type: cfg.Name.Type, ID: strconv.FormatInt(cfg.Name.Num, 10)}
		keys, err := tlsauth.SharedSecret(name, tlsauth.Secret("a secret for benchmarks only"))
		require.NoError(b, err)
		cfg.AuthClient, cfg.AuthServer = keys.Client(), keys.Server()
	}
}

// BenchmarkSecure is what secure mode costs: 16 connections, fast dispatch, both ends in
// this process, alternating with crc mode for 7 rounds.
func BenchmarkSecure(b *testing.B) {
	for _, c := range []struct {
		name         string
		size, window int
	}{{"64B", 64, 64}, {"4KiB", 4 << 10, 16}, {"64KiB", 64 << 10, 16}, {"1MiB", 1 << 20, 4}} {
		b.Run(c.name, func(b *testing.B) {
			server, client := lossyPair()
			crc := newEchoPairOf(b, server, client, true, c.size, 16, c.window)
			secure := newEchoPairOf(b, server, client, true, c.size, 16, c.window, secured(b))
			crc.run(benchRound)
			secure.run(benchRound)
			var rates, cpus, ours []float64
			for b.Loop() {
				for range 7 {
					x, xc, _ := perMsg(&crc.replies, func() float64 { return crc.run(benchRound) })
					y, yc, _ := perMsg(&secure.replies, func() float64 { return secure.run(benchRound) })
					rates, cpus, ours = append(rates, y/x), append(cpus, yc/xc), append(ours, yc)
				}
			}
			for _, q := range []struct {
				name string
				of   []float64
			}{{"rate", rates}, {"cpu", cpus}} {
				b.ReportMetric(median(q.of), q.name+"-secure/crc")
			}
			b.ReportMetric(median(ours), "cpu-ns/reply")
			b.ReportMetric(secure.allocsPerMsg(benchRound), "allocs/msg")
			b.ReportMetric(0, "allocs/op")
			b.ReportMetric(0, "B/op")
			b.Logf("rates %.2f, CPU %.2f", rates, cpus)
		})
	}
}
