package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBrief: a column for each of the contestants that have a result, a line for what was
// measured of them.
func TestBrief(t *testing.T) {
	rows := fixture().Rows
	find(rows, "idle/1000", threads).Threads = 2006
	find(rows, "idle/1000", goroutines).Goroutines = 2006
	find(rows, "faults/cut", "grpc").Duplicated = 3
	find(rows, "ping-pong", threads).Rounds = 0
	var b strings.Builder
	BriefOf(rows).markdown(&b)
	require.Equal(t, `| | asyncmsgr, queue | asyncmsgr, fast dispatch | thread-per-pipe, goroutines | the same, OS threads | grpc-go |
| --- | ---: | ---: | ---: | ---: | ---: |
| 64 B, 16 connections, 16 in flight on each: round trips a second | 0.50 M | 1.00 M | 0.33 M | 0.20 M | 0.17 M |
| CPU of both ends for each of them | 2.0 us | 1.0 us | 3.0 us | 5.0 us | 6.0 us |
| 64 B, one at a time: median | 100 us | 50 us | 150 us | - | 300 us |
| an idle connection, 1 000 of them | 6.0 KiB, no goroutine | 3.0 KiB, no goroutine | 9.0 KiB, 2 goroutines | `+
		`15 KiB, 2 threads | 18 KiB, no goroutine |
| all connections cut at full load | 1 lost | 0 lost | 2 lost | 4 lost | 5 lost, 3 twice |
`, b.String())
	require.Empty(t, BriefOf(nil))
	some := BriefOf(without(rows, func(r *Row) bool { return r.Contestant != fast || group(r.Scenario) != "idle" }))
	require.Equal(t, Brief{Columns: []string{"asyncmsgr, fast dispatch"}, Lines: []BriefLine{
		{What: "an idle connection, 1 000 of them", Cells: []string{"3.0 KiB, no goroutine"}},
	}}, some)
}
