package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/alecthomas/kong"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/playground"
	"github.com/asyncmsgr/asyncmsgr/bench/playground/webserver"
)

// serve serves the playground until it is interrupted.
func (c *simCmd) serve(w io.Writer, k *kong.Kong) error {
	fragment, err := c.fragment()
	if err != nil {
		return command.Usage(err)
	}
	host, port, err := command.HTTPAddress(c.HTTP)
	if err != nil {
		return err
	}
	ctx, stop := command.Interruptible()
	defer stop()
	site, done, err := webserver.Site(ctx, c.Site, k.Stderr)
	if ended := command.Interrupted(ctx); ended != nil {
		return ended
	} else if err != nil {
		return err
	}
	defer done()
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "the playground is at http://%v/%s; end it with Ctrl-C\n", l.Addr(), fragment)
	if err := webserver.Serve(ctx, l, site); err != nil {
		return err
	}
	return nil // an end by a signal is how it ends
}

// fragment is that of the link to what the flags ask for.
func (c *simCmd) fragment() (string, error) {
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--seeds", c.Seeds != ""}, {"--until", c.Until != 0}, {"--twice", c.Twice}, {"--trace", c.Trace != ""},
		{"--chart", c.Chart != ""}, {"--json", c.JSON}, {"--faults", c.Faults != ""},
	} {
		if f.given {
			return "", fmt.Errorf("%s is not for --http: the page has what corresponds to it", f.name)
		}
	}
	seed := ""
	if c.Seed != nil {
		seed = fmt.Sprintf("seed=%d", *c.Seed)
	}
	text, err := os.ReadFile(c.Scenario)
	switch {
	case err == nil && c.Nodes != 0:
		return "", errors.New("--nodes: the file of a scenario says which there are")
	case err == nil:
		s, err := asynctest.ParseScenario(c.Scenario, text)
		if err != nil {
			return "", err
		}
		if len(text) > playground.TextMax {
			return "", fmt.Errorf("%s has %d bytes; the playground takes %d", c.Scenario, len(text), playground.TextMax)
		}
		if seed == "" {
			seed = fmt.Sprintf("seed=%d", s.Seed)
		}
		return "#" + seed + "&s=t." + base64.RawURLEncoding.EncodeToString(text), nil
	case c.Scenario != "gossip" || c.Nodes != 0:
		if _, err := playground.PresetText(c.Scenario, playground.PresetOptions{Nodes: c.Nodes}); err != nil {
			return "", fmt.Errorf("--scenario=%s: %w; a file of a text scenario is shown, too", c.Scenario, err)
		}
		s := "#preset=" + c.Scenario
		if c.Nodes != 0 {
			s += fmt.Sprintf("&nodes=%d", c.Nodes)
		}
		if seed != "" {
			s += "&" + seed
		}
		return s, nil
	case seed != "":
		return "#preset=gossip&" + seed, nil
	}
	return "", nil
}
