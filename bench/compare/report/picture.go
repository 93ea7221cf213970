package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Picture is what a report opens with: one or two plots, and the sentence that they come
// to. The sentence is made of the same rows.
type Picture struct {
	Title  string   `json:"title"`
	Answer string   `json:"answer"`
	Plots  []Figure `json:"-"`
}

// Pictures are at most three: throughput and CPU against connections, memory against
// connections, latency. One of which nothing was measured is left out.
func Pictures(rows []Row, reference string) (out []Picture, err error) {
	for _, f := range []func([]Row, string) (Picture, error){loopPicture, memoryPicture, latencyPicture} {
		p, err := f(rows, reference)
		if err != nil {
			return nil, err
		}
		p.Plots = slices.DeleteFunc(p.Plots, func(f Figure) bool { return f.SVG == "" })
		if len(p.Plots) > 0 {
			out = append(out, p)
		}
	}
	return out, nil
}

// loopPicture is rate and CPU of closed loops of one size and window against the number of
// connections, or bars if there is one number of them.
func loopPicture(rows []Row, reference string) (p Picture, err error) {
	loop := widest(rows)
	if loop == nil {
		return p, nil
	}
	in := func(r *Row) bool { return pipelined(r) && r.Size == loop.Size && r.Window == loop.Window }
	what := fmt.Sprintf("%s, %d in flight on each", SizeName(loop.Size), loop.Window)
	p.Title = "Throughput and CPU against connections"
	rate := Figure{Title: "Round trips a second", Caption: "Messages of " + what + " connection; more is better."}
	used := Figure{Title: "CPU for each of them",
		Caption: "Messages of " + what + " connection; user and system time of both processes, µs; less is better."}
	all, xs := seriesOf(rows, in, connections, throughput.of)
	cpus, cpuXs := seriesOf(rows, in, connections, cpu.of)
	if len(xs) > 1 {
		ticks := ticks(xs, func(x float64) string { return count(x) })
		if rate.SVG, err = lines("connections", "messages/s", all, ticks); err != nil {
			return p, err
		}
		if len(cpuXs) > 1 {
			used.SVG, err = lines("connections", "CPU µs per message", cpus, ticks)
		}
	} else {
		p.Title = fmt.Sprintf("Throughput and CPU, %s connection%s",
			count(float64(loop.Connections)), plural(loop.Connections))
		if rate.SVG, err = barChart("thousand messages/s", barsOf(rows, measure{loop.Scenario,
			func(r *Row) float64 { return r.Msgs / 1e3 }}), nil); err != nil {
			return p, err
		}
		used.SVG, err = barChart("CPU µs per message", barsOf(rows, measure{loop.Scenario, cpu.of}), nil)
	}
	p.Plots = []Figure{rate, used}
	p.Answer = loopAnswer(rows, in, what, reference)
	return p, err
}

// widest is a row of the closed loops whose size and window were measured with the most
// numbers of connections, of several the ones with the most results; nil if there is none.
func widest(rows []Row) (best *Row) {
	var most [2]int
	for i := range rows {
		r := &rows[i]
		if !pipelined(r) || r.Rounds == 0 {
			continue
		}
		seen, n := map[int]bool{}, 0
		for j := range rows {
			if x := &rows[j]; pipelined(x) && x.Rounds > 0 && x.Size == r.Size && x.Window == r.Window {
				seen[x.Connections], n = true, n+1
			}
		}
		if now := [2]int{len(seen), n}; slices.Compare(now[:], most[:]) > 0 {
			best, most = r, now
		}
	}
	return best
}

// loopAnswer says what ours do beside the reference, wherever both have a result.
func loopAnswer(rows []Row, in func(r *Row) bool, what, reference string) string {
	var parts []string
	var spread float64
	conns := map[int]bool{}
	for _, name := range []string{fast, queue, rawNet} {
		rate, rateSpread, at := quotients(rows, in, name, reference, throughput.of)
		if len(rate) == 0 {
			continue
		}
		used, _, _ := quotients(rows, in, name, reference, cpu.of)
		s := fmt.Sprintf("%s carries %s times its messages", name, span(rate, fixed))
		if len(parts) > 0 {
			s = fmt.Sprintf("%s %s times", name, span(rate, fixed))
		}
		if len(used) > 0 {
			s += fmt.Sprintf(" at %s of its CPU", span(used, fixed))
		}
		if name == rawNet {
			s += " (the floor, no messenger)"
		}
		parts = append(parts, s)
		spread = max(spread, rateSpread)
		for _, r := range at {
			conns[r.Connections] = true
		}
	}
	if len(parts) == 0 || !strings.HasPrefix(parts[0], "async") {
		return oursAlone(rows, in, what, reference)
	}
	differ := ""
	if spread > 0 {
		differ = fmt.Sprintf(" The rounds of a rate differ by up to %.0f %%.", 100*spread)
	}
	return fmt.Sprintf("Beside %s, with %s and messages of %s: %s.%s%s", reference, connectionsOf(conns), what,
		strings.Join(parts, ", "), differ, failures(rows, in, reference))
}

