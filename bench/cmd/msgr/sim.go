package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/simulate"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

type simCmd struct {
	File string `arg:"" optional:"" help:"The same as --scenario."`

	Scenario string        `default:"gossip" help:"What runs: gossip, store, fan-in, storm, swarm, or the file of a text scenario."`
	Nodes    int           `help:"How many messengers; default: the scenario's own number."`
	Seed     *uint64       `placeholder:"S" help:"What determines the run; default: 1, or what the file says."`
	Seeds    string        `placeholder:"A-B" help:"Run all these seeds instead, on all CPUs."`
	Shard    string        `placeholder:"I/N" help:"Run only part I, from 0 up, of N of these seeds: for campaigns on many machines, whose --json msgr sim-merge puts together."`
	Faults   string        `placeholder:"N|R/s|none" help:"How many faults, or how many per second of virtual time; default: as many as the scenario has."`
	Until    time.Duration `help:"End at this virtual time, such as 30s, if it is not over before."`
	Twice    bool          `help:"Run each seed twice and compare the hashes."`
	Trace    string        `placeholder:"FILE" help:"Write the trace to this file, one JSON object a line."`
	Chart    string        `placeholder:"FILE" help:"Write a sequence chart (Mermaid) to this file."`

	// Pointers, to know what was given without --chart.
	ChartFrom  *time.Duration `placeholder:"TIME" help:"Where the chart begins, in virtual time; default: at 0s."`
	ChartTo    *time.Duration `placeholder:"TIME" help:"Where it ends; default: at its largest size."`
	ChartMax   *int           `placeholder:"N" help:"How many events it has at most; default: 200."`
	ChartHosts []string       `placeholder:"HOST" help:"What passes between these hosts, two or more, such as osd.0,osd.1; default: all. The hosts of a file's nodes are osd.0, osd.1 and so on, in their order."`

	JSON bool `name:"json" help:"Print one JSON object."`

	HTTP string `name:"http" placeholder:"ADDR" help:"Run nothing, and serve the playground there, a page to look at scenarios and to break them by hand: :0 for any port of this machine, 0.0.0.0:8080 for other machines too."`
	Site string `placeholder:"DIR" help:"With --http, serve this folder, which make pages has made, instead of what msgr has in it."`
}

// Help is shown by msgr sim --help.
func (simCmd) Help() string {
	return `Runs a system of messengers in virtual time on a simulated network, breaks that, and
checks what the messenger promises. The seed determines everything: the same command
gives the same trace hash. msgr sim FILE is msgr sim --scenario=FILE.

  gossip   every node knows ten others; rumours spread, nodes die and come back
  store    clients write and read objects with three copies; two acknowledge a write
  fan-in   all nodes send to one, which holds them back
  storm    all nodes lose one server, three times, and come back
  swarm    a small random system for each seed, which chooses the nodes too
  FILE     a text scenario, one step a line: node a, node b, send a b 10, cut a b at 137,
           run 5s, expect delivered a b 10

Interrupted, it prints the seeds that were done; of a single one, what had happened until then, which
is not checked as a whole, for it has no end.

Examples:
  msgr sim --nodes=1000 --seed=7
  msgr sim swarm --seeds=1-100
  msgr sim storm --nodes=50 --json
  msgr sim --http=:0                    the playground, in a browser

The exit code is 1 if an invariant was violated, 130 or 143 if it was interrupted.`
}

