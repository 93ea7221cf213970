package main

import (
	"fmt"
	"io"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// screen shows how far a comparison is: on a terminal in one line that changes,
// elsewhere with a line for each scenario.
type screen struct {
	w        io.Writer
	terminal bool
	plan     plan
	began    time.Time
	estimate time.Duration
	scenario string
	n        int // scenarios begun
}

func newScreen(w io.Writer, p plan) *screen {
	s := &screen{w: w, terminal: command.IsTerminal(w), plan: p, began: time.Now(), estimate: p.estimate()}
	fmt.Fprintf(w, "%d scenarios, %d contestants, %d rounds: about %v\n",
		s.scenarios(), len(p.cfg.Contestants), p.cfg.Rounds, s.estimate.Round(time.Second))
	return s
}

func (s *screen) scenarios() int {
	n := len(s.plan.cfg.Scenarios)
	if s.plan.ceph {
		n++
	}
	return n
}

// round is told of each round before it.
func (s *screen) round(x workload.Scenario, round int, who string) {
	s.begin(x.Name)
	if s.terminal {
		fmt.Fprintf(s.w, "\r\x1b[K%s of about %s: %s (%d of %d), round %d of %d: %s",
			s.elapsed(), s.estimate.Round(time.Second), x.Name, s.n, s.scenarios(),
			round+1, s.plan.cfg.Rounds, who)
	}
}

// begin is told of each scenario, and may be told of it again.
func (s *screen) begin(scenario string) {
	if scenario == s.scenario {
		return
	}
	s.scenario = scenario
	s.n++
	if s.terminal {
		fmt.Fprintf(s.w, "\r\x1b[K%s of about %s: %s (%d of %d)",
			s.elapsed(), s.estimate.Round(time.Second), scenario, s.n, s.scenarios())
		return
	}
	fmt.Fprintf(s.w, "%s %s (%d of %d)\n", s.elapsed(), scenario, s.n, s.scenarios())
}

func (s *screen) elapsed() time.Duration { return time.Since(s.began).Round(time.Second) }

func (s *screen) end() {
	if s.terminal {
		fmt.Fprint(s.w, "\r\x1b[K")
		return
	}
	fmt.Fprintf(s.w, "%s done\n", s.elapsed())
}
