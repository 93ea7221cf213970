package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
)

// Config is what Run does.
type Config struct {
	Contestants []Contestant
	Scenarios   []Scenario
	// Reference is the name of the contestant that the ratios refer to.
	Reference string
	Rounds    int
	Seconds   float64 // of each measurement of a scenario that has no time of its own
	// Within is how long all of it is to take; 0: as long as it takes. What would take
	// longer has fewer rounds, but RoundsMin.
	Within time.Duration
	// Patience is how long a process may take for one thing beyond the measurement;
	// 0 means a minute. One that takes longer is killed, and the round has failed.
	Patience time.Duration
	// Progress, if not nil, is told of each round before it.
	Progress func(s Scenario, round int, contestant string)
}

// Results are what Run found.
type Results struct {
	// Rows is one for each contestant in each scenario, Samples one for each round
	// of them, skipped and failed ones included.
	Rows    []report.Row
	Samples []report.Sample
	// Notes say what could not be measured, and why, and how something was
	// measured that is not a matter of course: sentences for the reader.
	Notes []string
}

// hangsMax is how often a contestant may hang in a scenario before its other
// rounds are given up.
const hangsMax = 2

// runner is a Run.
type runner struct {
	Config
	exe   string
	count counter // nil: system calls cannot be counted
	res   Results
	// knees are the rates that loads of the open loop are parts of, nil before they
	// are known; openErr is why there is no open loop.
	knees   map[string]float64
	openErr error
}

// Run runs all scenarios. Rounds that fail are in the results. An error means that
// ctx ended or that this binary cannot be run again; what was measured until then is
// returned with it: a row of which rounds are missing is marked Partial.
func Run(ctx context.Context, cfg Config) (Results, error) {
	exe, err := os.Executable()
	if err != nil {
		return Results{}, err
	}
	r := runner{Config: cfg, exe: exe}
	var note string
	r.count, note = newCounter()
	r.note(note)
	b := newBudget(cfg, time.Now())
	err = r.run(ctx, b)
	r.note(b.note())
	return r.res, err
}

// run measures one scenario after the other, until ctx ends.
func (r *runner) run(ctx context.Context, b *budget) error {
	cfg := r.Config
	for i, s := range cfg.Scenarios {
		r.Rounds = b.rounds(i, time.Now())
		if s.Seconds == 0 {
			s.Seconds = cfg.Seconds
		}
		r.note(s.about())
		r.Contestants = s.among(cfg.Contestants)
		if s.Kind == Open {
			if err := r.prepareOpen(ctx, s); err != nil {
				return err
			}
		}
		rounds, err := r.rounds(ctx, s)
		if err == nil || measured(rounds) {
			r.add(s, rounds)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// measured says whether any round has a result, or a failure of its own.
func measured(all [][]round) bool {
	return slices.ContainsFunc(all, func(of []round) bool {
		return slices.ContainsFunc(of, func(x round) bool { return x.err != errSkipped && x.err != errInterrupted })
	})
}

// interrupted fills up the rounds that were not run any more.
func (r *runner) interrupted(all [][]round) [][]round {
	for i := range all {
		for len(all[i]) < r.Rounds {
			err := errInterrupted
			if len(all[i]) > 0 && all[i][0].err == errSkipped {
				err = errSkipped
			}
			all[i] = append(all[i], round{err: err})
		}
	}
	return all
}

// rounds runs all rounds of all contestants in s. An error means that ctx ended; the
// rounds that were not run have errInterrupted then.
func (r *runner) rounds(ctx context.Context, s Scenario) ([][]round, error) {
	all := make([][]round, len(r.Contestants))
	counted := make([]bool, len(all))
	for n := range r.Rounds {
		for i := range all {
			i = (i + n) % len(all) // each round begins with another one
			c := &r.Contestants[i]
			if ctx.Err() != nil {
				return r.interrupted(all), ctx.Err()
			}
			if c.skips(s) != "" {
				all[i] = append(all[i], round{err: errSkipped})
				continue
			}
			if h := hangs(all[i]); len(h) >= hangsMax {
				all[i] = append(all[i], round{err: fmt.Errorf("not tried again after %d rounds: %w", len(h), h[0])})
				continue
			}
			if r.Progress != nil {
				r.Progress(s, n, c.Name)
			}
			rate, err := r.offer(c, s)
			if err != nil {
				all[i] = append(all[i], round{err: err})
				continue
			}
			o := order{Scenario: s, Seconds: s.Seconds, Rate: rate, patience: r.Patience}
			var count counter
			if !counted[i] && s.counts() {
				count = r.count
			}
			x := play(ctx, r.exe, c, o, count)
			if x.err != nil && ctx.Err() != nil { // its processes were killed
				x = round{err: errInterrupted}
			}
			counted[i] = counted[i] || x.err == nil
			all[i] = append(all[i], x)
		}
	}
	return all, nil
}

// counts is whether system calls are counted in s: not where that would need
// another cut, or as long again for queues to fill.
func (s *Scenario) counts() bool {
	return s.Kind == Closed && !s.idle() || s.Kind == Open || s.Kind == FanOut
}

// skips says why c does not take part in s, or "".
func (c *Contestant) skips(s Scenario) string {
	switch {
	case s.Options.tuning() != Options{} && !c.Tunable:
		return "it does not have these options"
	case (s.High || s.Ablation) && !c.Priorities:
		return "it has no priorities"
	case s.Kind == FanOut && c.ServeAll == nil:
		return "it has nothing to send one message over many connections with"
	}
	if c.Skip != nil {
		if why := c.Skip(s); why != "" {
			return why
		}
	}
	return cannot(s)
}

// hangs returns the errors of rounds that hung.
func hangs(rounds []round) (out []error) {
	for _, x := range rounds {
		if h := new(errHung); errors.As(x.err, &h) {
			out = append(out, x.err)
		}
	}
	return out
}

// add adds the rows of s to the results.
func (r *runner) add(s Scenario, all [][]round) {
	ref := slices.IndexFunc(r.Contestants, func(c Contestant) bool { return c.Name == r.Reference })
	row := func(i, from, to int) report.Row {
		x := rowOf(&r.Contestants[i], s, all[i][from:to])
		if ref >= 0 {
			x.Ratio = ratio(s, all[i][from:to], all[ref][from:to])
		}
		return x
	}
	for i := range r.Contestants {
		r.res.Rows = append(r.res.Rows, row(i, 0, r.Rounds))
	}
	for n := range r.Rounds {
		for i := range r.Contestants {
			if all[i][n].err == errInterrupted {
				continue
			}
			r.res.Samples = append(r.res.Samples, report.Sample{Row: row(i, n, n+1), Round: n + 1})
		}
	}
}
