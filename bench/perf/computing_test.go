//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkBesideComputing measures what a messenger and goroutines of the same process leave each
// other: some compute all the time, and one wants to run every 200 us. Both ends are in the process.
func BenchmarkBesideComputing(b *testing.B) {
	for _, bc := range []struct {
		name                string
		computing           int
		fast                bool
		conns, window, each int
	}{
		{"fast/1x1/0", 0, true, 1, 1, 0},
		{"fast/1x1/1", 1, true, 1, 1, 0},
		{"fast/1x1/4", 4, true, 1, 1, 0},
		{"queue/1x1/0", 0, false, 1, 1, 0},
		{"queue/1x1/1", 1, false, 1, 1, 0},
		{"queue/1x1/4", 4, false, 1, 1, 0},
		{"queue/16x16/0", 0, false, 16, 16, 0},
		{"queue/16x16/1", 1, false, 16, 16, 0},
		{"queue/16x16/4", 4, false, 16, 16, 0},
	} {
		b.Run(bc.name, func(b *testing.B) {
			server, client := losslessPair()
			e := newEchoPairOf(b, server, client, bc.fast, 64, bc.conns, bc.window)
			var stop atomic.Bool
			var done atomic.Int64
			var all sync.WaitGroup
			for range bc.computing {
				all.Go(func() {
					for block := make([]byte, 4<<10); !stop.Load(); done.Add(1) {
						sha256.Sum256(block)
					}
				})
			}
			var late []float64
			all.Go(func() {
				for !stop.Load() {
					from := time.Now()
					time.Sleep(200 * time.Microsecond)
					late = append(late, float64((time.Since(from) - 200*time.Microsecond).Microseconds()))
				}
			})
			var rates, computed []float64
			for range b.N {
				for range benchRounds {
					from := done.Load()
					rates = append(rates, e.run(benchRound))
					computed = append(computed, float64(done.Load()-from)/benchRound.Seconds()/1e3)
				}
			}
			stop.Store(true)
			all.Wait()
			b.ReportMetric(median(rates), "msgs/s")
			b.ReportMetric(median(computed), "computed-k/s")
			b.ReportMetric(median(late), "late-us")
			slices.Sort(late)
			b.ReportMetric(late[len(late)*99/100], "late-p99-us")
			b.ReportMetric(0, "ns/op")
		})
	}
}
