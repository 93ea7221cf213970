package nodecmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/asyncmsgr/asyncmsgr/bench/node"
)

// Status says how a node is, and how it sees the others.
type Status struct {
	Ready bool `help:"Say nothing, and exit with 1 unless the node is a member with a majority and has all its copies: for probes."`
	JSON  bool `name:"json" help:"Print one JSON object."`
	client
}

// Help is shown by status --help.
func (Status) Help() string {
	return `Asks one node, the first that answers, for the map that it has and how it sees the members. With --join of that
node alone it is a probe: without --ready, whether the node answers; with it, whether it is of use.

Examples:
  msgr status --join hosta:7000,hostb:7000
  msgr status --join hosta:7000 --ready
  msgr status --json`
}

// errNotReady: a probe failed.
var errNotReady = errors.New("not ready")

// Run asks and prints.
func (c *Status) Run(w io.Writer) error {
	return c.with(func(ctx context.Context, cl *node.Client) error {
		s, err := cl.Status(ctx, "")
		switch {
		case err != nil:
			return err
		case c.Ready && !s.Ready():
			return fmt.Errorf("%w: member %t, majority %t, copies %t, leaving %t",
				errNotReady, s.Member, s.Quorate, s.Synced, s.Leaving)
		case c.Ready:
			return nil
		case c.JSON:
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(s)
		}
		return write(w, s)
	})
}

func write(w io.Writer, s node.Status) error {
	state := "settled"
	switch {
	case len(s.Members) == 0:
		state = "no map yet"
	case s.Joint:
		state = "members are fetching copies"
	}
	_, err := fmt.Fprintf(w, "%s: epoch %d, %s; %d objects, %d bytes, %d fetched\n",
		s.Name, s.Epoch, state, s.Objects, s.Bytes, s.Fetched)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range s.Members {
		up, role := "down", "member"
		if m.Up {
			up = "up"
		}
		switch {
		case m.Old:
			role = "was a member"
		case !m.Synced:
			role = "member, fetching"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\tlife %s\n", m.Name, m.Addr, up, role, m.Life)
	}
	return t.Flush()
}
