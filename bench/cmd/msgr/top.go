package main

import (
	"errors"
	"io"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/top"
)

type topCmd struct {
	Path     string        `arg:"" help:"Path of the admin socket."`
	Interval time.Duration `default:"1s" help:"How often to ask."`
	Count    int           `short:"n" help:"How many tables to print; 0: until interrupted, or on a terminal until a key ends it."`
	Once     bool          `help:"Print one table: --count 1."`
	Sort     string        `default:"received" enum:"received,sent,bytes,queue,stalled,faults,peer" help:"What comes first: ${enum}."`
	Filter   string        `help:"Show connections with these words in messenger, peer, address, state or error."`
	Max      int           `default:"1000" help:"How many connections of each messenger to ask for."`
	Timeout  time.Duration `default:"5s" help:"How long an answer may take."`
	JSON     bool          `name:"json" help:"A line of JSON for each table."`
}

// Help is shown by msgr top --help.
func (topCmd) Help() string {
	return `Watches the connections of a process over its admin socket ("msgr node --admin PATH", "msgr demo --admin PATH", async/admin):
messages a second, what waits to be sent and for how long, connections lost. On a terminal it is a screen with keys (? lists
them); into a pipe, with --count, --once or --json, it is text. Rates are those of the last interval.

Examples:
  msgr top /run/osd.0.asok
  msgr top /run/osd.0.asok --sort=queue --filter=client
  msgr top /run/osd.0.asok --once
  msgr top /run/osd.0.asok -n 10 --interval=5s --json

The exit code is 1 if nobody answers.`
}

// Run watches.
func (c *topCmd) Run(w io.Writer) error {
	switch {
	case c.Interval < 10*time.Millisecond:
		return command.Usage(errors.New("--interval is to be 10ms or more"))
	case c.Timeout <= 0:
		return command.Usage(errors.New("--timeout is to be more than 0"))
	case c.Count < 0:
		return command.Usage(errors.New("--count is not to be negative"))
	case c.Max < 1:
		return command.Usage(errors.New("--max is to be 1 or more"))
	}
	if c.Once {
		c.Count = 1
	}
	ctx, stop := command.Interruptible()
	defer stop()
	o := top.Options{
		Path: c.Path, Interval: c.Interval, Timeout: c.Timeout, Max: c.Max, Order: top.Order(c.Sort),
		Filter: c.Filter, Count: c.Count, JSON: c.JSON,
	}
	show := top.Lines
	if command.IsTerminal(w) && c.Count == 0 && !c.JSON {
		show = top.Watch
	}
	if err := show(ctx, w, o); err != nil {
		return err
	}
	return command.Interrupted(ctx)
}
