package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/bench/report"
	"github.com/asyncmsgr/asyncmsgr/bench/rivals"
	"github.com/asyncmsgr/asyncmsgr/bench/workload"
)

// The contestants run in processes of their own, which are this binary again.
func init() { workload.RunChild(rivals.All()) }

type benchCmd struct {
	Scenarios []string `arg:"" optional:"" name:"scenario" help:"Scenarios to run, or the beginning of their names up to a slash; default: all."`
	Rounds    int      `default:"5" help:"How often each contestant runs in each scenario."`
	Seconds   float64  `default:"1" help:"How long one measurement takes."`
	JSON      string   `name:"json" type:"path" help:"Write the rows to this file too."`
	Only      []string `help:"Run these contestants and the reference only."`
}

// Help is shown by msgr bench --help.
func (benchCmd) Help() string {
	var names []string
	for _, s := range workload.Scenarios() {
		names = append(names, s.Name)
	}
	var who []string
	for _, c := range rivals.All() {
		who = append(who, c.Name)
	}
	return "Compares the messenger with a thread-per-connection messenger over the same session code and with\n" +
		"raw echo servers: clients and servers are processes, rounds alternate, figures are medians over the\n" +
		"rounds, and the ratio is to " + rivals.Reference + " in the same round.\n\n" +
		"Scenarios: " + strings.Join(names, ", ") + "\n\nContestants: " + strings.Join(who, ", ")
}

var errRounds = errors.New("some rounds failed")

// Run runs the comparison. Interrupted, it prints the scenarios that are complete.
func (c *benchCmd) Run(w io.Writer) error {
	scenarios, err := workload.Select(c.Scenarios)
	if err != nil {
		return usageError{err}
	}
	if c.Rounds < 1 || c.Seconds <= 0 {
		return usageError{errors.New("--rounds and --seconds must be more than 0")}
	}
	all := rivals.All()
	for _, name := range c.Only {
		if !slices.ContainsFunc(all, func(x workload.Contestant) bool { return x.Name == name }) {
			return usageError{fmt.Errorf("no contestant %q", name)}
		}
	}
	if len(c.Only) > 0 {
		all = slices.DeleteFunc(all, func(x workload.Contestant) bool {
			return x.Name != rivals.Reference && !slices.Contains(c.Only, x.Name)
		})
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	terminal := isTerminal(w)
	cfg := workload.Config{Contestants: all, Scenarios: scenarios, Reference: rivals.Reference, Rounds: c.Rounds, Seconds: c.Seconds}
	if terminal {
		cfg.Progress = func(s workload.Scenario, round int, who string) {
			fmt.Fprintf(w, "\r\x1b[K%s, round %d of %d: %s", s.Name, round+1, c.Rounds, who)
		}
	}
	res, err := workload.Run(ctx, cfg)
	rows := res.Rows
	if terminal {
		fmt.Fprint(w, "\r\x1b[K")
	}
	fmt.Fprintf(w, "%s, %d CPUs; %d rounds of %v s; ratio to %s\n\n", runtime.Version(), runtime.NumCPU(), c.Rounds, c.Seconds, rivals.Reference)
	err = errors.Join(err, report.TextTables(w, rows))
	if c.JSON != "" {
		err = errors.Join(err, writeRows(c.JSON, rows))
	}
	if err == nil && slices.ContainsFunc(rows, func(r report.Row) bool { return r.Failed != "" }) {
		err = errRounds
	}
	return err
}

func writeRows(file string, rows []report.Row) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(report.JSON(f, rows), f.Close())
}
