package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Table is a scenario: a line of cells for each contestant.
type Table struct {
	Scenario string
	About    string // what the contestants did: connections, sizes, options
	Columns  []string
	Lines    []Line
}

// Line is a contestant's line of a table. Without a result Cells is nil.
type Line struct {
	Contestant string
	Reference  bool
	Cells      []string
	// Trouble is why a round failed or none was run; "" if nothing happened.
	Trouble string
	Skipped bool
}

// column is what one field of a row looks like in a table.
type column struct {
	name string
	cell func(r *Row) string
	// in says whether the scenario of r has that column at all; a column without
	// it is left out where no row has a figure.
	in func(r *Row) bool
}

var columns = []column{
	{"offered/s", func(r *Row) string { return count(r.Offered) }, func(r *Row) bool { return r.Offered > 0 }},
	{"msgs/s", func(r *Row) string { return count(r.Msgs) }, busy},
	{"MB/s", func(r *Row) string { return decimals(r.MB) }, busy},
	{"p50 µs", func(r *Row) string { return decimals(r.P50) }, busy},
	{"p99 µs", func(r *Row) string { return decimals(r.P99) }, busy},
	{"p99.9 µs", func(r *Row) string { return decimals(r.P999) }, busy},
	{"CPU µs/msg", func(r *Row) string { return fixed(r.CPU) }, busy},
	{"server CPU", func(r *Row) string { return fixed(r.ServerCPU) }, func(r *Row) bool { return r.ServerCPU > 0 }},
	{"syscalls/msg", func(r *Row) string { return fixed(r.Syscalls) }, func(r *Row) bool { return r.Syscalls > 0 }},
	{"ctxsw/msg", func(r *Row) string { return fixed(r.CtxSwitches) }, func(r *Row) bool { return r.CtxSwitches > 0 }},
	{"allocs/msg", func(r *Row) string { return fixed(r.Allocs) }, func(r *Row) bool { return r.Allocs > 0 }},
	{"lost", func(r *Row) string { return strconv.FormatInt(r.Lost, 10) }, faulty},
	{"duplicated", func(r *Row) string { return strconv.FormatInt(r.Duplicated, 10) }, faulty},
	{"drain ms", func(r *Row) string { return decimals(r.Drain) }, faulty},
	{"KiB/conn", func(r *Row) string { return decimals(r.RSS) }, func(r *Row) bool { return r.RSS != 0 }},
	{"peak MiB", func(r *Row) string { return decimals(r.PeakRSS / 1024) }, func(r *Row) bool { return r.PeakRSS > 0 }},
	{"goroutines", func(r *Row) string { return strconv.Itoa(r.Goroutines) }, func(r *Row) bool { return true }},
	{"threads", func(r *Row) string { return strconv.Itoa(r.Threads) }, func(r *Row) bool { return true }},
	{"ratio", func(r *Row) string { return ratio(r.Ratio) }, func(r *Row) bool { return r.Ratio > 0 }},
	{"spread", func(r *Row) string { return fmt.Sprintf("%.0f%%", 100*r.Spread) }, func(r *Row) bool { return true }},
	{"rounds", func(r *Row) string { return strconv.Itoa(r.Rounds) }, func(r *Row) bool { return true }},
}

// busy: something is sent in the scenario of r.
func busy(r *Row) bool   { return !idle(r) }
func idle(r *Row) bool   { return group(r.Scenario) == "idle" }
func faulty(r *Row) bool { return group(r.Scenario) == "faults" }

// rising is whether a larger ratio is better in a scenario.
func rising(scenario string) bool {
	switch group(scenario) {
	case "idle", "open", "priority":
		return false
	}
	return true
}

// group is a scenario's name up to the first slash.
func group(scenario string) string {
	g, _, _ := strings.Cut(scenario, "/")
	return g
}

