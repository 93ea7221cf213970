package asynctest_test

import (
	"flag"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
)

var (
	swarmSeeds = flag.Int("swarm", 60, "how many seeds TestSwarm runs")
	swarmFirst = flag.Uint64("swarm-first", 0, "the first seed; 0: a random one")
)

// TestSwarm runs small random systems: nodes, policies, sizes, priorities, links
// and faults come from the seed. SWARM_SEED repeats a
// single one, SWARM_LOG shows the messengers' log.
func TestSwarm(t *testing.T) {
	first, n := *swarmFirst, *swarmSeeds
	if testing.Short() {
		n /= 4
	}
	if first == 0 {
		first = rand.Uint64() >> 1
	}
	if s := os.Getenv("SWARM_SEED"); s != "" {
		one, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, n = one, 1
	}
	var cfg asynctest.SwarmConfig
	if os.Getenv("SWARM_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for i := range n {
		seed := first + uint64(i)
		if r := asynctest.RunSwarm(seed, cfg); len(r.Violations) > 0 {
			t.Fatalf("%s\n%s\nrepeat with SWARM_SEED=%d", r.System, strings.Join(r.Violations, "\n"), seed)
		}
	}
}

// Whatever a seed has in it, it has it twice.
func TestSwarmIsDeterministic(t *testing.T) {
	first := rand.Uint64() >> 1
	for seed := first; seed < first+4; seed++ {
		a, b := asynctest.RunSwarm(seed, asynctest.SwarmConfig{}), asynctest.RunSwarm(seed, asynctest.SwarmConfig{})
		if a.Hash != b.Hash {
			t.Fatalf("seed %d gives two traces", seed)
		}
	}
}
