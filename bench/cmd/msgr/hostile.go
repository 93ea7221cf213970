package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/asyncmsgr/asyncmsgr/bench/hostile"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type hostileCmd struct {
	Kinds       []string `arg:"" optional:"" name:"kind" help:"Kinds of attackers; default: all."`
	Connections int      `default:"10000" help:"How many connections the attackers have."`
	Seconds     float64  `default:"5" help:"For how long each kind is watched."`
	Seed        uint64   `help:"Seed of what the attackers draw."`
	JSON        bool     `name:"json" help:"Print a JSON array instead of the table."`
}

// What an attack may cost: see SECURITY.md. Times are not judged, they are the machine's.
const (
	hostileKiB   = 16 // of memory a connection
	hostileFiles = 64 // descriptors beside those of connections that may be there
	hostileLines = 96 // of the log: one of each of the attackers' 16 addresses for each of a few reasons
)

// hostileConnectionsMax bounds --connections: each takes a descriptor at both ends.
const hostileConnectionsMax = 100_000

var errHostile = errors.New("an attack cost more than it may: the table says MISSED")

// Help is shown by msgr hostile --help.
func (hostileCmd) Help() string {
	var b strings.Builder
	b.WriteString(`Starts a messenger that has a shared secret, in a process of its own, and attackers in another, of one kind after
the other: each keeps its connections busy with what its kind does, and comes back when it is turned away.
Meanwhile an honest client makes one handshake after the other. The table says what the attackers' connections
cost the server in memory, descriptors, processors and lines of its log, and how long honest handshakes took,
from the beginning of a connection to the first answer.

Attackers come from 16 addresses of the loopback network (127.0.1.1 to 127.0.1.16), the honest client from another.

Kinds:

`)
	for _, k := range hostile.Kinds() {
		fmt.Fprintf(&b, "  %-12s %s\n", k.Name, k.Does)
	}
	b.WriteString("\nExamples:\n  msgr hostile --seconds=5\n  msgr hostile --connections=100 --json\n")
	b.WriteString("\nThe exit code is 1 if memory, descriptors or lines are over what they may be, " +
		"or a kind could not be run. On Linux only.")
	return b.String()
}

// Run runs the attacks.
func (c *hostileCmd) Run(w io.Writer, parser *kong.Kong) error {
	if c.Connections < 1 || c.Connections > hostileConnectionsMax ||
		!(c.Seconds > 0 && c.Seconds <= command.SecondsMax) { // NaN is none of this
		return command.Usage(fmt.Errorf("--connections is to be 1 to %d, --seconds more than 0 and %d at most",
			hostileConnectionsMax, command.SecondsMax))
	}
	ctx, stop := command.Interruptible()
	defer stop()
	cfg := hostile.Config{
		Kinds: c.Kinds, Connections: c.Connections, Seed: c.Seed,
		Duration: time.Duration(c.Seconds * float64(time.Second)),
	}
	if !c.JSON {
		cfg.Began = func(k hostile.Kind) { fmt.Fprintf(parser.Stderr, "%s: %s\n", k.Name, k.Does) }
	}
	rows, err := hostile.Run(ctx, cfg)
	if errors.Is(err, hostile.ErrKind) {
		return command.Usage(err)
	}
	if end := command.Interrupted(ctx); end != nil {
		err = end
	}
	if c.JSON {
		err = errors.Join(err, printHostileJSON(w, rows))
	} else {
		err = errors.Join(err, printHostile(w, rows))
	}
	if err == nil && slices.ContainsFunc(rows, func(r hostile.Row) bool { return r.Failed != "" || missed(&r) != "" }) {
		err = errHostile
	}
	return err
}

// printHostileJSON prints an array, which is empty if no kind was done.
func printHostileJSON(w io.Writer, rows []hostile.Row) error {
	return command.WriteJSON(w, append([]hostile.Row{}, rows...))
}

// missed is what is over what it may be.
func missed(r *hostile.Row) string {
	var out []string
	if r.KiBPerConnection > hostileKiB {
		out = append(out, "memory")
	}
	if r.Descriptors > r.Connections+hostileFiles {
		out = append(out, "descriptors")
	}
	if r.Lines > hostileLines {
		out = append(out, "lines")
	}
	return strings.Join(out, ", ")
}

func printHostile(w io.Writer, rows []hostile.Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\tconnections\topen\tattempts/s\tKiB each\tpeak MiB\tdescriptors\tCPUs\tlog lines\t"+
		"honest\tfailed\tp50 ms\tp99 ms\t")
	for _, r := range rows {
		if r.Failed != "" {
			fmt.Fprintf(t, "%s\t%d\tFAILED: %s\n", r.Kind, r.Connections, r.Failed)
			continue
		}
		verdict := ""
		if m := missed(&r); m != "" {
			verdict = "MISSED: " + m
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.0f\t%.1f\t%.0f\t%d\t%.2f\t%d\t", r.Kind, r.Connections, r.Open,
			r.AttemptsPerSecond, r.KiBPerConnection, float64(r.PeakKiB)/1024, r.Descriptors, r.CPU, r.Lines)
		fmt.Fprintf(t, "%d\t%d\t%.1f\t%.1f\t%s\n", r.Honest, r.HonestFailed, r.P50, r.P99, verdict)
	}
	return t.Flush()
}
