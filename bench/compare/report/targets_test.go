package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func target(t *testing.T, rows []Row, against, what string) Target {
	t.Helper()
	for _, x := range Targets(rows) {
		if x.Against == against && x.What == what {
			return x
		}
	}
	require.Fail(t, "no such target", "%s: %s", against, what)
	return Target{}
}

// TestTargets: in the fixture contestant number i, from 0, is i+1 times as slow.
func TestTargets(t *testing.T) {
	rows := fixture().Rows
	for _, c := range []struct {
		against, what string
		verdict       Verdict
		got           string
	}{
		{"threadpipe-threads", "async-fast: throughput, 64 B, 16-256 connections", NotReached,
			"5x in pipelined/16/64/16, the worst of 2"},
		{"threadpipe-threads", "async-fast: throughput, 4 KiB, 16-256 connections", Reached,
			"5x in pipelined/16/4096/16, the worst of 2"},
		{"threadpipe-threads", "async-fast: CPU per message, 64 B, 16-256 connections", Reached,
			"0.2x in pipelined/16/64/16, the worst of 2"},
		{"threadpipe-threads", "async-fast: RSS per idle connection, idle", NotReached,
			"0.2x in idle/1000, the worst of 2"},
		{"threadpipe-threads", "async-fast: threads, idle connections", Reached, "8 in idle/1000, the worst of 2"},
		{"threadpipe-goroutines", "async-fast: RSS per idle connection", Reached, "3 KiB in idle/1000, the worst of 2"},
		{"raw-net", "async-fast: p50, ping-pong", Reached, "0.1x in ping-pong"},
		{"netrpc", "async-fast: throughput, 64 B, 16-256 connections", Reached,
			"8x in pipelined/16/64/16, the worst of 2"},
		{"the better of raw-net and raw-netpoll", "async-fast: throughput, 64 KiB and more", Reached,
			"10x in pipelined/16/65536/16, the worst of 4"},
		{"async-fast with priorities off", "async-fast: high-priority p99 beside bulk traffic", Reached,
			"0.04x in priority/on"},
		{"its promise", "async-fast: all connections cut at full load", Reached,
			"0 lost, 0 duplicated, drained in 300 ms"},
		{"its promise", "async-queue: all connections cut at full load", NotReached,
			"1 lost, 0 duplicated, drained in 600 ms"},
		{"raw-net", "async-queue: CPU per message, fan-out", Reached, "0.2x in fan-out/lossless"},
		{"raw-net", "async-fast: CPU per message, fan-out without acknowledgements", Reached, "0.1x in fan-out/lossy"},
		{"async-fast", "async-queue: CPU per message, 64 B from 1x1 to 256x64, 4 KiB 16x16", NotReached,
			"2x in ping-pong, the worst of 4"},
		{"threadpipe-queue", "async-queue: throughput, 64 B from 1x1 to 256x64, 4 KiB 16x16", Reached,
			"2x in ping-pong, the worst of 4"},
		{"threadpipe-goroutines", "async-fast: CPU per message, every scenario but open", Reached,
			"0.333x in ping-pong, the worst of 14"},
		{"Ceph's AsyncMessenger, inline", "async-fast: throughput, 64 B, 16 in flight and more", Reached,
			"60.1x in pipelined/16/64/16, the worst of 2"},
		{"Ceph's AsyncMessenger, queue", "async-queue: CPU per message, ping-pong", Reached, "0.0415x in ping-pong"},
	} {
		x := target(t, rows, c.against, c.what)
		require.Equal(t, c.verdict, x.Verdict, "%+v", x)
		require.Equal(t, c.got, x.Got, "%+v", x)
	}
	for _, x := range Targets(nil) {
		require.Equal(t, NotMeasured, x.Verdict)
	}
}

// TestTargetsWorst: one bad scenario is enough, and so is a failed one of ours; one of a
// rival's leaves that scenario out.
func TestTargetsWorst(t *testing.T) {
	const what = "async-fast: throughput, 4 KiB, 16-256 connections"
	rows := fixture().Rows
	ours := find(rows, "pipelined/256/4096/16", "async-fast")
	ours.Msgs /= 4
	x := target(t, rows, "threadpipe-threads", what)
	require.Equal(t, NotReached, x.Verdict)
	require.Equal(t, "1.25x in pipelined/256/4096/16, the worst of 2", x.Got)

	*find(rows, "pipelined/256/4096/16", "threadpipe-threads") = Row{Scenario: "pipelined/256/4096/16",
		Contestant: "threadpipe-threads", Failed: "no"}
	x = target(t, rows, "threadpipe-threads", what)
	require.Equal(t, Reached, x.Verdict)
	require.Equal(t, "5x in pipelined/16/4096/16", x.Got)

	ours.Rounds, ours.Failed = 0, "it hung"
	x = target(t, rows, "threadpipe-threads", what)
	require.Equal(t, NotReached, x.Verdict)
	require.Equal(t, "pipelined/256/4096/16: FAILED: it hung", x.Got)
}

