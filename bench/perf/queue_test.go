//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkQueueBesideFast measures what messages through the dispatch queue cost beside
// fast dispatch, both ends alike, in alternating rounds of one process.
func BenchmarkQueueBesideFast(b *testing.B) {
	for _, bc := range []struct{ conns, window, size int }{
		{1, 1, 64},
		{1, 16, 64},
		{16, 16, 64},
		{16, 64, 64},
		{64, 16, 64},
		{256, 16, 64},
		{256, 64, 64},
		{16, 16, 4 << 10},
	} {
		b.Run(fmt.Sprintf("%dx%d/%dB", bc.conns, bc.window, bc.size), func(b *testing.B) {
			server, client := losslessPair()
			pairs := [2]*echoPair{}
			for i := range pairs {
				pairs[i] = newEchoPairOf(b, server, client, i == 0, bc.size, bc.conns, bc.window)
				pairs[i].run(benchRound / 4)
			}
			var rates, cpus, calls [2][]float64
			var rateRatios, cpuRatios []float64
			for range b.N {
				for round := range benchRounds {
					var rate, cpu, io [2]float64
					for k := range pairs {
						i := (k + round) % 2
						p := pairs[i]
						rate[i], cpu[i], io[i] = perMsg(&p.replies, func() float64 { return p.run(benchRound) })
						rates[i], cpus[i] = append(rates[i], rate[i]), append(cpus[i], cpu[i])
						calls[i] = append(calls[i], io[i])
					}
					rateRatios, cpuRatios = append(rateRatios, rate[1]/rate[0]), append(cpuRatios, cpu[1]/cpu[0])
				}
			}
			var queued, inPlace, stayed uint64
			for _, m := range pairs[1].ms {
				q := m.Stats().Queue
				queued, inPlace, stayed = queued+q.Dispatched, inPlace+q.InPlace, stayed+q.Stayed
			}
			require.NotZero(b, queued)
			b.ReportMetric(float64(inPlace)/float64(queued), "in-place")
			b.ReportMetric(float64(stayed), "stayed")
			b.ReportMetric(median(rates[0]), "fast-msgs/s")
			b.ReportMetric(median(rates[1]), "queue-msgs/s")
			b.ReportMetric(median(cpus[0]), "fast-cpu-ns")
			b.ReportMetric(median(cpus[1]), "queue-cpu-ns")
			b.ReportMetric(median(calls[0]), "fast-io-calls")
			b.ReportMetric(median(calls[1]), "queue-io-calls")
			b.ReportMetric(median(rateRatios), "rate")
			b.ReportMetric(slices.Min(rateRatios), "rate-min")
			b.ReportMetric(slices.Max(rateRatios), "rate-max")
			b.ReportMetric(median(cpuRatios), "cpu")
			b.ReportMetric(slices.Min(cpuRatios), "cpu-min")
			b.ReportMetric(slices.Max(cpuRatios), "cpu-max")
			b.ReportMetric(0, "ns/op")
		})
	}
}
