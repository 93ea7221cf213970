package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/rivals"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// vars are for the help of flags.
func vars() kong.Vars {
	var extra []string
	for _, c := range rivals.All() {
		if c.Extra {
			extra = append(extra, c.Name)
		}
	}
	return kong.Vars{"extra": strings.Join(extra, ", "), "parts": strings.Join(partNames(), ", ")}
}

func partNames() (names []string) {
	for _, p := range workload.Parts() {
		names = append(names, p.Name)
	}
	return names
}

// cephPart is the part of all scenarios that ceph-perf belongs to.
const cephPart = "small"

type compareCmd struct {
	Scenarios []string      `arg:"" optional:"" name:"scenario" help:"Scenarios to run, or the beginning of their names up to a slash; default: those of --quick."`
	Quick     bool          `xor:"which" help:"Run the selection that takes four minutes, or what the arguments name of it, each scenario with the contestants that it needs and without ${extra}."`
	Full      bool          `xor:"which" help:"Run all scenarios, for two hours or so."`
	Part      string        `xor:"which" placeholder:"NAME" help:"Run a part of all scenarios, within an hour: ${parts}."`
	Rounds    int           `default:"5" help:"How often each contestant runs in each scenario."`
	Within    time.Duration `placeholder:"TIME" help:"Fewer rounds, but three, of what would take longer than that in all; default: no limit, and less than four minutes with --quick."`
	Seconds   *float64      `help:"How long one measurement takes; default: 1, and less with --quick."`
	Only      []string      `help:"Run these contestants and the reference only."`
	Out       string        `type:"path" placeholder:"DIR" help:"Write report.html, report.md, report.json, the raw samples and lines for benchstat to this folder."`
	JSON      string        `name:"json" type:"path" placeholder:"FILE" help:"Write the rows to this file too, as a JSON array."`
}

// Help is shown by msgrbench compare --help.
func (compareCmd) Help() string {
	var names []string
	for _, s := range workload.Full() {
		names = append(names, s.Name)
	}
	names = append(names, cephScenario)
	var parts strings.Builder
	for _, p := range workload.Parts() {
		c := compareCmd{Part: p.Name, Rounds: roundsDefault}
		plan, err := c.plan()
		if err != nil {
			panic(err) // of our own part
		}
		fmt.Fprintf(&parts, "  %-6s about %.0f minutes: %s\n", p.Name, plan.estimate().Minutes(), p.What)
	}
	return "Compares the messenger with a thread-per-connection messenger over the same session code, with other\n" +
		"libraries and with raw echo servers: clients and servers are processes, rounds alternate, figures are\n" +
		"medians over the rounds, and the ratio is to " + rivals.Reference + " in the same round.\n\n" +
		"Examples:\n  msgrbench compare --quick --out=results\n  msgrbench compare ping-pong --rounds=3 --only=grpc\n" +
		"  msgrbench compare --part=small --json=rows.json\n\n" +
		"Interrupted, it prints and writes what was measured until then, marked as partial.\n\n" +
		"The exit code is 1 if a round failed or a file could not be written, 130 or 143 if it was interrupted.\n\n" +
		"Parts of all scenarios, each a command of its own (--part):\n\n" + parts.String() +
		"\nScenarios: " + strings.Join(names, ", ") + "\n\nContestants: " +
		strings.Join(contestantNames(rivals.All()), ", ")
}

var errRounds = errors.New("some rounds failed: the tables say FAILED, and why")

// roundsMax bounds --rounds, roundsDefault is what it is if nothing is said.
const (
	roundsMax     = 10_000
	roundsDefault = 5
)