// Run runs the simulation, or all of them.
func (c *simCmd) Run(w io.Writer, k *kong.Kong) error {
	if c.File != "" {
		if c.Scenario != "gossip" {
			return command.Usage(fmt.Errorf("%s and --scenario=%s: there is one scenario", c.File, c.Scenario))
		}
		c.Scenario = c.File
	}
	if c.HTTP != "" {
		return c.serve(w, k)
	} else if c.Site != "" {
		return command.Usage(errors.New("--site is for --http"))
	}
	cfg, whole, err := c.config()
	if err != nil {
		return command.Usage(command.Without(err, simulate.ErrConfig))
	}
	seeds, err := c.cut(whole)
	if err != nil {
		return command.Usage(err)
	}
	closeFiles, err := c.files(&cfg)
	if err != nil {
		return command.Usage(fmt.Errorf("%w; give the name of a file that can be written", err))
	}
	ctx, stop := command.Interruptible()
	defer stop()
	cfg.Done = ctx.Done()
	if seeds.Len() > 1 && os.Getenv("GOGC") == "" {
		// Small systems, one after the other: a fifth of the time would be the collector's.
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	out := simOutput{w: w, json: c.JSON, single: seeds.Len() == 1, twice: c.Twice, brief: c.Shard != ""}
	if c.Seeds != "" && c.JSON {
		out.campaign = simulate.NewRecorder(build(), "-scenario "+c.Scenario+c.rest(), seeds, whole)
	}
	sum, err := simulate.Batch(cfg, seeds, c.Twice, out.add)
	err = errors.Join(err, closeFiles())
	if c.isUsage(err) {
		return command.Usage(command.Without(err, simulate.ErrConfig))
	} else if err != nil {
		return err
	}
	if err := out.end(sum, seeds); err != nil {
		return err
	}
	if from := cfg.ChartWindow.From; cfg.Chart != nil && from > sum.Virtual {
		fmt.Fprintf(k.Stderr, "msgr sim: the chart is empty: it begins at %v, and the run ended at %v\n",
			from, round(sum.Virtual))
	}
	if sum.Violations > 0 {
		err = &simError{sum: sum, bad: out.bad, replay: c.replay(out.failed)}
	}
	if sum.Interrupted {
		err = errors.Join(command.Interrupted(ctx), err)
	}
	return err
}

// isUsage says whether an error of package simulate is about what was asked for.
func (c *simCmd) isUsage(err error) bool {
	var unreadable *asynctest.ScenarioError
	return errors.Is(err, simulate.ErrConfig) || errors.As(err, &unreadable)
}

// config understands the flags.
func (c *simCmd) config() (cfg simulate.Config, seeds simulate.Seeds, err error) {
	cfg = simulate.Config{Scenario: c.Scenario, Nodes: c.Nodes, Until: c.Until}
	switch {
	case c.Seeds != "" && c.Seed != nil:
		return cfg, seeds, errors.New("--seed and --seeds exclude each other")
	case c.Seeds != "":
		if seeds, err = simulate.ParseSeeds(c.Seeds); err != nil {
			return cfg, seeds, fmt.Errorf("--seeds=%s: %w", c.Seeds, err)
		}
	case c.Seed != nil:
		seeds = simulate.Seeds{First: *c.Seed, Last: *c.Seed}
	default:
		if seeds.First, err = simulate.OwnSeed(c.Scenario); err != nil {
			return cfg, seeds, err
		}
		seeds.Last = seeds.First
	}
	if seeds.Len() > 1 && (c.Trace != "" || c.Chart != "") {
		return cfg, seeds, errors.New("--trace and --chart are for a single seed")
	}
	if same := c.sameFile(); same != "" {
		return cfg, seeds, fmt.Errorf("%s are the same file; give different ones", same)
	}
	if cfg.ChartWindow, err = c.window(); err != nil {
		return cfg, seeds, err
	}
	if cfg.Faults, err = simulate.ParseFaults(c.Faults); err != nil {
		return cfg, seeds, fmt.Errorf("--faults=%s: %w", c.Faults, err)
	}
	if c.Chart != "" {
		cfg.Chart = io.Discard // until the file is open: Check is to know of it
	}
	return cfg, seeds, simulate.Check(cfg)
}

// cut is the shard's part of the seeds.
func (c *simCmd) cut(whole simulate.Seeds) (seeds simulate.Seeds, err error) {
	shard, err := simulate.ParseShard(c.Shard)
	switch {
	case err != nil:
	case c.Shard != "" && c.Seeds == "":
		err = errors.New("it is a part of --seeds=A-B")
	default:
		seeds, err = shard.Cut(whole)
	}
	if err != nil {
		err = fmt.Errorf("--shard=%s: %w", c.Shard, err)
	}
	return seeds, err
}

// sameFile says which files are one and the same: one would be written over the other.
func (c *simCmd) sameFile() string {
	named := []struct{ flag, file string }{{"--scenario", c.Scenario}, {"--trace", c.Trace}, {"--chart", c.Chart}}
	for i, a := range named {
		for _, b := range named[i+1:] {
			if a.file == "" || b.file == "" {
				continue
			}
			x, errA := os.Stat(a.file)
			y, errB := os.Stat(b.file)
			// A scenario may be no file.
			same := filepath.Clean(a.file) == filepath.Clean(b.file) && (i > 0 || errA == nil)
			if errA == nil && errB == nil {
				same = x.Mode().IsRegular() && os.SameFile(x, y) // /dev/null twice is nothing bad
			}
			if same {
				return a.flag + " and " + b.flag
			}
		}
	}
	return ""
}

// window is the part of the run that the chart shows.
func (c *simCmd) window() (win simnet.ChartConfig, err error) {
	win = simnet.ChartConfig{Hosts: c.ChartHosts, Max: 200}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--chart-from", c.ChartFrom != nil}, {"--chart-to", c.ChartTo != nil},
		{"--chart-max", c.ChartMax != nil}, {"--chart-hosts", len(c.ChartHosts) > 0},
	} {
		if f.given && c.Chart == "" {
			return win, fmt.Errorf("%s is about a chart, which --chart=FILE asks for", f.name)
		}
	}
	if c.ChartFrom != nil {
		win.From = *c.ChartFrom
	}
	if c.ChartTo != nil {
		win.To = *c.ChartTo
	}
	if c.ChartMax != nil {
		win.Max = *c.ChartMax
	}
	switch {
	case win.From < 0:
		return win, fmt.Errorf("--chart-from=%v: virtual time begins at 0s", win.From)
	case c.Until > 0 && win.From >= c.Until:
		return win, fmt.Errorf("--chart-from=%v: the run ends at %v, so it is to be less", win.From, c.Until)
	case c.ChartTo != nil && win.To <= win.From:
		return win, fmt.Errorf("--chart-to=%v: it is to be more than --chart-from, which is %v", win.To, win.From)
	case win.Max < 1:
		return win, fmt.Errorf("--chart-max=%d: it is to be 1 or more", win.Max)
	}
	return win, nil
}

