package report

import (
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
		{"Ceph's AsyncMessenger", "async-fast: throughput in ceph-perf", NotMeasured, "-"},
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
