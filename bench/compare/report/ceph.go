package report

// What Ceph's own messenger does beside the floor. It is not measured here: a table in
// docs/BENCHMARKS.md has it beside this library's version of 2026-11-28, both on one machine,
// and bench/results/2026-11-28/closed-loops.json has that version beside raw-net. Multiplied,
// the two ratios say what Ceph's messenger is beside raw-net, and a run on another machine
// has raw-net as well. Two things do not carry over: the replies of Ceph's test have no
// data, those of the closed loops have as much as the requests, which matters at 64 KiB; and
// the two tables are of different minutes.

// perf is messages a second and microseconds of CPU for each, of both ends.
type perf struct{ rate, cpu float64 }

// cephCell is one line of the table: thousands a second, microseconds. floor is the
// version of then as a ratio to raw-net.
type cephCell struct {
	connections, size, window int
	inline, queue, fast       perf
	floor                     perf
}

var cephCells = []cephCell{
	{1, 64, 1, perf{41, 24.6}, perf{18, 55.6}, perf{65, 26.7}, perf{0.724, 2.316}},
	{1, 64, 16, perf{134, 7.6}, perf{81, 16.5}, perf{561, 3.4}, perf{0.640, 2.185}},
	{1, 64, 64, perf{148, 6.8}, perf{82, 14.9}, perf{941, 1.1}, perf{0.445, 2.225}},
	{16, 64, 16, perf{188, 7.2}, perf{111, 10.8}, perf{635, 1.6}, perf{0.562, 1.717}},
	{16, 64, 64, perf{261, 7.0}, perf{154, 11.5}, perf{1366, 1.2}, perf{0.383, 2.434}},
	{256, 64, 16, perf{233, 7.6}, perf{113, 15.7}, perf{931, 1.8}, perf{0.611, 1.687}},
	{256, 64, 64, perf{258, 7.7}, perf{113, 17.0}, perf{1060, 1.6}, perf{0.407, 2.614}},
	{16, 4 << 10, 16, perf{209, 8.9}, perf{117, 15.1}, perf{540, 3.0}, perf{0.734, 1.346}},
	{16, 64 << 10, 16, perf{72, 25.5}, perf{46, 37.6}, perf{79, 20.7}, perf{0.890, 1.082}},
}

// cephOf is the line that a row belongs to, or nil.
func cephOf(r *Row) *cephCell {
	if !loops(r) {
		return nil
	}
	for i := range cephCells {
		if c := &cephCells[i]; c.connections == r.Connections && c.size == r.Size && c.window == r.Window {
			return c
		}
	}
	return nil
}

// cephNote is what a reader has to know of the targets against Ceph's messenger.
const cephNote = "Ceph's AsyncMessenger (16.2.15, C++) is not part of a run. What it does as a ratio to raw-net " +
	"follows from the table in docs/BENCHMARKS.md and from raw-net beside that version of this library " +
	"(2026-11-28), each of one machine; this run's ratio to its own raw-net is compared with that."

// besideCeph compares a figure of ours with that of Ceph's messenger, inline or through its
// queue, by way of the floor.
func besideCeph(rows []Row, ours string, f figure, w where, b bound) Target {
	how, theirs := "inline", func(c *cephCell) perf { return c.inline }
	if ours == queue {
		how, theirs = "queue", func(c *cephCell) perf { return c.queue }
	}
	of := func(p perf) float64 { return p.rate }
	if f.name == cpu.name {
		of = func(p perf) float64 { return p.cpu }
	}
	t := Target{Against: "Ceph's AsyncMessenger, " + how, What: ours + ": " + f.name + ", " + w.name, Want: b.want("x")}
	measured := where{w.name, func(r *Row) bool { return cephOf(r) != nil && w.in(r) }}
	return t.worst(rows, ours, measured, b, "x", func(r *Row) (float64, string) {
		floor := find(rows, r.Scenario, rawNet)
		if floor == nil || floor.Rounds == 0 || f.of(floor) <= 0 {
			return 0, rawNet + ", the floor, has no result"
		}
		c := cephOf(r)
		return f.of(r) / f.of(floor) / of(c.floor) * of(c.fast) / of(theirs(c)), ""
	})
}

// cephTargets are the targets against Ceph's messenger.
func cephTargets(rows []Row) (out []Target) {
	filled := func(size int, name string) where {
		return where{name + ", 16 in flight and more", func(r *Row) bool { return r.Window >= 16 && r.Size == size }}
	}
	full64, full4K := filled(64, "64 B"), filled(4<<10, "4 KiB")
	full64K := where{"64 KiB", func(r *Row) bool { return r.Size == 64<<10 }}
	for _, ours := range []string{fast, queue} {
		out = append(out,
			besideCeph(rows, ours, throughput, full64, atLeast(4)),
			besideCeph(rows, ours, cpu, full64, atMost(0.25)),
			besideCeph(rows, ours, throughput, full4K, atLeast(4)),
			besideCeph(rows, ours, cpu, full4K, atMost(0.25)),
			besideCeph(rows, ours, cpu, full64K, atMost(0.7)),
			besideCeph(rows, ours, throughput, pingPong, atLeast(1.5)),
			besideCeph(rows, ours, cpu, pingPong, atMost(1)),
		)
	}
	return out
}
