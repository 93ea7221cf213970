package simulate

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
)

const swarmName = "swarm"

// checkSwarm says what a swarm cannot do.
func checkSwarm(cfg *Config) error {
	switch {
	case cfg.Nodes != 0:
		return fmt.Errorf("%w: the seed chooses the nodes of a swarm", ErrConfig)
	case cfg.Until != 0:
		return fmt.Errorf("%w: a swarm cannot end early", ErrConfig)
	case cfg.Chart != nil:
		return fmt.Errorf("%w: no chart of a swarm", ErrConfig)
	case cfg.Faults.Given && (cfg.Faults.Count == 0 || cfg.Faults.PerSecond > 0):
		return fmt.Errorf("%w: a swarm has a number of faults, at least 1", ErrConfig)
	}
	return nil
}

// runSwarm runs one seed of asynctest's swarm, which chooses its own nodes.
func runSwarm(cfg Config) Result {
	r := asynctest.RunSwarm(cfg.Seed, asynctest.SwarmConfig{Faults: cfg.Faults.Count, Trace: cfg.Trace})
	out := Result{
		Scenario: swarmName, Nodes: r.Nodes, Seed: cfg.Seed, Sent: uint64(r.Sent), Deliveries: uint64(r.Delivered),
		Faults: r.NumFaults(), Virtual: r.Virtual, Hash: r.Hash, Notes: []string{r.System},
		Violations: len(r.Violations), Violated: r.Violations[:min(len(r.Violations), violatedMax)],
		FaultKinds: r.Faults, Coverage: r.Coverage, Costs: r.Costs,
	}
	for _, c := range asynctest.Checkers() {
		out.Invariants = append(out.Invariants, c.Letter)
	}
	return out
}