// Run runs the comparison. Interrupted, it shows what was measured until then.
func (c *compareCmd) Run(w io.Writer, k *kong.Kong) error {
	p, err := c.plan()
	if err != nil {
		return command.Usage(err)
	}
	r := &report.Report{
		Environment: report.CollectEnvironment(), Reference: rivals.Reference, Rounds: c.Rounds,
		Contestants: describe(p.cfg.Contestants),
	}
	r.Seconds, r.SecondsMax = p.seconds()
	ctx, stop := command.Interruptible()
	defer stop()
	began := time.Now()
	s := newScreen(k.Stderr, p)
	p.cfg.Progress = s.round
	res, err := workload.Run(ctx, p.cfg)
	r.Rows, r.Samples, r.Notes = res.Rows, res.Samples, res.Notes
	if err == nil && p.ceph {
		rows, samples, cephErr := cephRows(ctx, p.cfg)
		r.Rows, r.Samples, err = append(r.Rows, rows...), append(r.Samples, samples...), cephErr
	}
	s.end()
	r.Took = time.Since(began)
	if end := command.Interrupted(ctx); err != nil && end != nil {
		err = end
		r.Partial = p.partial(end, r)
		if len(r.Rows) == 0 {
			return fmt.Errorf("%w before the first round was done", err)
		}
	}
	err = errors.Join(err, report.Text(w, r))
	if c.Out != "" {
		werr := report.Write(c.Out, r)
		if werr == nil {
			fmt.Fprintf(w, "\nreport: %s\n", filepath.Join(c.Out, report.Files[0].Name))
		}
		err = errors.Join(err, werr)
	}
	if c.JSON != "" {
		err = errors.Join(err, writeRows(c.JSON, r.Rows))
	}
	if c.Part != "" {
		names := slices.DeleteFunc(partNames(), func(n string) bool { return n == c.Part })
		fmt.Fprintf(w, "\nthe other parts: --part %s\n", strings.Join(names, ", --part "))
	}
	if slices.ContainsFunc(r.Rows, func(r report.Row) bool { return r.Failed != "" }) {
		err = errors.Join(err, errRounds)
	}
	return err
}

// describe is who takes part, for the report.
func describe(all []workload.Contestant) (out []report.Contestant) {
	for _, c := range all {
		out = append(out, report.Contestant{Name: c.Name, Is: c.Is, Lacks: c.Lacks})
	}
	return out
}

// partial says what an interrupted run has not measured.
func (p *plan) partial(end error, r *report.Report) string {
	has := report.Scenarios(r.Rows)
	var never []string
	for _, s := range p.names() {
		if !slices.Contains(has, s) {
			never = append(never, s)
		}
	}
	text := fmt.Sprintf("%v after %v", end, r.Took.Round(time.Second))
	if len(never) > 0 {
		text += "; not measured: " + strings.Join(never, ", ")
	}
	return text
}

// plan is what a comparison will do.
type plan struct {
	cfg  workload.Config
	ceph bool // ceph-perf too
}

// estimate is about how long it takes.
func (p *plan) estimate() time.Duration {
	d := workload.Estimate(p.cfg)
	if p.ceph {
		d += cephEstimate(p.cfg)
	}
	return d
}

// names are the scenarios.
func (p *plan) names() (names []string) {
	for _, s := range p.cfg.Scenarios {
		names = append(names, s.Name)
	}
	if p.ceph {
		names = append(names, cephScenario)
	}
	return names
}

// seconds are the shortest and the longest measurement.
func (p *plan) seconds() (least, most float64) {
	for i, s := range p.cfg.Scenarios {
		d := cmp.Or(s.Seconds, p.cfg.Seconds)
		if i == 0 {
			least, most = d, d
		}
		least, most = min(least, d), max(most, d)
	}
	return cmp.Or(least, p.cfg.Seconds), most
}

