package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/rivals"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/scaling"
)

type workersCmd struct {
	Rounds      int     `default:"9" help:"How often each number of workers is measured."`
	Seconds     float64 `default:"0.5" help:"How long one measurement takes."`
	Most        int     `help:"The largest number of workers that is measured; 0: as many as processors."`
	Connections int     `default:"64" help:"How many connections."`
	Window      int     `default:"64" help:"How many requests each connection has in flight."`
	Length      int     `default:"64" help:"Bytes of payload in a request."`
	JSON        bool    `name:"json" help:"Print one JSON object instead of text."`

	Here  int  `hidden:"" help:"Measure so many workers in this process, which has as many processors."`
	Queue bool `hidden:"" help:"Here: dispatch through the queue."`
	Apart bool `hidden:"" help:"Here: the ends of a connection are on different workers."`
}

// Help is shown by msgrbench workers --help.
func (workersCmd) Help() string {
	return `Predicts what 1, 2, 4, 8, 16 and 32 workers carry, and measures as many as there are processors.

Both ends are in one process with as many workers as it may use processors (GOMAXPROCS), a process
anew for each measurement; numbers of workers, fast dispatch and dispatch through the queue take
turns, and figures are medians over the rounds. Client and server so share the processors: n workers
are n in all, and a rate is what one machine with n processors carries of both ends. The ends of a
connection are on the same worker: so what two workers lose is what they share. "apart" is two workers
of which each has the other end of the other's connections. One worker is measured in two processes at
once: then it has a neighbour, as each of two workers has.

A measurement counts by its slices of 2 ms in which the process had all its processors, if there are
some: what other programs take is not scaling. "had" says how many it had in those slices. If there are
none, rates are scaled to the processors by CPU time, and the output says so: two workers that hardly
ever run at the same time do not show what they cost each other.

"a read" is how many messages a read brings: should two workers have fewer than one, that is part of what
they lose.

The law is the Universal Scalability Law, X(n) = X1*n / (1 + sigma*(n-1) + kappa*n*(n-1)). Two workers
say sigma + 2*kappa: sigma is taken from benchmarks of all that workers share, which are printed too, and
kappa is the rest. "all serial" and "all coherence" are what would be if all that two workers lose was
the one or the other, and "a step" if more workers lost no more than two. From three numbers of workers
on the law is fitted to these as well. docs/SCALING.md explains it.

Examples:
  msgrbench workers
  msgrbench workers --rounds=3 --json

With the default flags it takes about a minute on two processors, and two on 32. The scenarios workers/1 to
workers/4 are run by msgrbench compare workers.

The exit code is 1 if a measurement failed, 130 or 143 if it was interrupted.`
}

const (
	sliceTime   = 2 * time.Millisecond
	linesRounds = 5
	lineTime    = 300 * time.Millisecond // each line, in all rounds
	warmUp      = 150 * time.Millisecond
	patience    = 10 * time.Second // for a first answer
)

// counts are the numbers of workers that are predicted.
var counts = []int{1, 2, 4, 8, 16, 32}

// path is a way of dispatch.
type path struct {
	name string
	fast bool
}

var paths = []path{{"async-fast", true}, {"async-queue", false}}

// Run measures, fits and prints.
func (c *workersCmd) Run(w io.Writer, k *kong.Kong) error {
	if err := c.check(); err != nil {
		return command.Usage(err)
	}
	ctx, stop := command.Interruptible()
	defer stop()
	if c.Here > 0 {
		return c.here(ctx, w)
	}
	r := workersReport{
		Environment: report.CollectEnvironment(), CPUs: min(runtime.NumCPU(), runtime.GOMAXPROCS(0)),
		Connections: c.Connections, Window: c.Window, Length: c.Length, Rounds: c.Rounds, Seconds: c.Seconds,
	}
	most := r.CPUs
	if c.Most > 0 {
		most = min(most, c.Most)
	}
	measured := slices.DeleteFunc(append(slices.Clone(counts), most), func(n int) bool { return n > most })
	slices.Sort(measured)
	measured = slices.Compact(measured)
	each := time.Duration(c.Seconds*float64(time.Second)) + warmUp + 250*time.Millisecond
	processes := len(measured) * len(paths)
	if most >= 2 {
		processes += len(paths) // apart
	}
	took := time.Duration(c.Rounds*processes)*each + time.Duration(len(scaling.Lines()))*lineTime
	fmt.Fprintf(k.Stderr, "%d numbers of workers, %d rounds: about %v\n",
		len(measured), c.Rounds, took.Round(time.Second))

	lines := scaling.Lines()
	costs, err := scaling.MeasureAll(ctx, lines, linesRounds, lineTime)
	if err != nil {
		return ended(ctx, err)
	}
	runs, err := c.measure(ctx, measured)
	end := command.Interrupted(ctx)
	if end != nil {
		err = end
		r.Partial = fmt.Sprintf("%v after %d measurements, of about %d", end, len(runs), c.Rounds*processes)
	}
	if ferr := r.fill(lines, costs, measured, runs); end != nil && ferr != nil {
		return fmt.Errorf("%w before the first round was done", end)
	} else if ferr != nil {
		return errors.Join(err, ferr)
	}
	if c.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return errors.Join(err, e.Encode(&r))
	}
	return errors.Join(err, r.write(w))
}

func ended(ctx context.Context, err error) error {
	if end := command.Interrupted(ctx); end != nil {
		return end
	}
	return err
}

