package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// outcome is how a test ended.
type outcome int

const (
	absent outcome = iota // it did not end, or did not begin
	passed
	failed
	skipped
)

func (o outcome) String() string { return [...]string{"absent", "passed", "failed", "skipped"}[o] }

// outcomes are those of a run, by the name of the test (of the top level).
type outcomes map[string]outcome

// tries is how many times a test that failed with the adapter is run again.
const tries = 24

// runner runs the named tests of a suite, without the adapter or with it.
type runner func(ours bool, tests []string) outcomes

// report is what became of a suite.
type report struct {
	name        string
	tests       []string
	run         runner
	plain, ours outcomes // the latter with the retries
	alone       bool     // there is nothing to compare with
	notes       []string
	counts      []string // tests that fail by the rule
	took        time.Duration
	err         error // the suite could not be run
}

// first runs a suite both ways.
func first(s suite, tests []string, run runner) report {
	r := report{name: s.name, alone: s.alone, plain: outcomes{}, tests: tests, run: run}
	both := make(chan outcomes, 1)
	switch {
	case s.alone:
		both <- outcomes{}
	case s.oneByOne:
		both <- run(false, tests)
	default:
		go func() { both <- run(false, tests) }()
	}
	r.ours = run(true, tests)
	r.plain = <-both
	return r
}

// judge applies the rule (see doc.go), running tests again where that decides.
func (r *report) judge() {
	for _, t := range r.tests {
		r.again(t)
	}
}

func (r *report) again(t string) {
	note := func(format string, args ...any) {
		r.notes = append(r.notes, fmt.Sprintf("%s %s: ", r.name, t)+fmt.Sprintf(format, args...))
	}
	ours, plain := r.ours[t], r.plain[t]
	fine := ours == passed || ours == skipped && (plain == skipped || r.alone)
	switch {
	case fine && (ours == plain || r.alone):
		return
	case fine:
		note("%s without the adapter, passed with it", plain)
		return
	case !r.alone && plain != passed && plain != skipped:
		note("%s both ways", plain)
		return
	}
	one := []string{t}
	for n := range tries {
		if next := r.run(true, one)[t]; next == passed || next == skipped && plain == skipped {
			r.ours[t] = next
			note("%s %d times with the adapter, then %s", ours, n+1, next)
			return
		}
		if n == 0 && !r.alone && r.run(false, one)[t] != plain {
			note("%s with the adapter; %s, then not, without: it does not decide", ours, plain)
			return
		}
	}
	if r.alone {
		note("%s %d times: this counts", ours, 1+tries)
	} else {
		note("%s %d times with the adapter, %s twice without: this counts", ours, 1+tries, plain)
	}
	r.counts = append(r.counts, t)
}

// tally is passed/failed/skipped. What is absent has failed.
func (o outcomes) tally() string {
	var n [4]int
	for _, x := range o {
		n[x]++
	}
	return fmt.Sprintf("%d / %d / %d", n[passed], n[failed]+n[absent], n[skipped])
}

// table is the result for people, in Markdown.
func table(reports []report) string {
	var b strings.Builder
	b.WriteString("\npassed / failed / skipped, without the adapter and with it:\n\n")
	b.WriteString("| suite | without | with | fail by the rule | time |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range reports {
		without, verdict := r.plain.tally(), fmt.Sprint(len(r.counts))
		if r.alone {
			without = "-"
		}
		if r.err != nil {
			verdict = "not run"
		}
		with, took := r.ours.tally(), int(r.took.Seconds())
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d s |\n", r.name, without, with, verdict, took)
	}
	b.WriteString("\n")
	for _, r := range reports {
		if r.err != nil {
			fmt.Fprintf(&b, "- %s was not run: %v\n", r.name, r.err)
		}
		slices.Sort(r.notes)
		for _, n := range r.notes {
			b.WriteString("- " + n + "\n")
		}
	}
	return b.String()
}

// status is the exit status.
func status(reports []report) int {
	s := 0
	for _, r := range reports {
		if r.err != nil {
			return 2
		}
		if len(r.counts) > 0 {
			s = 1
		}
	}
	return s
}