// plan reads the flags. All that is wrong with them is found before anything runs.
func (c *compareCmd) plan() (p plan, err error) {
	if c.Rounds < 1 || c.Rounds > roundsMax ||
		c.Seconds != nil && !(*c.Seconds > 0 && *c.Seconds <= command.SecondsMax) {
		return p, fmt.Errorf("--rounds and --seconds are to be more than 0, and %d and %d at most",
			roundsMax, command.SecondsMax)
	}
	if c.Within < 0 {
		return p, errors.New("--within is to be more than 0")
	}
	p.cfg = workload.Config{Contestants: rivals.All(), Reference: rivals.Reference, Rounds: c.Rounds, Seconds: 1}
	if p.cfg.Scenarios, p.ceph, err = c.scenarios(); err != nil {
		return p, err
	}
	if c.Seconds != nil {
		p.cfg.Seconds = *c.Seconds
		for i := range p.cfg.Scenarios {
			p.cfg.Scenarios[i].Seconds = 0
		}
	}
	if p.cfg.Contestants, err = c.contestants(p.cfg.Contestants); err != nil {
		return p, err
	}
	p.cfg.Within = c.within(&p)
	if len(c.Only) > 0 {
		for i := range p.cfg.Scenarios {
			p.cfg.Scenarios[i].Only = contestantNames(p.cfg.Contestants) // who is named takes part
		}
	}
	if c.Out != "" {
		if err := report.Prepare(c.Out); err != nil {
			return p, fmt.Errorf("--out: %w; give a folder that can be written", err)
		}
	}
	if c.JSON != "" {
		if err := writable(c.JSON); err != nil {
			return p, fmt.Errorf("--json: %w; give a file that can be written", err)
		}
	}
	return p, nil
}

// quickWithin is for all that --quick measures: four minutes less what building this
// program takes.
const quickWithin = 220 * time.Second

// within is the time for all scenarios but ceph-perf, 0 for no limit. Who asks for more
// rounds or longer ones than the selection has gets them.
func (c *compareCmd) within(p *plan) time.Duration {
	d := c.Within
	if d == 0 && c.Quick && c.Rounds <= roundsDefault && c.Seconds == nil && len(c.Only) == 0 {
		d = quickWithin
	}
	if d > 0 && p.ceph {
		d = max(d-2*cephEstimate(p.cfg), 1) // twice: on a slow machine
	}
	return d
}

// writable makes sure that a file can be written when all is measured; it leaves what is
// there. Folders that are missing are made.
func writable(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	_, err := os.Lstat(file)
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	err = f.Close()
	if isNew {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// scenarios are those with the names asked for, of the selection asked for.
func (c *compareCmd) scenarios() (out []workload.Scenario, ceph bool, err error) {
	names := slices.DeleteFunc(slices.Clone(c.Scenarios), func(n string) bool { return n == cephScenario })
	ceph = len(names) < len(c.Scenarios)
	which, from := "", workload.Full()
	switch {
	case c.Part != "":
		parts := workload.Parts()
		i := slices.IndexFunc(parts, func(p workload.Part) bool { return p.Name == c.Part })
		if i < 0 {
			return nil, false, fmt.Errorf("no part %q; there are %s", c.Part, strings.Join(partNames(), ", "))
		}
		which, from = "--part "+c.Part, parts[i].Scenarios
	case c.Quick, len(c.Scenarios) == 0 && !c.Full:
		which, from = "--quick", workload.Quick()
	}
	if len(c.Scenarios) == 0 {
		return from, c.Part == "" || c.Part == cephPart, nil
	}
	if len(names) == 0 {
		return nil, ceph, nil
	}
	all, err := workload.Select(names)
	if err != nil {
		return nil, false, fmt.Errorf("%w, %s", err, cephScenario)
	}
	for _, s := range from {
		if slices.ContainsFunc(all, func(x workload.Scenario) bool { return x.Name == s.Name }) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, false, fmt.Errorf("%s has nothing of %s", which, strings.Join(names, ", "))
	}
	return out, ceph, nil
}

func contestantNames(all []workload.Contestant) (names []string) {
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names
}

func (c *compareCmd) contestants(all []workload.Contestant) ([]workload.Contestant, error) {
	for _, name := range c.Only {
		if !slices.ContainsFunc(all, func(x workload.Contestant) bool { return x.Name == name }) {
			return nil, fmt.Errorf("no contestant %q; there are %s", name, strings.Join(contestantNames(all), ", "))
		}
	}
	if len(c.Only) == 0 {
		quick := c.Quick || len(c.Scenarios) == 0 && !c.Full && c.Part == ""
		return slices.DeleteFunc(all, func(x workload.Contestant) bool { return quick && x.Extra }), nil
	}
	return slices.DeleteFunc(all, func(x workload.Contestant) bool {
		return x.Name != rivals.Reference && !slices.Contains(c.Only, x.Name)
	}), nil
}

func writeRows(file string, rows []report.Row) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(report.JSON(f, rows), f.Close())
}