// oursAlone is for rows where nothing of ours can be compared with the reference.
func oursAlone(rows []Row, in func(r *Row) bool, what, reference string) string {
	var parts []string
	for _, name := range []string{fast, queue} {
		var rates []float64
		for i := range rows {
			if r := &rows[i]; r.Contestant == name && in(r) && r.Rounds > 0 {
				rates = append(rates, r.Msgs)
			}
		}
		if len(rates) > 0 {
			parts = append(parts, fmt.Sprintf("%s carries %s messages a second", name, span(rates, short)))
		}
	}
	if len(parts) == 0 {
		return "No result of this library's messenger." + failures(rows, in, reference)
	}
	return fmt.Sprintf("With messages of %s connection %s; nothing to compare with, %s has no result there.%s", what,
		strings.Join(parts, ", "), reference, failures(rows, in, reference))
}

// quotients are those of a contestant's figure by the reference's, in every selected scenario
// where both have one, with the largest spread of the rounds, and the rows.
func quotients(
	rows []Row, in func(r *Row) bool, name, reference string, of func(r *Row) float64,
) (out []float64, spread float64, at []*Row) {
	for i := range rows {
		r := &rows[i]
		if r.Contestant != name || !in(r) || r.Rounds == 0 || of(r) <= 0 {
			continue
		}
		other := find(rows, r.Scenario, reference)
		if other == nil || other.Rounds == 0 || of(other) <= 0 {
			continue
		}
		out = append(out, of(r)/of(other))
		spread = max(spread, r.Spread, other.Spread)
		at = append(at, r)
	}
	return out, spread, at
}

// span is the smallest and the largest of some numbers, or the one that they are.
func span(x []float64, text func(x float64) string) string {
	lo, hi := text(slices.Min(x)), text(slices.Max(x))
	if lo == hi {
		return lo
	}
	return lo + " to " + hi
}

// connectionsOf says how many: "16 connections", "1 to 256 connections".
func connectionsOf(n map[int]bool) string {
	lo, hi := math.MaxInt, 0
	for x := range n {
		lo, hi = min(lo, x), max(hi, x)
	}
	if lo == hi {
		return fmt.Sprintf("%s connection%s", count(float64(hi)), plural(hi))
	}
	return fmt.Sprintf("%s to %s connections", count(float64(lo)), count(float64(hi)))
}

// failures is a sentence for each of ours, and for the reference, that has no result where
// it should.
func failures(rows []Row, in func(r *Row) bool, reference string) string {
	var b strings.Builder
	for i := range rows {
		r := &rows[i]
		if in(r) && r.Failed != "" && r.Rounds == 0 && slices.Contains([]string{fast, queue, reference}, r.Contestant) {
			fmt.Fprintf(&b, " %s FAILED in %s.", r.Contestant, r.Scenario)
		}
	}
	return b.String()
}

// memoryPicture is memory against connections, or bars if there is one number of them.
func memoryPicture(rows []Row, reference string) (p Picture, err error) {
	p.Title = "Memory against connections"
	f := Figure{Title: "Memory of an idle connection", Caption: "RSS of the server for each, KiB; less is better."}
	all, xs := seriesOf(rows, idle, connections, memory.of)
	switch len(xs) {
	case 0:
		return p, nil
	case 1:
		p.Title = fmt.Sprintf("Memory, %s connections", count(xs[0]))
		f.SVG, err = barChart("KiB per connection",
			barsOf(rows, measure{firstScenario(rows, idle), memory.of}), nil)
	default:
		f.SVG, err = lines("idle connections", "KiB per connection", all,
			ticks(xs, func(x float64) string { return count(x) }))
	}
	p.Plots = []Figure{f}
	p.Answer = memoryAnswer(rows, reference)
	return p, err
}

func memoryAnswer(rows []Row, reference string) string {
	conns := map[int]bool{}
	var parts []string
	ours := 0
	for _, name := range []string{fast, queue, reference} {
		var rss []float64
		var most *Row
		for i := range rows {
			r := &rows[i]
			if r.Contestant != name || !idle(r) || r.Rounds == 0 {
				continue
			}
			rss = append(rss, r.RSS)
			conns[r.Connections] = true
			if most == nil || r.Connections > most.Connections {
				most = r
			}
		}
		if most == nil {
			continue
		}
		s := fmt.Sprintf("%s KiB with %s (", span(rss, decimals), name)
		if x, _, _ := quotients(rows, idle, name, reference, memory.of); len(x) > 0 && name != reference {
			s += fmt.Sprintf("%s of %s; ", span(x, fixed), reference)
		}
		s += fmt.Sprintf("%s goroutine%s, %s thread%s", count(float64(most.Goroutines)), plural(most.Goroutines),
			count(float64(most.Threads)), plural(most.Threads))
		if len(rss) > 1 {
			s += fmt.Sprintf(" at %s", count(float64(most.Connections)))
		}
		s += ")"
		parts = append(parts, s)
		if name != reference {
			ours++
		}
	}
	if ours == 0 {
		return "No result of this library's messenger." + failures(rows, idle, reference)
	}
	return fmt.Sprintf("With %s that are idle, each costs the server %s.%s",
		connectionsOf(conns), strings.Join(parts, ", "), failures(rows, idle, reference))
}

