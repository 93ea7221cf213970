package report

import (
	"fmt"
	"time"
)

// names are the contestants of the fixture.
var names = []string{
	"async-fast", "async-queue", "threadpipe-goroutines", "threadpipe-queue", "threadpipe-threads",
	"grpc", "drpc", "netrpc", "nats", "raw-net", "raw-netpoll",
}

const reference = "threadpipe-goroutines"

// fixture is a report with every kind of row. Contestant i is i+1 times as slow as the
// first one, so that what comes out can be foreseen.
func fixture() *Report {
	r := &Report{
		Environment: Environment{
			Date: "2026-01-02T03:04:05Z", Kernel: "6.1", Platform: "linux/amd64",
			CPU: "a <model> | 2", Cores: 2, Go: "go1.26",
		},
		Reference: reference, Rounds: 2, Seconds: 0.5, Took: time.Minute, Notes: []string{"a <note> | with signs"},
	}
	for _, name := range names {
		c := Contestant{Name: name, Is: "a <kind> of " + name, Lacks: "no checksum"}
		if name == "async-queue" {
			c.Lacks = ""
		}
		r.Contestants = append(r.Contestants, c)
	}
	add := func(row Row, f func(row *Row, slow float64)) {
		for i, name := range names {
			row := row
			row.Contestant, row.Rounds, row.Spread = name, 2, 0.1
			slow := float64(i + 1)
			f(&row, slow)
			row.Ratio = 3 / slow
			switch {
			case name == "nats" && group(row.Scenario) == "priority":
				row = Row{Scenario: row.Scenario, Contestant: name, Connections: row.Connections,
					Skipped: "it has no priorities"}
			case name == "netrpc" && row.Size > 64:
				row = Row{Scenario: row.Scenario, Contestant: name, Connections: row.Connections,
					Failed: "it <broke> | off"}
			case name == "drpc" && row.Scenario == "ping-pong":
				row.Rounds, row.Failed = 1, "no answers"
			}
			r.Rows = append(r.Rows, row)
			for n := range 2 {
				r.Samples = append(r.Samples, Sample{Row: row, Round: n + 1})
			}
		}
	}
	busy := func(row *Row, slow float64) {
		row.Msgs = 1e6 / slow
		row.MB = row.Msgs * float64(row.Size) / 1e6
		row.P50, row.P99, row.P999 = 50*slow, 200*slow, 1000*slow
		row.CPU, row.Syscalls, row.Allocs, row.CtxSwitches = slow, -1, slow/10, 0.25
		row.RSS, row.Goroutines, row.Threads = 3*slow, 10, 8
	}
	add(Row{Scenario: "ping-pong", Connections: 1, Size: 64, Window: 1}, busy)
	for _, n := range []int{16, 256} {
		for _, size := range []int{64, 4 << 10, 64 << 10, 4 << 20} {
			add(Row{Scenario: fmt.Sprintf("pipelined/%d/%d/16", n, size), Connections: n, Size: size, Window: 16}, busy)
		}
	}
	for _, n := range []int{1000, 10000} {
		add(Row{Scenario: fmt.Sprintf("idle/%d", n), Connections: n}, func(row *Row, slow float64) {
			row.RSS, row.Goroutines, row.Threads = 3*slow, 5*int(slow), 8
		})
	}
	for _, share := range []float64{20, 50, 90} {
		add(Row{Scenario: fmt.Sprintf("open/%v", share), Connections: 16, Size: 64}, func(row *Row, slow float64) {
			busy(row, slow)
			row.Offered = share * 1e4
			row.P99 = 200 * slow * share
		})
	}
	for _, s := range []string{"on", "off"} {
		add(Row{Scenario: "priority/" + s, Connections: 4, Size: 64 << 10, Window: 64}, func(row *Row, slow float64) {
			busy(row, slow)
			if s == "off" {
				row.P99 *= 25
			}
		})
	}
	for _, s := range []string{"lossy", "lossless"} {
		add(Row{Scenario: "fan-out/" + s, Connections: 2000, Size: 4 << 10, Window: 1}, busy)
	}
	add(Row{Scenario: "faults/cut", Connections: 16, Size: 64, Window: 16}, func(row *Row, slow float64) {
		busy(row, slow)
		row.Lost, row.Drain = int64(slow-1), 300*slow
	})
	return r
}
