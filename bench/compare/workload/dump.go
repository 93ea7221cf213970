package workload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// dumpLines is how many kinds of goroutines a summary has.
const dumpLines = 6

// goroutineSummary counts the goroutines of a dump by their state and by the first
// function that is not the Go runtime's or a system call.
func goroutineSummary(dump string) string {
	count := map[string]int{}
	for g := range strings.SplitSeq(dump, "\n\n") {
		lines := strings.Split(strings.TrimSpace(g), "\n")
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "goroutine ") })
		if at < 0 {
			continue
		}
		_, state, _ := strings.Cut(lines[at], "[")
		state, _, _ = strings.Cut(state, "]")
		state, _, _ = strings.Cut(state, ",") // how long, and whether locked to a thread
		count["["+state+"] "+topFunction(lines[at+1:])]++
	}
	if len(count) == 0 {
		return "unknown"
	}
	kinds := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	var out []string
	for _, k := range kinds[:min(len(kinds), dumpLines)] {
		out = append(out, fmt.Sprintf("%d %s", count[k], k))
	}
	if n := len(kinds) - dumpLines; n > 0 {
		out = append(out, fmt.Sprintf("and %d other kinds", n))
	}
	return strings.Join(out, "; ")
}

// topFunction is the first function of a stack that says something.
func topFunction(stack []string) string {
	first := ""
	for _, l := range stack {
		if strings.HasPrefix(l, "\t") || strings.HasPrefix(l, "goroutine ") {
			continue
		}
		l = strings.TrimPrefix(l, "created by ")
		if i := strings.LastIndex(l, "("); i > 0 {
			l = l[:i]
		}
		if first == "" {
			first = l
		}
		known := false
		for _, p := range []string{"runtime.", "syscall.", "internal/", "sync.", "golang.org/x/sys/"} {
			known = known || strings.HasPrefix(l, p)
		}
		if !known && l != "" {
			return l
		}
	}
	return first
}

// firstLine is the first line of s that has a word, cut to a readable length.
func firstLine(s string) string {
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); strings.Trim(l, "=") != "" {
			return l[:min(len(l), 300)]
		}
	}
	return ""
}
