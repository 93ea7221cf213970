package report

import (
	"fmt"
	"strings"
)

// Verdict is what became of a target.
type Verdict string

// The verdicts. NotMeasured is also that of a target whose rival failed.
const (
	Reached     Verdict = "reached"
	NotReached  Verdict = "NOT reached"
	NotMeasured Verdict = "not measured"
)

// Class is the verdict as a name in a style sheet.
func (v Verdict) Class() string { return strings.ToLower(strings.ReplaceAll(string(v), " ", "-")) }

// Target is one figure that the messenger is to reach.
type Target struct {
	Against string  `json:"against"` // the rival
	What    string  `json:"what"`
	Want    string  `json:"want"`
	Got     string  `json:"got"`
	Verdict Verdict `json:"verdict"`
}

// figure is a number of a row that contestants are compared by.
type figure struct {
	name string
	of   func(r *Row) float64
}

var (
	throughput = figure{"throughput", func(r *Row) float64 { return r.Msgs }}
	cpu        = figure{"CPU per message", func(r *Row) float64 { return r.CPU }}
	memory     = figure{"RSS per idle connection", func(r *Row) float64 { return r.RSS }}
	p50        = figure{"p50", func(r *Row) float64 { return r.P50 }}
)

// where selects scenarios.
type where struct {
	name string
	in   func(r *Row) bool
}

// The pipelined scenarios at 16 to 256 connections are those that the targets speak of,
// unless they speak of all.
func pipelined(r *Row) bool { return group(r.Scenario) == "pipelined" }
func loops(r *Row) bool     { return pipelined(r) || r.Scenario == "ping-pong" }
func middle(r *Row) bool    { return pipelined(r) && r.Connections >= 16 && r.Connections <= 256 }

var (
	small    = where{"64 B, 16-256 connections", func(r *Row) bool { return middle(r) && r.Size == 64 }}
	small256 = where{"64 B, 256 connections",
		func(r *Row) bool { return pipelined(r) && r.Connections == 256 && r.Size == 64 }}
	fourKiB = where{"4 KiB, 16-256 connections", func(r *Row) bool { return middle(r) && r.Size == 4<<10 }}
	large   = where{"64 KiB and more", func(r *Row) bool { return pipelined(r) && r.Size >= 64<<10 }}
	every   = where{"every ping-pong and pipelined scenario", loops}
	// Where the queue is compared: small messages from one at a time to full windows of many
	// connections, and 4 KiB.
	queueCells = where{"64 B from 1x1 to 256x64, 4 KiB 16x16", func(r *Row) bool {
		switch [3]int{r.Connections, r.Window, r.Size} {
		case [3]int{1, 1, 64}, [3]int{1, 16, 64}, [3]int{16, 16, 64}, [3]int{16, 64, 64}, [3]int{64, 16, 64},
			[3]int{256, 16, 64}, [3]int{256, 64, 64}, [3]int{16, 16, 4 << 10}:
			return loops(r)
		}
		return false
	}}
	// In the open loop each contestant has a load of its own.
	messages  = where{"every scenario but open", func(r *Row) bool { return busy(r) && group(r.Scenario) != "open" }}
	pingPong  = where{"ping-pong", func(r *Row) bool { return r.Scenario == "ping-pong" }}
	idleConns = where{"idle", idle}

	fanLossy    = where{"fan-out without acknowledgements", func(r *Row) bool { return r.Scenario == "fan-out/lossy" }}
	fanLossless = where{"fan-out", func(r *Row) bool { return r.Scenario == "fan-out/lossless" }}
)

// bound is a limit: at least, or at most.
type bound struct {
	atMost bool
	x      float64
}

func atLeast(x float64) bound { return bound{x: x} }
func atMost(x float64) bound  { return bound{atMost: true, x: x} }

func (b bound) met(x float64) bool {
	if b.atMost {
		return x <= b.x
	}
	return x >= b.x
}

// worse says that x is further on the wrong side than y.
func (b bound) worse(x, y float64) bool {
	if b.atMost {
		return x > y
	}
	return x < y
}

func (b bound) want(unit string) string {
	sign := "≥ "
	if b.atMost {
		sign = "≤ "
	}
	return sign + number(b.x) + unit
}

// number writes 0.125 as it is and 600000 in groups.
func number(x float64) string {
	if x >= 1000 {
		return count(x)
	}
	return fmt.Sprintf("%.3g", x)
}

func (b bound) verdict(x float64) Verdict {
	if b.met(x) {
		return Reached
	}
	return NotReached
}

// against compares ours with a rival's figure, by the ratio of the medians of the same
// run, in every scenario selected; the worst one counts.
func against(rows []Row, ours, rival string, f figure, w where, b bound) Target {
	t := Target{Against: rival, What: ours + ": " + f.name + ", " + w.name, Want: b.want("x")}
	return t.worst(rows, ours, w, b, "x", func(r *Row) (float64, string) {
		other := find(rows, r.Scenario, rival)
		switch {
		case other == nil:
			return 0, ""
		case other.Rounds == 0:
			return 0, rival + " " + why(other)
		}
		if y := f.of(other); y > 0 {
			return f.of(r) / y, ""
		}
		return 0, ""
	})
}

// alone compares a figure of ours with a constant.
func alone(rows []Row, rival, ours, what string, f func(r *Row) float64, w where, b bound, unit string) Target {
	t := Target{Against: rival, What: ours + ": " + what, Want: b.want(unit)}
	return t.worst(rows, ours, w, b, unit, func(r *Row) (float64, string) { return f(r), "" })
}

// worst fills in the verdict by the worst of our rows that are selected. value returns
// 0 for one that cannot be compared, and why.
func (t Target) worst(
	rows []Row, ours string, w where, b bound, unit string, value func(r *Row) (x float64, why string),
) Target {
	t.Verdict, t.Got = NotMeasured, "-"
	var worst float64
	at, n := "", 0
	for i := range rows {
		r := &rows[i]
		if r.Contestant != ours || !w.in(r) {
			continue
		}
		if r.Rounds == 0 && r.Failed != "" {
			t.Verdict, t.Got = NotReached, r.Scenario+": "+why(r)
			return t
		}
		if r.Rounds == 0 {
			continue
		}
		x, trouble := value(r)
		if x == 0 {
			if trouble != "" {
				t.Got = r.Scenario + ": " + trouble
			}
			continue
		}
		if n == 0 || b.worse(x, worst) {
			worst, at = x, r.Scenario
		}
		n++
	}
	if n == 0 {
		return t
	}
	t.Verdict = b.verdict(worst)
	t.Got = fmt.Sprintf("%s%s in %s", number(worst), unit, at)
	if n > 1 {
		t.Got += fmt.Sprintf(", the worst of %d", n)
	}
	return t
}
