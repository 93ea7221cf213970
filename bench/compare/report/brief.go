package report

import (
	"fmt"
	"math"
	"strings"
)

// Brief is a table for a README: what was measured in a few lines, a column for each of a few
// contestants. It is the zero Brief if nothing of it was measured.
type Brief struct {
	Columns []string
	Lines   []BriefLine
}

// BriefLine is what was measured, and a cell for each column.
type BriefLine struct {
	What  string
	Cells []string
}

var briefly = []struct{ contestant, title string }{
	{queue, "asyncmsgr, queue"}, {fast, "asyncmsgr, fast dispatch"},
	{goroutines, "thread-per-pipe, goroutines"}, {threads, "the same, OS threads"}, {"grpc", "grpc-go"},
}

// BriefOf returns the table of rows.
func BriefOf(rows []Row) (b Brief) {
	for _, x := range briefly {
		if firstRow(rows, func(r *Row) bool { return r.Contestant == x.contestant }) != nil {
			b.Columns = append(b.Columns, x.title)
		}
	}
	add := func(what string, in func(r *Row) bool, cell func(r *Row) string) {
		r := firstRow(rows, in)
		if r == nil {
			return
		}
		l := BriefLine{What: what}
		if strings.Contains(what, "%s") {
			l.What = fmt.Sprintf(what, count(float64(r.Connections)))
		}
		for _, x := range briefly {
			if firstRow(rows, func(r *Row) bool { return r.Contestant == x.contestant }) == nil {
				continue
			}
			text := "-"
			if of := find(rows, r.Scenario, x.contestant); of != nil && of.Rounds > 0 {
				text = cell(of)
			}
			l.Cells = append(l.Cells, text)
		}
		b.Lines = append(b.Lines, l)
	}
	loop := func(r *Row) bool { return pipelined(r) && r.Size == 64 && r.Window == 16 && r.Connections == 16 }
	add("64 B, %s connections, 16 in flight on each: round trips a second", loop,
		func(r *Row) string { return fmt.Sprintf("%.2f M", r.Msgs/1e6) })
	add("CPU of both ends for each of them", loop, func(r *Row) string { return twoDigits(r.CPU) + " us" })
	add("64 B, one at a time: median", func(r *Row) bool { return r.Scenario == "ping-pong" && r.Size == 64 },
		func(r *Row) string { return twoDigits(r.P50) + " us" })
	add("an idle connection, %s of them", idle, func(r *Row) string {
		return twoDigits(r.RSS) + " KiB, " + eachHas(r)
	})
	add("all connections cut at full load", faulty, func(r *Row) string {
		if r.Duplicated > 0 {
			return fmt.Sprintf("%d lost, %d twice", r.Lost, r.Duplicated)
		}
		return fmt.Sprintf("%d lost", r.Lost)
	})
	return b
}

// eachHas says what a connection has for itself: goroutines, or threads if there are as many.
func eachHas(r *Row) string {
	n, what := math.Round(float64(r.Goroutines)/float64(r.Connections)), "goroutine"
	if t := math.Round(float64(r.Threads) / float64(r.Connections)); t > 0 {
		n, what = t, "thread"
	}
	if n == 0 {
		return "no goroutine"
	}
	return fmt.Sprintf("%.0f %s%s", n, what, plural(int(n)))
}

// twoDigits has two digits that count, or more before the point.
func twoDigits(x float64) string {
	if x < 10 {
		return fmt.Sprintf("%.1f", x)
	}
	return count(x)
}

// markdown writes the table.
func (b Brief) markdown(w *strings.Builder) {
	fmt.Fprintf(w, "| | %s |\n| ---%s |\n", strings.Join(b.Columns, " | "), strings.Repeat(" | ---:", len(b.Columns)))
	for _, l := range b.Lines {
		fmt.Fprintf(w, "| %s | %s |\n", l.What, strings.Join(l.Cells, " | "))
	}
}
