package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/rivals"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type rpcCmd struct {
	Rounds  int      `default:"5" help:"How often each contestant runs in each scenario."`
	Seconds float64  `default:"0.5" help:"How long one measurement takes."`
	Only    []string `help:"Run these contestants and async-rpc only."`
	JSON    bool     `name:"json" help:"Print the rows as a JSON array instead of tables."`
}

// Help is shown by msgrbench rpc --help.
func (rpcCmd) Help() string {
	return "Compares async/rpc with unary calls of grpc-go and storj.io/drpc and with net/rpc: blocking calls,\n" +
		"a goroutine for each that is in flight, one at a time and 64 over 16 connections. Clients and\n" +
		"servers are processes, rounds alternate, figures are medians over the rounds. The ratios are those\n" +
		"of " + rivals.CallsReference + " to the other in the same round: how many times its calls a second, and\n" +
		"its median latency in parts of the other's.\n\n" +
		"Contestants: " + fmt.Sprint(contestantNames(rivals.Calls())) + "\n\n" +
		"Examples:\n  msgrbench rpc\n  msgrbench rpc --rounds=3 --seconds=0.4 --only=grpc --json\n\n" +
		"The exit code is 1 if a round failed, 130 or 143 if it was interrupted."
}

// rpcScenarios are what is run.
var rpcScenarios = []workload.Scenario{
	{Name: "rpc/ping-pong", Connections: 1, Size: 64, Window: 1},
	{Name: "rpc/16/64B/4", Connections: 16, Size: 64, Window: 4},
	{Name: "rpc/16/4KiB/4", Connections: 16, Size: 4 << 10, Window: 4},
}

// Run measures and prints.
func (c *rpcCmd) Run(w io.Writer, k *kong.Kong) error {
	all := rivals.Calls()
	switch {
	case len(all) == 0:
		return errors.New("the messenger has no network here")
	case c.Rounds < 1 || c.Rounds > roundsMax || c.Seconds <= 0:
		return command.Usage(fmt.Errorf("%d rounds of %v s make no measurement", c.Rounds, c.Seconds))
	}
	for _, name := range c.Only {
		if !slices.Contains(contestantNames(all), name) {
			return command.Usage(fmt.Errorf("no contestant %q; there are %v", name, contestantNames(all)))
		}
	}
	if c.Only != nil {
		all = slices.DeleteFunc(all, func(x workload.Contestant) bool {
			return x.Name != rivals.CallsReference && !slices.Contains(c.Only, x.Name)
		})
	}
	ctx, stop := command.Interruptible()
	defer stop()
	fmt.Fprintf(k.Stderr, "%d contestants, %d scenarios, %d rounds\n", len(all), len(rpcScenarios), c.Rounds)
	res, err := workload.Run(ctx, workload.Config{
		Contestants: all, Scenarios: rpcScenarios, Reference: rivals.CallsReference,
		Rounds: c.Rounds, Seconds: c.Seconds,
	})
	if end := command.Interrupted(ctx); err != nil && end != nil {
		err = end
	}
	if c.JSON {
		err = errors.Join(err, command.WriteJSON(w, append([]report.Row{}, res.Rows...)))
	} else {
		printCalls(w, &res)
	}
	if slices.ContainsFunc(res.Rows, func(r report.Row) bool { return r.Failed != "" }) {
		err = errors.Join(err, errRounds)
	}
	return err
}

// printCalls prints a table for each scenario.
func printCalls(w io.Writer, res *workload.Results) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	scenario := ""
	for _, r := range res.Rows {
		if r.Scenario != scenario {
			scenario = r.Scenario
			fmt.Fprintf(t, "%s\tcalls/s\tp50 us\tp99 us\tCPU us/call\tallocs\tcalls, times\tp50, part\t\n", scenario)
		}
		if r.Failed != "" {
			fmt.Fprintf(t, "%s\tFAILED: %s\t\n", r.Contestant, r.Failed)
			continue
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t%.1f\t%.2f\t%.1f\t%.2f\t%.2f\t\n", r.Contestant, r.Msgs, r.P50, r.P99, r.CPU,
			r.Allocs, 1/r.Ratio, p50Part(res, &r))
	}
	t.Flush()
}

// p50Part is the reference's median latency as a part of r's, the median over the rounds.
func p50Part(res *workload.Results, r *report.Row) float64 {
	of := func(contestant string) map[int]float64 {
		out := map[int]float64{}
		for _, s := range res.Samples {
			if s.Scenario == r.Scenario && s.Contestant == contestant && s.Failed == "" {
				out[s.Round] = s.P50
			}
		}
		return out
	}
	var parts []float64
	ours := of(rivals.CallsReference)
	for round, p := range of(r.Contestant) {
		if q, ok := ours[round]; ok && p > 0 {
			parts = append(parts, q/p)
		}
	}
	if len(parts) == 0 {
		return 0
	}
	slices.Sort(parts)
	return (parts[(len(parts)-1)/2] + parts[len(parts)/2]) / 2
}
