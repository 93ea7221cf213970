// Package report presents what comparisons measured: as text, Markdown, one HTML page
// with plots, JSON, CSV and lines for benchstat. Everything is computed from rows, one
// for each contestant in each scenario, and samples, one for each round of them; a run
// that failed or was skipped is a row like the others and is shown in every table.
package report

import (
	"strings"
	"time"
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
	// ServerCPU is the server's part of CPU.
	ServerCPU float64 `json:"server_cpu_us_per_msg"`
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
	// Drain is the time from a cut of all connections until all is answered that was
	// sent before its end, in milliseconds, -1 if a request was lost: for scenarios
	// with faults only. Lost and Duplicated are those of the worst round.
	Lost       int64   `json:"lost,omitempty"`
	Duplicated int64   `json:"duplicated,omitempty"`
	Drain      float64 `json:"drain_ms,omitempty"`
	// Messengers, Workers and DrainWidth are the options that a scenario set; 0 is
	// the contestant's default.
	Messengers int `json:"messengers,omitempty"`
	Workers    int `json:"workers,omitempty"`
	DrainWidth int `json:"drain_width,omitempty"`
	// Ratio is the median over the rounds of this contestant's rate by that of the
	// reference in the same round; in idle/... it is of memory, in open/... and
	// priority/... of P99. 0 without a reference.
	Ratio float64 `json:"ratio"`
	// Rounds is how many succeeded, Spread their (max-min)/median of what Ratio
	// compares.
	Rounds int     `json:"rounds"`
	Spread float64 `json:"spread"`
	// Failed is why a round failed, Skipped why there was none.
	Failed  string `json:"failed,omitempty"`
	Skipped string `json:"skipped,omitempty"`
	// Partial: the run was interrupted before all rounds of the row.
	Partial bool `json:"partial,omitempty"`
}

// Sample is one round of a contestant in a scenario: raw, before medians.
type Sample struct {
	Row
	Round int `json:"round"`
}

// Contestant is what a reader is told of one.
type Contestant struct {
	Name string `json:"name"`
	// Is says what it is, Lacks what it does not do, or "".
	Is    string `json:"is"`
	Lacks string `json:"lacks,omitempty"`
}

// Sentence is all of it, for people.
func (c Contestant) Sentence() string {
	s := strings.ToUpper(c.Is[:min(1, len(c.Is))]) + c.Is[min(1, len(c.Is)):]
	switch {
	case c.Lacks == "":
		return s + "."
	case strings.HasPrefix(c.Lacks, "no "):
		return s + ". It has " + c.Lacks + "."
	}
	return s + ". It " + c.Lacks + "."
}

// Report is all that is known of a comparison.
type Report struct {
	Environment Environment `json:"environment"`
	// Reference is the contestant that ratios refer to.
	Reference string `json:"reference"`
	// Contestants are who took part.
	Contestants []Contestant `json:"contestants,omitempty"`
	Rounds      int          `json:"rounds"`
	// Seconds is how long a measurement takes, and SecondsMax the longest one takes if
	// scenarios differ.
	Seconds    float64 `json:"seconds"`
	SecondsMax float64 `json:"seconds_max,omitempty"`
	// Took is how long all of it took.
	Took time.Duration `json:"took_ns"`
	// Partial says that, and when, the run was interrupted: what is missing in Rows was
	// not measured. "" for a run that came to its end.
	Partial string `json:"partial,omitempty"`
	// Notes say how something was measured that is not a matter of course, or why it
	// could not be measured.
	Notes   []string `json:"notes,omitempty"`
	Rows    []Row    `json:"rows"`
	Samples []Sample `json:"samples"`
}

// Contestants returns the names of all contestants in the order of their first rows.
func Contestants(rows []Row) []string {
	return distinct(rows, func(r *Row) string { return r.Contestant })
}

// Scenarios returns the names of all scenarios in the order of their first rows.
func Scenarios(rows []Row) []string {
	return distinct(rows, func(r *Row) string { return r.Scenario })
}

func distinct(rows []Row, f func(r *Row) string) (out []string) {
	seen := map[string]bool{}
	for i := range rows {
		if x := f(&rows[i]); !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out
}