// Tables returns a table for each scenario. reference is marked.
func Tables(rows []Row, reference string) (out []Table) {
	for _, name := range Scenarios(rows) {
		var of []*Row
		for i := range rows {
			if rows[i].Scenario == name {
				of = append(of, &rows[i])
			}
		}
		out = append(out, tableOf(of, reference))
	}
	return out
}

func tableOf(rows []*Row, reference string) Table {
	t := Table{Scenario: rows[0].Scenario, About: about(rows)}
	var shown []column
	for _, c := range columns {
		if slices.ContainsFunc(rows, func(r *Row) bool { return r.Rounds > 0 && c.in(r) }) {
			shown = append(shown, c)
			t.Columns = append(t.Columns, c.name)
		}
	}
	for _, r := range rows {
		l := Line{Contestant: r.Contestant, Reference: r.Contestant == reference, Trouble: why(r)}
		l.Skipped = (r.Skipped != "" || r.Partial) && r.Rounds == 0
		if r.Rounds > 0 {
			for _, c := range shown {
				l.Cells = append(l.Cells, c.cell(r))
			}
		}
		t.Lines = append(t.Lines, l)
	}
	return t
}

// why says in words why r has no result, or fewer rounds than others.
func why(r *Row) string {
	switch {
	case r.Rounds > 0 && r.Failed != "":
		return "a round FAILED: " + brief(r.Failed)
	case r.Rounds > 0 && r.Partial:
		return "partial: interrupted before all of its rounds"
	case r.Rounds > 0:
		return ""
	case r.Failed != "":
		return "FAILED: " + brief(r.Failed)
	case r.Skipped != "":
		return "skipped: " + brief(r.Skipped)
	case r.Partial:
		return "not measured: interrupted before its first round"
	}
	return "FAILED: no round has a result"
}

// reasonMax is how many characters of a reason are in a table. All of it, which may
// have the stacks of goroutines, is in the rows.
const reasonMax = 200

func brief(s string) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > reasonMax {
		return string(r[:reasonMax]) + " ..."
	}
	return string(r)
}

// about says what a scenario is: "16 connections, window 64, 4 KiB".
func about(rows []*Row) string {
	r := rows[0]
	parts := []string{count(float64(r.Connections)) + " connection" + plural(r.Connections)}
	if idle(r) {
		parts = append(parts, "nothing sent")
	} else {
		if r.Window > 0 {
			parts = append(parts, fmt.Sprintf("window %d", r.Window))
		}
		parts = append(parts, SizeName(r.Size))
	}
	for _, o := range []struct {
		n    int
		name string
	}{{r.Messengers, "messenger"}, {r.Workers, "worker"}, {r.DrainWidth, "dispatching thread"}} {
		if o.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s%s", o.n, o.name, plural(o.n)))
		}
	}
	if what := meaning[group(r.Scenario)]; what != "" {
		parts = append(parts, what)
	}
	return strings.Join(parts, ", ")
}

// meaning is what is not in a scenario's figures.
var meaning = map[string]string{
	"open": "sent at given times, latency counted from them; the ratio is that of p99, less is better",
	"priority": "the latencies are those of a trickle beside bulk traffic that fills the link; " +
		"the ratio is that of p99, less is better",
	"faults":    "all connections are cut at full load",
	"fan-out":   "each message goes in once and comes out of all, which is what is counted",
	"idle":      "the ratio is that of memory, less is better",
	"ceph-perf": "both ends in one process, the request and reply of ceph_perf_msgr",
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// SizeName writes a number of bytes as people do: 64 B, 4 KiB, 1 MiB.
func SizeName(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// count writes a whole number in groups of three: 1 234 567.
func count(x float64) string {
	s := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// decimals has three digits that count, or more before the point.
func decimals(x float64) string {
	switch {
	case x < 0: // not counted, or never
		return "-"
	case x < 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return count(x)
}

// fixed has two digits after the point. Below 0 means that it was not counted.
func fixed(x float64) string {
	if x < 0 {
		return "-"
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

func ratio(x float64) string {
	if x == 0 {
		return "-"
	}
	return fixed(x)
}
