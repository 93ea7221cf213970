// Package report prints what comparisons measured.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Row is one contestant in one scenario: the medians of its rounds. CPU is that of
// both processes, user and system; memory, goroutines and threads are the server's.
type Row struct {
	Scenario    string `json:"scenario"`
	Contestant  string `json:"contestant"`
	Connections int    `json:"connections"`
	// Size is that of a payload in bytes, Window how many requests each connection
	// has in flight.
	Size   int `json:"size"`
	Window int `json:"window"`
	// Msgs counts round trips a second, MB the payload bytes of one direction.
	Msgs float64 `json:"msgs_per_s"`
	MB   float64 `json:"mb_per_s"`
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	CPU  float64 `json:"cpu_us_per_msg"`
	// Syscalls, CtxSwitches and Allocs are those of both processes; -1 where they
	// could not be counted.
	Syscalls    float64 `json:"syscalls_per_msg"`
	CtxSwitches float64 `json:"ctx_switches_per_msg"`
	Allocs      float64 `json:"allocs_per_msg"`
	RSS         float64 `json:"rss_kib_per_conn"`
	PeakRSS     float64 `json:"peak_rss_kib"` // of the server
	Goroutines  int     `json:"goroutines"`
	Threads     int     `json:"threads"`
	// Offered is the load of an open loop in messages a second, 0 in a closed one.
	Offered float64 `json:"offered_per_s,omitempty"`
	// Lost and Duplicated count requests without an answer and answers given twice,
	// Drain is the time from a cut of all connections until every answer is there,
	// in milliseconds: for scenarios with faults only.
	Lost       int64   `json:"lost,omitempty"`
	Duplicated int64   `json:"duplicated,omitempty"`
	Drain      float64 `json:"drain_ms,omitempty"`
	// Messengers, Workers and DrainWidth are the options that a scenario set; 0 is
	// the contestant's default.
	Messengers int `json:"messengers,omitempty"`
	Workers    int `json:"workers,omitempty"`
	DrainWidth int `json:"drain_width,omitempty"`
	// Ratio is the median over the rounds of this contestant's rate (memory in the
	// scenario idle) by that of the reference in the same round; 0 without one.
	Ratio float64 `json:"ratio"`
	// Rounds is how many succeeded, Spread their (max-min)/median of the rate.
	Rounds int     `json:"rounds"`
	Spread float64 `json:"spread"`
	// Failed is why a round failed, Skipped why there was none.
	Failed  string `json:"failed,omitempty"`
	Skipped string `json:"skipped,omitempty"`
}

// Sample is one round of a contestant in a scenario: raw, before medians.
type Sample struct {
	Row
	Round int `json:"round"`
}

// JSON writes the rows as one JSON array.
func JSON(w io.Writer, rows []Row) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rows)
}

// Table writes the rows as text, a table for each scenario.
func Table(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	last := ""
	for _, r := range rows {
		if r.Scenario != last {
			if last != "" {
				fmt.Fprintln(t)
			}
			last = r.Scenario
			fmt.Fprintf(t, "%s: connections %d, window %d, %d B\n", r.Scenario, r.Connections, r.Window, r.Size)
			fmt.Fprintln(t, "contestant\tmsgs/s\tMB/s\tp50 us\tp99 us\tp99.9 us\tcpu us/msg\tctxsw/msg\tKiB/conn\tgoroutines\tthreads\tratio\tspread\trounds\t")
		}
		switch {
		case r.Skipped != "":
			fmt.Fprintf(t, "%s\tskipped: %s\n", r.Contestant, r.Skipped)
			continue
		case r.Rounds == 0:
			fmt.Fprintf(t, "%s\tFAILED: %s\n", r.Contestant, r.Failed)
			continue
		}
		fmt.Fprintf(t, "%s\t", r.Contestant)
		if r.Window == 0 {
			fmt.Fprint(t, strings.Repeat("-\t", 7))
		} else {
			fmt.Fprintf(t, "%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t", r.Msgs, r.MB, r.P50, r.P99, r.P999, r.CPU, r.CtxSwitches)
		}
		fmt.Fprintf(t, "%.1f\t%d\t%d\t%s\t%.0f%%\t%d\t", r.RSS, r.Goroutines, r.Threads, ratio(r.Ratio), 100*r.Spread, r.Rounds)
		if r.Failed != "" {
			fmt.Fprintf(t, " and a round FAILED: %s", r.Failed)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func ratio(x float64) string {
	if x == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", x)
}
