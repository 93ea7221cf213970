package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// Config says what to run.
type Config struct {
	// Scenario is a name of Scenarios, or the name of a file with a text scenario.
	Scenario string
	// Nodes is the number of messengers; 0 means the scenario's own.
	Nodes int
	// Seed determines everything.
	Seed uint64
	// Faults is how much is broken; its zero value means as much as the scenario
	// has by itself.
	Faults Faults
	// Until ends the run at that virtual time if it is not over before, without
	// the checks that need an end; 0: no limit.
	Until time.Duration
	// Trace gets the trace, one JSON object a line; nil: none.
	Trace io.Writer
	// Chart gets a sequence chart (Mermaid) of what ChartWindow says; nil: none.
	Chart       io.Writer
	ChartWindow simnet.ChartConfig
	// Done, if it is closed, ends the run where it is, without the checks that need an
	// end; what came until then is in the Result, which is marked Interrupted. A run of
	// swarm, which takes a moment, is not ended.
	Done <-chan struct{}
}

// NodesMax is the largest Config.Nodes.
const NodesMax = 100_000

// Result is what came of a run.
type Result struct {
	Scenario string
	Nodes    int
	Seed     uint64
	// Sent counts messages that a Send accepted, Deliveries those that a
	// dispatcher got.
	Sent, Deliveries uint64
	// Sessions is how often a session was established, reconnections included.
	Sessions uint64
	// Events of the simulated network: packets, rounds of workers, timers, jobs.
	Events uint64
	// Faults that were injected.
	Faults int
	// FaultKinds, Coverage and Costs are those of a swarm; see asynctest.SwarmResult.
	FaultKinds map[string]int
	Coverage   asynctest.Coverage
	Costs      []asynctest.Cost
	// Virtual and Real are how long it took, by the simulated clock and by ours.
	Virtual, Real time.Duration
	// Early: Config.Until ended it. Interrupted: Config.Done did.
	Early, Interrupted bool
	// Invariants are the letters of what was checked; see the package's documentation.
	Invariants []string
	// Violations is how often something was not as it must be; Violated describes
	// the first of them.
	Violations int
	Violated   []string
	// Notes are findings of the scenario, for people.
	Notes []string
	// Hash is the hash of the trace.
	Hash uint64
	// Stuck, if not nil, is what the network looked like when nothing went on any more.
	Stuck *simnet.StuckError
	// Broken, if not nil, is all that is known of a run that could not go on: a rule
	// panicked, time stood still, a step of a file failed.
	Broken error
}

// violatedMax bounds Result.Violated.
const violatedMax = 20

// ErrConfig: a Config that makes no sense; Run wraps it.
var ErrConfig = errors.New("simulate: configuration")

// Scenarios are the names of the scenarios that are built in.
func Scenarios() []string {
	names := make([]string, 0, len(kinds)+1)
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return append(names, swarmName)
}

// kind is a scenario that is built in.
type kind struct {
	name    string
	aliases []string
	nodes   int // the default
	min     int
	make    func(w *world) scenario
}

var kinds = []kind{
	{"gossip", []string{"rumour"}, 100, 2, newGossip},
	{"store", []string{"replicated-store", "replicated store"}, 40, 4, newStore},
	{"fan-in", []string{"fanin", "fan in"}, 100, 2, newFanIn},
	{"storm", []string{"reconnect-storm", "reconnect storm"}, 200, 2, newStorm},
}

func kindOf(name string) *kind {
	name = strings.ToLower(name)
	for i := range kinds {
		k := &kinds[i]
		if k.name == name {
			return k
		}
		for _, a := range k.aliases {
			if a == name {
				return k
			}
		}
	}
	return nil
}

// Check says what is wrong with cfg, before anything runs or is written: an ErrConfig, or
// an *asynctest.ScenarioError of a file that cannot be parsed; nil if it can run.
func Check(cfg Config) error {
	if cfg.Nodes < 0 || cfg.Nodes > NodesMax {
		return fmt.Errorf("%w: %d nodes; at most %d can be had", ErrConfig, cfg.Nodes, NodesMax)
	}
	if cfg.Until < 0 {
		return fmt.Errorf("%w: a run until %v", ErrConfig, cfg.Until)
	}
	if cfg.Scenario == swarmName {
		return checkSwarm(&cfg)
	}
	if k := kindOf(cfg.Scenario); k == nil {
		if err := checkFile(&cfg); err != nil {
			return err
		}
	} else if n := cmp.Or(cfg.Nodes, k.nodes); n < k.min {
		return fmt.Errorf("%w: %s has at least %d nodes, not %d", ErrConfig, k.name, k.min, n)
	}
	return checkChart(&cfg)
}

// Run runs one system. An error is that of Check, before anything has begun, or means
// that trace or chart could not be written. What went wrong in the run is in the Result.
func Run(cfg Config) (Result, error) {
	if err := Check(cfg); err != nil {
		return Result{}, err
	}
	start := time.Now()
	r, err := runOne(cfg)
	r.Real = time.Since(start)
	return r, err
}

func runOne(cfg Config) (Result, error) {
	if cfg.Scenario == swarmName {
		return runSwarm(cfg), nil
	}
	k := kindOf(cfg.Scenario)
	if k == nil {
		return runFile(cfg)
	}
	w := k.world(cfg)
	w.run(w.s)
	return w.result, written(w.net, w.chart, &cfg)
}

// world makes the system, which is not running yet.
func (k *kind) world(cfg Config) *world {
	cfg.Nodes = cmp.Or(cfg.Nodes, k.nodes)
	w := newWorld(cfg)
	w.result.Scenario = k.name
	w.s = k.make(w)
	return w
}

// unknown is the error about a scenario that is neither built in nor a file.
func unknown(name string) error {
	return fmt.Errorf("%w: no scenario or file %q; there are %s", ErrConfig, name, strings.Join(Scenarios(), ", "))
}
