package workload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/report"
)

// Config is what Run does.
type Config struct {
	Contestants []Contestant
	Scenarios   []Scenario
	// Reference is the name of the contestant that the ratios refer to.
	Reference string
	Rounds    int
	Seconds   float64 // of each measurement
	// Progress, if not nil, is told of each round before it.
	Progress func(s Scenario, round int, contestant string)
}

// patience is how long a process of a contestant may take beyond the measurement.
const patience = 60 * time.Second

// round is what one contestant did in one round.
type round struct {
	Result
	server, client usage // used during the measurement; RSS, goroutines, threads at its end
	rss            float64
	err            error
}

// rate is what contestants are compared by.
func (r *round) rate(s Scenario) float64 {
	if s.Window == 0 {
		return r.rss
	}
	return float64(r.Msgs) / r.Seconds
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

// Run runs all scenarios. Rounds that fail are in the results. An error means that
// ctx ended or that this binary cannot be run again; the scenarios that were
// complete until then are returned with it.
func Run(ctx context.Context, cfg Config) (res Results, err error) {
	exe, err := os.Executable()
	if err != nil {
		return res, err
	}
	for _, s := range cfg.Scenarios {
		rounds := make([][]round, len(cfg.Contestants))
		for n := range cfg.Rounds {
			for i := range cfg.Contestants {
				// Each round begins with another one.
				i = (i + n) % len(cfg.Contestants)
				c := &cfg.Contestants[i]
				if ctx.Err() != nil {
					return res, ctx.Err()
				}
				if c.Skip != nil && c.Skip(s) != "" {
					rounds[i] = append(rounds[i], round{err: errSkipped})
					continue
				}
				if cfg.Progress != nil {
					cfg.Progress(s, n, c.Name)
				}
				rounds[i] = append(rounds[i], play(ctx, exe, c, s, cfg.Seconds))
			}
		}
		ref := slices.IndexFunc(cfg.Contestants, func(c Contestant) bool { return c.Name == cfg.Reference })
		for i := range cfg.Contestants {
			row := rowOf(&cfg.Contestants[i], s, rounds[i])
			if ref >= 0 {
				row.Ratio = ratio(s, rounds[i], rounds[ref])
			}
			res.Rows = append(res.Rows, row)
		}
		for n := range cfg.Rounds {
			for i := range cfg.Contestants {
				row := rowOf(&cfg.Contestants[i], s, rounds[i][n:n+1])
				if ref >= 0 {
					row.Ratio = ratio(s, rounds[i][n:n+1], rounds[ref][n:n+1])
				}
				res.Samples = append(res.Samples, report.Sample{Row: row, Round: n + 1})
			}
		}
	}
	return res, nil
}

var errSkipped = errors.New("skipped")

func rowOf(c *Contestant, s Scenario, rounds []round) report.Row {
	r := report.Row{Scenario: s.Name, Contestant: c.Name, Connections: s.Connections, Size: s.Size, Window: s.Window}
	var good []round
	for _, x := range rounds {
		switch x.err {
		case nil:
			good = append(good, x)
		case errSkipped:
			r.Skipped = c.Skip(s)
		default:
			r.Failed = x.err.Error()
		}
	}
	r.Rounds = len(good)
	if len(good) == 0 {
		return r
	}
	of := func(f func(x *round) float64) float64 { return median(each(good, f)) }
	r.RSS = of(func(x *round) float64 { return x.rss })
	r.Goroutines = int(of(func(x *round) float64 { return float64(x.server.Goroutines) }))
	r.Threads = int(of(func(x *round) float64 { return float64(x.server.Threads) }))
	rates := each(good, func(x *round) float64 { return x.rate(s) })
	r.Spread = (slices.Max(rates) - slices.Min(rates)) / median(rates)
	if s.Window == 0 {
		return r
	}
	r.Msgs = median(rates)
	r.MB = r.Msgs * float64(s.Size) / 1e6
	r.P50 = of(func(x *round) float64 { return x.P50 })
	r.P99 = of(func(x *round) float64 { return x.P99 })
	r.P999 = of(func(x *round) float64 { return x.P999 })
	r.CPU = of(func(x *round) float64 {
		return float64(x.server.CPU+x.client.CPU) / float64(time.Microsecond) / float64(x.Msgs)
	})
	r.CtxSwitches = of(func(x *round) float64 {
		return float64(x.server.CtxSwitches+x.client.CtxSwitches) / float64(x.Msgs)
	})
	return r
}

// ratio is the median over the rounds in which both succeeded.
func ratio(s Scenario, rounds, ref []round) float64 {
	var out []float64
	for i := range rounds {
		if rounds[i].err == nil && ref[i].err == nil && ref[i].rate(s) > 0 {
			out = append(out, rounds[i].rate(s)/ref[i].rate(s))
		}
	}
	return median(out)
}

func each(rounds []round, f func(x *round) float64) []float64 {
	out := make([]float64, len(rounds))
	for i := range rounds {
		out[i] = f(&rounds[i])
	}
	return out
}

// median of an even number is the mean of the two in the middle; 0 of none.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// play is one round of one contestant.
func play(ctx context.Context, exe string, c *Contestant, s Scenario, seconds float64) (r round) {
	ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(seconds*float64(time.Second)))
	defer cancel()
	server, a, err := launch(ctx, exe, c, order{Contestant: c.Name, Scenario: s})
	if err != nil {
		return round{err: fmt.Errorf("server: %w", err)}
	}
	defer func() { r.err = errors.Join(r.err, server.end("server")) }()
	ask := "use"
	if s.Window == 0 {
		ask = "tidy"
	}
	empty, err := server.ask("tidy")
	if err != nil {
		return round{err: fmt.Errorf("server: %w", err)}
	}
	client, _, err := launch(ctx, exe, c, order{Contestant: c.Name, Server: a.Addr, Scenario: s, Seconds: seconds})
	if err != nil {
		return round{err: fmt.Errorf("client: %w", err)}
	}
	defer func() { r.err = errors.Join(r.err, client.end("client")) }()
	before, err := server.ask(ask)
	if err != nil {
		return round{err: fmt.Errorf("server: %w", err)}
	}
	res, err := client.ask("go")
	if err != nil {
		return round{err: fmt.Errorf("client: %w", err)}
	}
	after, err := server.ask(ask)
	if err != nil {
		return round{err: fmt.Errorf("server: %w", err)}
	}
	if res.Msgs == 0 && s.Window > 0 {
		return round{err: errors.New("no answers")}
	}
	return round{
		Result: res.Result,
		server: after.Usage.since(before.Usage), client: res.Usage.since(res.Before),
		rss: float64(after.Usage.RSS-empty.Usage.RSS) / float64(s.Connections),
	}
}

// since is u with what was used until v taken off.
func (u usage) since(v usage) usage {
	u.CPU -= v.CPU
	u.CtxSwitches -= v.CtxSwitches
	return u
}

// process is a contestant's server or client.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// launch starts this binary again and returns its first answer.
func launch(ctx context.Context, exe string, c *Contestant, o order) (*process, answer, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, answer{}, err
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(append(os.Environ(), c.Env...), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	p := &process{cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, answer{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, answer{}, err
	}
	p.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, answer{}, err
	}
	a, err := p.read()
	if err != nil {
		p.in.Close()
		_ = cmd.Wait()
		return nil, a, err
	}
	return p, a, nil
}

func (p *process) read() (a answer, err error) {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("it ended: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("it said %q: %w", line, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (p *process) ask(what string) (answer, error) {
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		return answer{}, err
	}
	return p.read()
}

// end closes the input, on which the process ends.
func (p *process) end(who string) error {
	p.in.Close()
	rest, _ := io.ReadAll(p.out)
	if err := p.cmd.Wait(); err != nil {
		var a answer
		if json.Unmarshal(rest, &a) == nil && a.Error != "" {
			err = errors.New(a.Error)
		}
		return fmt.Errorf("%s: at its end: %w", who, err)
	}
	return nil
}
