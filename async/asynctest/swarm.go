package asynctest

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"
)

// SwarmConfig says how hard RunSwarm is on a system; the zero value is what the
// project's own campaign uses.
type SwarmConfig struct {
	// Messages and Faults are how many of each a seed has at least; 0 means 200
	// and 20.
	Messages, Faults int
	// SlowAuth has the authentication run as steps on the executor (auth.Slow), in all
	// systems.
	SlowAuth bool
	// Compress has two nodes of three compress what they send each other, in all systems and
	// not only in one of sixteen.
	Compress bool
	// Logger gets the messengers' log; nil: nobody does.
	Logger *slog.Logger
	// Trace gets the trace of the network (see simnet.Network.TraceTo); nil: nobody does.
	Trace io.Writer
}

// SwarmResult is what became of one seed.
type SwarmResult struct {
	Seed uint64
	// System describes what the seed made: policies, nodes, sizes.
	System string
	Nodes  int
	// Sent tracked messages were accepted, Delivered of them dispatched.
	Sent, Delivered int
	// Faults counts what was broken, by the fault's name.
	Faults map[string]int
	// Violations are broken promises, one line each; none is success.
	Violations []string
	// Coverage counts the frames that were handled, by state, tag and fault.
	Coverage Coverage
	// Costs are what the faults have cost, in connections, replays and so on (E1).
	Costs []Cost
	// AuthSteps counts the methods of authentication that ran, in systems that have one
	// other than NONE.
	AuthSteps int
	// Decompressed counts the frames that came compressed to the messengers there were at the end.
	Decompressed uint64
	// Virtual is how much virtual time the run took.
	Virtual time.Duration
	// Hash is that of the trace, equal for equal runs.
	Hash uint64
}

// NumFaults is the number of faults of all kinds.
func (r *SwarmResult) NumFaults() (n int) {
	for _, k := range r.Faults {
		n += k
	}
	return n
}

// RunSwarm makes a random system from a seed, has it send messages while the
// network and the nodes are broken in all kinds of ways, heals everything, and
// checks every promise of the messenger. The same seed and configuration give the
// same run. Different seeds may run on different goroutines.
func RunSwarm(seed uint64, cfg SwarmConfig) SwarmResult {
	if cfg.Messages == 0 {
		cfg.Messages = 200
	}
	if cfg.Faults == 0 {
		cfg.Faults = 20
	}
	r := SwarmResult{Seed: seed, Faults: map[string]int{}, Coverage: Coverage{}}
	var h *History
	err := Try(func(tb TB) {
		s := newSwarm(tb, seed, &cfg, &r)
		h = s.History
		h.reuse()
		defer func() { // before the shutdown, whose end goroutines wait for
			r.Virtual, r.Hash = s.Net.Now(), s.Net.Hash()
			r.Sent, r.Delivered = s.Tracked()
		}()
		s.run()
		for _, n := range s.Nodes {
			if n.Messenger != nil {
				r.Decompressed += n.Stats().Decompressed
			}
		}
	})
	if err == nil { // otherwise something may have been left that still records
		h.giveBack()
	}
	var f *Failure
	if errors.As(err, &f) {
		r.Violations = append(r.Violations, f.Lines...)
	}
	return r
}

// bannerLen is where the part of a stream begins that checksums protect.
const bannerLen = 26

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