func (c *workersCmd) check() error {
	for _, x := range []struct {
		flag          string
		is, from, max int
	}{
		{"rounds", c.Rounds, 1, 1000}, {"most", c.Most, 0, 4096}, {"connections", c.Connections, 1, 100_000},
		{"window", c.Window, 1, 1 << 16}, {"length", c.Length, 0, 16 << 20}, {"here", c.Here, 0, 4096},
	} {
		if x.is < x.from || x.is > x.max {
			return fmt.Errorf("--%s %d is not within %d to %d", x.flag, x.is, x.from, x.max)
		}
	}
	if !(c.Seconds > 0 && c.Seconds <= command.SecondsMax) {
		return fmt.Errorf("--seconds is to be more than 0, and %d at most", command.SecondsMax)
	}
	return nil
}

// trial is what one process measured.
type trial struct {
	Workers int            `json:"workers"`
	Slices  scaling.Slices `json:"slices"`
	Others  float64        `json:"others"` // processors that others had meanwhile; -1: unknown
	Calls   float64        `json:"calls"`  // system calls that read or write, a message; 0: unknown

	path  path
	apart bool
}

// measure runs all rounds. The error is for those that failed. One worker is measured in two
// processes at once, as far as there are processors: what a neighbour does to the caches and
// the clock of a processor is then there with one worker as with two, and not lost by
// sharing.
func (c *workersCmd) measure(ctx context.Context, workers []int) (runs []trial, err error) {
	type what struct {
		path    path
		workers int
		apart   bool
	}
	var all []what
	for _, p := range paths {
		for _, n := range workers {
			all = append(all, what{p, n, false})
			if n == 2 {
				all = append(all, what{p, n, true})
			}
		}
	}
	for round := range c.Rounds {
		for i := range all {
			x := all[(i+round)%len(all)]
			beside := 1
			if x.workers == 1 && len(workers) > 1 {
				beside = 2
			}
			found, errs := make([]trial, beside), make([]error, beside)
			var wg sync.WaitGroup
			for k := range beside {
				wg.Go(func() { found[k], errs[k] = c.process(ctx, x.path, x.workers, x.apart) })
			}
			wg.Wait()
			if ctx.Err() != nil {
				return runs, ctx.Err()
			}
			for k, r := range found {
				if errs[k] != nil {
					err = fmt.Errorf("%s with %d workers: %w", x.path.name, x.workers, errs[k])
					continue
				}
				r.path, r.apart = x.path, x.apart
				runs = append(runs, r)
			}
		}
	}
	return runs, err
}

// process measures in a process with as many processors as workers.
func (c *workersCmd) process(ctx context.Context, p path, workers int, apart bool) (r trial, err error) {
	exe, err := os.Executable()
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(2*c.Seconds*float64(time.Second)))
	defer cancel()
	args := []string{
		"workers", "--here", strconv.Itoa(workers), "--seconds", fmt.Sprint(c.Seconds),
		"--connections", strconv.Itoa(c.Connections), "--window", strconv.Itoa(c.Window),
		"--length", strconv.Itoa(c.Length),
	}
	if !p.fast {
		args = append(args, "--queue")
	}
	if apart {
		args = append(args, "--apart")
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), command.MainEnv+"=1", command.ChildEnv+"=1", fmt.Sprintf("GOMAXPROCS=%d", workers))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, err
	}
	if r.Workers != workers || len(r.Slices) == 0 {
		return r, errors.New("no result")
	}
	return r, nil
}

// here measures in this process.
func (c *workersCmd) here(ctx context.Context, w io.Writer) error {
	client, err := rivals.Together(!c.Queue, c.Here, c.Apart)
	if err != nil {
		return err
	}
	type lane struct {
		n atomic.Int64 // answers; one at a time writes
		_ [120]byte
	}
	lanes := make([]lane, c.Connections)
	payload := make([]byte, c.Length)
	var stopped atomic.Bool
	err = client.Connect(c.Connections, func(conn, slot int) {
		lanes[conn].n.Add(1)
		if !stopped.Load() {
			_ = client.Send(conn, slot, payload)
		}
	})
	if err != nil {
		return errors.Join(err, client.Stop())
	}
	for slot := range c.Window {
		for conn := range lanes {
			if err := client.Send(conn, slot, payload); err != nil {
				return errors.Join(err, client.Stop())
			}
		}
	}
	wait(ctx, warmUp)
	total := func() (n int64) {
		for i := range lanes {
			n += lanes[i].n.Load()
		}
		return n
	}
	r := trial{Workers: c.Here, Others: -1}
	began, busy, calls, n := time.Now(), scaling.Busy(), ioCalls(), total()
	end := began.Add(time.Duration(c.Seconds * float64(time.Second)))
	for m := scaling.NewMeter(total); ctx.Err() == nil; {
		wait(ctx, sliceTime)
		r.Slices = append(r.Slices, m.Slice())
		// A busy machine may leave a short measurement without any answer.
		if now := time.Now(); now.After(end) && (total() > n || now.After(end.Add(patience))) {
			break
		}
	}
	took := time.Since(began).Seconds()
	if n = total() - n; n > 0 {
		r.Calls = float64(ioCalls()-calls) / float64(n)
	}
	if now := scaling.Busy(); busy >= 0 && now >= 0 {
		r.Others = max(0, now-busy-r.Slices.Used()) / took
	}
	stopped.Store(true)
	if err := errors.Join(ended(ctx, ctx.Err()), client.Stop()); err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(&r)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// ioCalls is how many reads and writes this process has made; 0 where nobody counts them.
func ioCalls() (n int64) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		for _, name := range []string{"syscr: ", "syscw: "} {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
				k, _ := strconv.ParseInt(v, 10, 64)
				n += k
			}
		}
	}
	return n
}