// latencyPicture is one message at a time, and p99 against given load where that was measured.
func latencyPicture(rows []Row, reference string) (p Picture, err error) {
	const pong = "ping-pong"
	p.Title = "Latency"
	alone := Figure{Title: "One message at a time",
		Caption: "64 B there and back, one connection, µs: median and 99th percentile; less is better."}
	if r := firstRow(rows, func(r *Row) bool { return r.Scenario == pong }); r != nil {
		alone.Caption = strings.Replace(alone.Caption, "64 B", SizeName(r.Size), 1)
		p99 := func(r *Row) float64 { return r.P99 }
		alone.SVG, err = barChart("µs", barsOf(rows, measure{pong, p50.of}, measure{pong, p99}), []string{"p50", "p99"})
		if err != nil {
			return p, err
		}
	}
	load, err := loadFigure(rows, "p99", func(r *Row) float64 { return r.P99 })
	p.Plots = []Figure{alone, load}
	var answers []string
	for _, x := range []struct {
		f   Figure
		say func([]Row, string) string
	}{{alone, pongAnswer}, {load, loadAnswer}} {
		if x.f.SVG != "" {
			answers = append(answers, x.say(rows, reference))
		}
	}
	p.Answer = strings.Join(answers, " ")
	return p, err
}

func pongAnswer(rows []Row, reference string) string {
	in := func(r *Row) bool { return r.Scenario == "ping-pong" }
	var parts []string
	ours := 0
	for _, name := range []string{fast, queue, reference, rawNet} {
		r := find(rows, "ping-pong", name)
		if r == nil || r.Rounds == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s and %s µs with %s", decimals(r.P50), decimals(r.P99), name))
		if name == fast || name == queue {
			ours++
		}
	}
	if ours == 0 {
		return "No result of this library's messenger." + failures(rows, in, reference)
	}
	return fmt.Sprintf("Alone on its connection a message is answered after, median and 99th percentile, %s.%s",
		strings.Join(parts, ", "), failures(rows, in, reference))
}

// loadAnswer is of the load next to a half of what each contestant can carry.
func loadAnswer(rows []Row, reference string) string {
	in := func(r *Row) bool { return group(r.Scenario) == "open" }
	at := ""
	off := math.Inf(1)
	for _, s := range Scenarios(rows) {
		var percent float64
		if _, err := fmt.Sscanf(s, "open/%f", &percent); err != nil || math.Abs(percent-50) >= off {
			continue
		}
		if firstRow(rows, func(r *Row) bool { return r.Scenario == s }) != nil {
			at, off = s, math.Abs(percent-50)
		}
	}
	var parts []string
	ours := 0
	for _, name := range []string{fast, queue, reference} {
		r := find(rows, at, name)
		if r == nil || r.Rounds == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s µs with %s (%s/s)", decimals(r.P99), name, short(r.Offered)))
		if name != reference {
			ours++
		}
	}
	if ours == 0 {
		return "Under given load there is no result of this library's messenger." + failures(rows, in, reference)
	}
	return fmt.Sprintf("Offered %s %% of what each carries at most, the 99th percentile is %s.%s",
		strings.TrimPrefix(at, "open/"), strings.Join(parts, ", "), failures(rows, in, reference))
}

// firstRow is the first one with a result that is selected, or nil.
func firstRow(rows []Row, in func(r *Row) bool) *Row {
	for i := range rows {
		if in(&rows[i]) && rows[i].Rounds > 0 {
			return &rows[i]
		}
	}
	return nil
}

// measure is a figure of a scenario, for a bar.
type measure struct {
	scenario string
	of       func(r *Row) float64
}

// barsOf makes a group of bars, one for each measure, for every contestant with a row in one
// of them.
func barsOf(rows []Row, measures ...measure) (out []bar) {
	for i, name := range Contestants(rows) {
		b, any := bar{name: name, color: lookOf(name, i).color}, false
		for _, m := range measures {
			v, note := 0.0, "not measured"
			if r := find(rows, m.scenario, name); r != nil {
				any = true
				v, note = valueOf(r, m.of)
			}
			b.values, b.notes = append(b.values, v), append(b.notes, note)
		}
		if any {
			out = append(out, b)
		}
	}
	return out
}

// measured are those of measures of scenarios in which anybody has a result, with their
// names: what is not measured has no bar in any group.
func measured(rows []Row, names []string, measures ...measure) (left []measure, of []string) {
	for i, m := range measures {
		if firstRow(rows, func(r *Row) bool { return r.Scenario == m.scenario }) != nil {
			left, of = append(left, m), append(of, names[i])
		}
	}
	return left, of
}
