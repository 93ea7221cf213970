package perf

import (
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/scaling"
	"github.com/stretchr/testify/require"
)

// BenchmarkShared measures all that two workers share, each by itself: nanoseconds for an
// operation with one goroutine on one processor, and of all together with one on each
// (GOMAXPROCS), in alternating rounds, by the milliseconds in which there were so many.
// docs/SCALING.md has the table.
func BenchmarkShared(b *testing.B) {
	for _, l := range scaling.Lines() {
		b.Run(strings.NewReplacer(", ", "/", " ", "-", "'", "").Replace(l.Name), func(b *testing.B) {
			const rounds, each = 7, 100 * time.Millisecond
			var c scaling.Cost
			for range b.N {
				costs, err := scaling.MeasureAll(b.Context(), []scaling.Line{l}, rounds, rounds*each)
				require.NoError(b, err)
				c = costs[0]
			}
			b.ReportMetric(c.Alone, "alone-ns")
			b.ReportMetric(c.AloneLow, "alone-ns-low")
			b.ReportMetric(c.AloneHigh, "alone-ns-high")
			b.ReportMetric(c.Contended, "contended-ns")
			b.ReportMetric(c.ContendedLow, "contended-ns-low")
			b.ReportMetric(c.ContendedHigh, "contended-ns-high")
			b.ReportMetric(c.Had, "processors-had")
			b.ReportMetric(c.Cap(1)/1e6, "M-ops/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