// files opens what is to be written.
func (c *simCmd) files(cfg *simulate.Config) (closeAll func() error, err error) {
	var all []*outFile
	open := func(name string, to *io.Writer) {
		if name == "" || err != nil {
			return
		}
		var f *outFile
		if f, err = createFile(name); err == nil {
			all = append(all, f)
			*to = f
		}
	}
	open(c.Trace, &cfg.Trace)
	open(c.Chart, &cfg.Chart)
	return func() error {
		var errs error
		for _, f := range all {
			errs = errors.Join(errs, f.close())
		}
		return errs
	}, err
}

// replay is the command that repeats one seed.
func (c *simCmd) replay(seed uint64) string {
	return fmt.Sprintf("msgr sim -scenario %s -seed %d", c.Scenario, seed) + c.rest()
}

// rest are the flags that say what runs, besides scenario and seeds.
func (c *simCmd) rest() (s string) {
	if c.Nodes != 0 {
		s += fmt.Sprintf(" -nodes %d", c.Nodes)
	}
	if c.Faults != "" {
		s += " -faults " + c.Faults
	}
	if c.Until != 0 {
		s += fmt.Sprintf(" -until %v", c.Until)
	}
	if c.Twice {
		s += " -twice"
	}
	return s
}

// simError says that something was not as it must be.
type simError struct {
	sum    simulate.Result
	bad    int // seeds
	replay string
}

// netstatMax bounds how much of a stuck network is shown.
const netstatMax = 64 << 10

func (e *simError) Error() string {
	s := fmt.Sprintf("%d violations", e.sum.Violations)
	if e.bad > 1 {
		s += fmt.Sprintf(" in %d seeds", e.bad)
	}
	return s + "; repeat it: " + e.replay
}

// Details are the first violations, and the network where nothing went on.
func (e *simError) Details() string {
	var b strings.Builder
	for _, v := range e.sum.Violated {
		fmt.Fprintf(&b, "%s\n", v)
	}
	if n := e.sum.Violations - len(e.sum.Violated); n > 0 {
		fmt.Fprintf(&b, "and %d more\n", n)
	}
	net := ""
	switch st := e.sum.Stuck; {
	case st != nil:
		net = fmt.Sprintf("the network at %v:\n%s%s", st.At, st.Sockets, st.Last)
	case e.sum.Broken != nil:
		net = e.sum.Broken.Error()
	}
	if net != "" {
		if len(net) > netstatMax {
			net = net[:netstatMax] + fmt.Sprintf("\n... %d bytes more", len(net)-netstatMax)
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimSuffix(net, "\n"))
	}
	return b.String()
}

// createFile creates a file that is written through a buffer. It is opened for writing
// alone: who opens a pipe for both never learns that its reader is gone.
func createFile(name string) (*outFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, err
	}
	return newOutFile(f), nil
}
