package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// readFile reads a text scenario. What cannot be parsed is an
// *asynctest.ScenarioError with line and column.
func readFile(name string) (*asynctest.Scenario, []byte, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, unknown(name)
	} else if err != nil {
		return nil, nil, fmt.Errorf("%w: %w; give a file with a scenario, or one of %s",
			ErrConfig, err, strings.Join(Scenarios(), ", "))
	}
	s, err := asynctest.ParseScenario(name, text)
	return s, text, err
}

// OwnSeed is the seed that a scenario runs with unless another one is asked for: 1,
// or what its file says.
func OwnSeed(scenario string) (uint64, error) {
	if scenario == swarmName || kindOf(scenario) != nil {
		return 1, nil
	}
	s, _, err := readFile(scenario)
	if err != nil {
		return 0, err
	}
	return s.Seed, nil
}

// faultSteps are the first words of the lines that break something.
var faultSteps = map[string]bool{
	"cut": true, "partition": true, "oneway": true, "refuse": true, "hold": true, "reset": true,
	"fault": true, "stick": true, "crash": true, "kill": true, "mark_down": true, "stall": true, "pause": true,
}

// checkFile says what is wrong with a text scenario, or cannot be asked of it.
func checkFile(cfg *Config) error {
	all, err := hosts(cfg)
	switch {
	case err != nil:
		return err
	case len(all) == 0:
		return fmt.Errorf("%w: %s has no nodes; a scenario begins with lines such as node a", ErrConfig, cfg.Scenario)
	}
	if cfg.Nodes != 0 || cfg.Faults.Given || cfg.Until != 0 {
		return fmt.Errorf("%w: the file of a scenario says which nodes and faults there are, and when it ends",
			ErrConfig)
	}
	return nil
}

// runFile runs a text scenario.
func runFile(cfg Config) (Result, error) {
	s, text, err := readFile(cfg.Scenario)
	if err != nil {
		return Result{}, err
	}
	s.Seed = cfg.Seed
	out := Result{Scenario: cfg.Scenario, Seed: cfg.Seed}
	for line := range bytes.Lines(text) {
		if words := bytes.Fields(line); len(words) > 0 && faultSteps[string(words[0])] {
			out.Faults++
		}
	}
	var (
		net   *simnet.Network
		chart *simnet.Chart
	)
	r := s.Run(func(c *asynctest.Cluster) {
		net, out.Nodes = c.Net, len(c.Nodes)
		chart = observe(net, &cfg)
		net.EndOn(cfg.Done)
	})
	out.Interrupted = errors.Is(r.Err, simnet.ErrEnded)
	out.Faults += r.Faults
	out.Sent, out.Deliveries = uint64(r.Sent), uint64(r.Delivered)
	out.Virtual, out.Hash, out.Notes = r.Virtual, r.Hash, r.Log
	out.Invariants = []string{"what the file expects"}
	if r.Err != nil && !out.Interrupted {
		out.Violations, out.Violated = 1, []string{firstLine(r.Err)}
		if r.Err.Error() != out.Violated[0] {
			out.Broken = r.Err // with the state of the network
		}
	}
	if net == nil {
		return out, nil
	}
	out.Events = net.Events()
	return out, written(net, chart, &cfg)
}