func TestOverview(t *testing.T) {
	o := Overview(fixture().Rows)
	require.Equal(t, names, o.Columns)
	cell := func(scenario, contestant string) string {
		for _, l := range o.Lines {
			for i, c := range o.Columns {
				if l.Scenario == scenario && c == contestant {
					return l.Cells[i]
				}
			}
		}
		return ""
	}
	require.Equal(t, "3.00", cell("ping-pong", "async-fast"))
	require.Equal(t, "3.00", cell("idle/1000 (memory)", "async-fast"))
	require.Equal(t, "failed", cell("pipelined/16/4096/16", "netrpc"))
	require.Equal(t, "skipped", cell("priority/on (p99)", "nats"))
}

// TestTargetsAtMost: of figures that are to be small the largest counts.
func TestTargetsAtMost(t *testing.T) {
	rows := fixture().Rows
	find(rows, "idle/10000", "async-fast").RSS = 3.6
	x := target(t, rows, "threadpipe-goroutines", "async-fast: RSS per idle connection")
	require.Equal(t, NotReached, x.Verdict)
	require.Equal(t, "3.6 KiB in idle/10000, the worst of 2", x.Got)
}

// TestTargetsFaults: a lost message, one that came twice, time and never each are enough.
func TestTargetsFaults(t *testing.T) {
	for want, f := range map[string]func(r *Row){
		"2 lost, 0 duplicated, drained in 300 ms":   func(r *Row) { r.Lost = 2 },
		"0 lost, 1 duplicated, drained in 300 ms":   func(r *Row) { r.Duplicated = 1 },
		"0 lost, 0 duplicated, drained in 1 001 ms": func(r *Row) { r.Drain = 1001 },
		"0 lost, 0 duplicated, not drained":         func(r *Row) { r.Drain = -1 },
	} {
		rows := fixture().Rows
		f(find(rows, "faults/cut", "async-fast"))
		x := target(t, rows, "its promise", "async-fast: all connections cut at full load")
		require.Equal(t, NotReached, x.Verdict)
		require.Equal(t, want, x.Got)
	}
}

// TestTargetsCeph: by way of the floor. On a machine where this library and raw-net do what
// they did for the table the answers are the table's; a floor without a result leaves a
// scenario out.
func TestTargetsCeph(t *testing.T) {
	var rows []Row
	add := func(name string, connections, size, window int, p perf) {
		rows = append(rows, Row{Scenario: name, Contestant: fast, Connections: connections, Size: size, Window: window,
			Msgs: p.rate, CPU: p.cpu, Rounds: 1}, Row{Scenario: name, Contestant: rawNet, Msgs: 1, CPU: 1, Rounds: 1})
	}
	add("ping-pong", 1, 64, 1, perf{0.724, 2.316})
	add("pipelined/16/64B/64", 16, 64, 64, perf{0.383, 2.434})
	add("pipelined/16/64KiB/16", 16, 64<<10, 16, perf{0.890, 1.082})
	add("pipelined/16/64KiB/4", 16, 64<<10, 4, perf{9, 9}) // not in the table
	const ceph = "Ceph's AsyncMessenger, inline"
	for what, want := range map[string]Target{
		"throughput, ping-pong":                        {Verdict: Reached, Got: "1.59x in ping-pong"},
		"CPU per message, ping-pong":                   {Verdict: NotReached, Got: "1.09x in ping-pong"},
		"throughput, 64 B, 16 in flight and more":      {Verdict: Reached, Got: "5.23x in pipelined/16/64B/64"},
		"CPU per message, 64 B, 16 in flight and more": {Verdict: Reached, Got: "0.171x in pipelined/16/64B/64"},
		"CPU per message, 64 KiB":                      {Verdict: NotReached, Got: "0.812x in pipelined/16/64KiB/16"},
		"throughput, 4 KiB, 16 in flight and more":     {Verdict: NotMeasured, Got: "-"},
	} {
		x := target(t, rows, ceph, "async-fast: "+what)
		require.Equal(t, want, Target{Verdict: x.Verdict, Got: x.Got}, what)
	}
	find(rows, "ping-pong", rawNet).Rounds = 0
	x := target(t, rows, ceph, "async-fast: throughput, ping-pong")
	require.Equal(t, NotMeasured, x.Verdict)
	require.Equal(t, "ping-pong: raw-net, the floor, has no result", x.Got)
}

// TestCephCells: the figures are those of the table, and of the run that says what this
// library was beside raw-net then.
func TestCephCells(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/BENCHMARKS.md")
	require.NoError(t, err)
	text, err := os.ReadFile("../../results/2026-11-28/closed-loops.json")
	require.NoError(t, err)
	var then []Row
	require.NoError(t, json.Unmarshal(text, &then))
	for _, c := range cephCells {
		in := func(p perf) string { return fmt.Sprintf("%v, %.1f", p.rate, p.cpu) }
		require.Contains(t, string(doc), fmt.Sprintf("| %d | %dx%d | %s | %s | %s | ",
			c.size, c.connections, c.window, in(c.inline), in(c.fast), in(c.queue)))
		i := slices.IndexFunc(then, func(r Row) bool {
			return r.Contestant == fast && cephOf(&r) != nil && *cephOf(&r) == c
		})
		require.GreaterOrEqual(t, i, 0, "%+v", c)
		raw := find(then, then[i].Scenario, rawNet)
		require.InDelta(t, c.floor.rate, then[i].Msgs/raw.Msgs, 0.001, then[i].Scenario)
		require.InDelta(t, c.floor.cpu, then[i].CPU/raw.CPU, 0.001, then[i].Scenario)
	}
}
