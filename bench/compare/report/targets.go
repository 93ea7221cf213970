package report

import "fmt"

// The contestants that targets are about, by name.
const (
	fast, queue = "async-fast", "async-queue"
	pipeQueue   = "threadpipe-queue"
	threads     = "threadpipe-threads"
	goroutines  = "threadpipe-goroutines"
	rawNet      = "raw-net"
	rawNetpoll  = "raw-netpoll"
)

// few is how many goroutines or threads, at most, a process has that does not need
// them for connections.
const few = 64

// Targets computes from the rows which of the messenger's targets are reached. Where a
// target spans scenarios the worst of them counts; one without rows is not measured.
func Targets(rows []Row) []Target {
	out := []Target{
		against(rows, queue, fast, cpu, queueCells, atMost(1.2)),
		against(rows, queue, fast, throughput, queueCells, atLeast(0.85)),
		against(rows, queue, goroutines, throughput, queueCells, atLeast(1)),
		against(rows, queue, pipeQueue, throughput, queueCells, atLeast(1.5)),

		against(rows, fast, threads, throughput, small, atLeast(6)),
		against(rows, fast, threads, throughput, fourKiB, atLeast(2)),
		against(rows, fast, threads, cpu, small, atMost(0.25)),
		against(rows, fast, threads, memory, idleConns, atMost(0.125)),
		alone(rows, threads, fast, "threads, idle connections", func(r *Row) float64 { return float64(r.Threads) },
			idleConns, atMost(few), ""),

		against(rows, fast, goroutines, throughput, small256, atLeast(1.3)),
		against(rows, fast, goroutines, throughput, fourKiB, atLeast(1.2)),
		against(rows, fast, goroutines, throughput, every, atLeast(0.9)),
		against(rows, fast, goroutines, cpu, messages, atMost(0.75)),
		against(rows, fast, goroutines, memory, idleConns, atMost(0.25)),
		alone(rows, goroutines, fast, "RSS per idle connection", memory.of, idleConns, atMost(3.5), " KiB"),
		alone(rows, goroutines, fast, "goroutines, idle connections",
			func(r *Row) float64 { return float64(r.Goroutines) }, idleConns, atMost(few), ""),

		against(rows, fast, "grpc", throughput, small, atLeast(4)),
		against(rows, fast, "grpc", throughput, fourKiB, atLeast(3)),
		against(rows, fast, "grpc", cpu, small, atMost(1.0/3)),
		against(rows, fast, "grpc", memory, idleConns, atMost(0.2)),
		against(rows, fast, "drpc", throughput, small, atLeast(8)),
		against(rows, fast, "drpc", cpu, small, atMost(1.0/6)),
		against(rows, fast, "netrpc", throughput, small, atLeast(8)),
		against(rows, fast, "netrpc", cpu, small, atMost(1.0/6)),
		against(rows, fast, rawNetpoll, throughput, small, atLeast(0.35)),

		against(rows, fast, rawNet, p50, pingPong, atMost(1.5)),
		against(rows, queue, rawNet, p50, pingPong, atMost(2)),
		against(rows, fast, goroutines, throughput, large, atLeast(0.9)),
		loopback(rows),
	}
	for _, ours := range []string{fast, queue} {
		out = append(out, priorities(rows, ours))
	}
	for _, ours := range []string{fast, queue} {
		out = append(out, faults(rows, ours))
	}
	for _, ours := range []string{fast, queue} {
		for _, w := range []where{fanLossy, fanLossless} {
			out = append(out, against(rows, ours, rawNet, cpu, w, atMost(1.2)))
		}
	}
	return append(out, cephTargets(rows)...)
}

// judgedOf are the targets that the rows say something about, and the others.
func judgedOf(rows []Row) (judged, unjudged []Target) {
	for _, t := range Targets(rows) {
		if t.Verdict == NotMeasured && t.Got == "-" {
			unjudged = append(unjudged, t)
		} else {
			judged = append(judged, t)
		}
	}
	return judged, unjudged
}

// loopback is the share of what raw connections carry that large messages reach.
func loopback(rows []Row) Target {
	b := atLeast(0.6)
	t := Target{Against: "the better of " + rawNet + " and " + rawNetpoll,
		What: fast + ": throughput, " + large.name, Want: b.want("x")}
	return t.worst(rows, fast, large, b, "x", func(r *Row) (float64, string) {
		var raw float64
		for _, name := range []string{rawNet, rawNetpoll} {
			if other := find(rows, r.Scenario, name); other != nil && other.Rounds > 0 {
				raw = max(raw, other.Msgs)
			}
		}
		if raw == 0 {
			return 0, "no raw connection has a result"
		}
		return r.Msgs / raw, ""
	})
}

// priorities compares the trickle beside bulk traffic with itself at the same priority.
func priorities(rows []Row, ours string) Target {
	b := atMost(0.05)
	t := Target{Against: ours + " with priorities off",
		What: ours + ": high-priority p99 beside bulk traffic", Want: b.want("x")}
	on := where{"", func(r *Row) bool { return r.Scenario == "priority/on" }}
	return t.worst(rows, ours, on, b, "x", func(r *Row) (float64, string) {
		off := find(rows, "priority/off", ours)
		if off == nil || off.Rounds == 0 || off.P99 <= 0 {
			return 0, "no result with priorities off"
		}
		return r.P99 / off.P99, ""
	})
}

// faults: nothing lost, nothing twice, and soon.
func faults(rows []Row, ours string) Target {
	const drainMax = 1000 // ms
	t := Target{
		Against: "its promise", What: ours + ": all connections cut at full load",
		Want: "0 lost, 0 duplicated, drained in 1 s", Verdict: NotMeasured, Got: "-",
	}
	for i := range rows {
		r := &rows[i]
		switch {
		case r.Contestant != ours || !faulty(r) || r.Rounds == 0 && r.Failed == "":
			continue
		case r.Failed != "":
			t.Verdict, t.Got = NotReached, r.Scenario+": "+why(r)
			return t
		case t.Verdict == NotReached:
			continue // what is shown is worse already
		}
		drained := "drained in " + decimals(r.Drain) + " ms"
		if r.Drain < 0 {
			drained = "not drained"
		}
		t.Got = fmt.Sprintf("%d lost, %d duplicated, %s", r.Lost, r.Duplicated, drained)
		t.Verdict = Reached
		if r.Lost > 0 || r.Duplicated > 0 || r.Drain > drainMax || r.Drain < 0 {
			t.Verdict = NotReached
		}
	}
	return t
}
