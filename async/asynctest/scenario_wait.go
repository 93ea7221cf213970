package asynctest

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// forever is a virtual time that never comes.
const forever = time.Duration(math.MaxInt64)

// wait is what a step is about during which virtual time passes.
type wait struct {
	end  time.Duration // when it is over; with cond, when patience is
	cond func() bool   // over when it holds; nil: at end
	// failed makes the error of the step of why the network could not go on.
	failed func(err error) error
	// rest is the line that stands for what is left at that time, if the wait is cut in two;
	// nil: the step's own line.
	rest func(now time.Duration) string
}

// run runs the network until the wait is over.
func (w *wait) run(net *simnet.Network, end time.Duration) error {
	if w.cond != nil {
		return net.RunUntil(w.cond, end-net.Now())
	}
	return net.Run(end - net.Now())
}

// pass has a step wait until that virtual time.
func (r *scenarioRun) pass(end time.Duration, rest func(now time.Duration) string) {
	r.wait = &wait{end: end, rest: rest}
}

func parseRun(p *scenarioParser) (func(*scenarioRun) error, error) {
	w, err := p.next("a duration")
	if err != nil {
		return nil, err
	}
	d, err := w.duration()
	p.s.length += d
	return func(r *scenarioRun) error {
		end := r.c.Net.Now() + d
		r.pass(end, func(now time.Duration) string { return "run " + asText(end-now) })
		return nil
	}, err
}

// asText is d as a scenario has it, in ASCII.
func asText(d time.Duration) string { return strings.Replace(d.String(), "µ", "u", 1) }

func parseAt(p *scenarioParser) (func(*scenarioRun) error, error) {
	w, err := p.next("a time")
	if err != nil {
		return nil, err
	}
	end, err := w.duration()
	p.s.length = max(p.s.length, end)
	return func(r *scenarioRun) error {
		if now := r.c.Net.Now(); now > end {
			return fmt.Errorf("it is %v already", now)
		}
		r.pass(end, nil)
		return nil
	}, err
}

func parseUntil(p *scenarioParser) (func(*scenarioRun) error, error) {
	e, err := parseExpectation(p)
	p.s.open = true
	return func(r *scenarioRun) error {
		r.wait = &wait{
			end: r.c.Net.Now() + patience, cond: func() bool { return e.holds(r) },
			failed: func(err error) error { return fmt.Errorf("it is %d: %w", e.count(r), err) },
		}
		return nil
	}, err
}
