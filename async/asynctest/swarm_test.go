package asynctest_test

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/stretchr/testify/require"
)

var (
	swarmSeeds = flag.Int("swarm", 60, "how many seeds TestSwarm runs")
	swarmFirst = flag.Uint64("swarm-first", 1, "the first seed; 0: a random one")
)

// coverageSeeds is from how many seeds on TestSwarm wants everything covered.
const coverageSeeds = 2000

// kindsOfFaults are all that a swarm makes.
var kindsOfFaults = []string{
	"clock", "crash", "crossing", "cut", "cut a node", "cut a packet", "cut at a tag", "flip", "flip a whole message",
	"half made", "half made and held", "half open", "hold a tag", "isolate", "keepalive", "kill", "kill connection",
	"late", "late connection", "mark down", "one way", "orphan", "panic", "partition", "race", "refuse", "reset",
	"restart", "stall connection", "stuck", "uneven",
}

// TestSwarm runs small random systems: nodes, topology, policies, sizes, priorities,
// links and faults come from the seed. SWARM_SEED repeats a single one, SWARM_LOG
// shows the messengers' log. With many seeds, each state and tag that can meet must
// have met, and each kind of fault must have happened.
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
		require.NoError(t, err)
		first, n = one, 1
	}
	var cfg asynctest.SwarmConfig
	if os.Getenv("SWARM_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if n >= coverageSeeds && os.Getenv("GOGC") == "" {
		// Small systems, one after the other: a fifth of the time would be the collector's.
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	began := time.Now()
	sum := asynctest.RunCampaign(first, n, cfg, func(r *asynctest.SwarmResult) bool {
		if r.Sent < 200 || r.NumFaults() < 20 {
			t.Errorf("seed %d: only %d messages and %d faults", r.Seed, r.Sent, r.NumFaults())
		}
		return len(r.Violations) == 0
	})
	for _, r := range sum.Failed {
		t.Fatalf("%s\n%s\nrepeat with: SWARM_SEED=%d go test ./async/asynctest -run 'TestSwarm$'",
			r.System, strings.Join(r.Violations, "\n"), r.Seed)
	}
	var faults []string
	for _, what := range slices.Sorted(maps.Keys(sum.Faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", what, sum.Faults[what]))
	}
	for i, c := range sum.Costs {
		t.Logf("%3.0f %% of the bound, seed %d: %v", 100*c.Share(), sum.Dearest[i], c)
	}
	t.Logf("%d seeds from %d in %v: %d messages, %d of them delivered; %d (state, tag, fault) triples\nfaults: %s\n%v",
		sum.Seeds, first, time.Since(began).Round(time.Millisecond), sum.Messages, sum.Delivered, len(sum.Coverage),
		strings.Join(faults, ", "), sum.Coverage)
	if n >= coverageSeeds {
		require.Empty(t, sum.Coverage.Missed(), "these pairs of state and tag were never hit")
		require.Subset(t, slices.Collect(maps.Keys(sum.Faults)), kindsOfFaults)
	}
}

// TestSwarmCompressed: what is sent is compressed, between some of the nodes, while everything
// breaks: nothing is lost, and no throttle is left with what nobody holds.
func TestSwarmCompressed(t *testing.T) {
	first, n := rand.Uint64()>>1, uint64(25)
	if testing.Short() {
		n = 8
	}
	packed, decompressed := asynctest.SwarmConfig{Compress: true}, uint64(0)
	for seed := first; seed < first+n; seed++ {
		a := asynctest.RunSwarm(seed, packed)
		require.Empty(t, a.Violations, "seed %d: %s", seed, a.System)
		decompressed += a.Decompressed
		if seed < first+3 {
			require.Equal(t, a, asynctest.RunSwarm(seed, packed), "seed %d", seed)
		}
	}
	require.NotZero(t, decompressed, "seeds from %d on", first)
}

// TestSwarmSlowAuth: the authentication's steps run on executors, while connections break.
func TestSwarmSlowAuth(t *testing.T) {
	first, n := rand.Uint64()>>1, uint64(40)
	if testing.Short() {
		n = 10
	}
	slow := asynctest.SwarmConfig{SlowAuth: true}
	for seed := first; seed < first+n; seed++ {
		a := asynctest.RunSwarm(seed, slow)
		require.Empty(t, a.Violations, "seed %d: %s", seed, a.System)
		require.NotZero(t, a.AuthSteps, "seed %d", seed)
		if seed < first+4 {
			require.Equal(t, a, asynctest.RunSwarm(seed, slow), "seed %d", seed)
		}
	}
}

// TestSwarmIsDeterministic: whatever a seed has in it, it has it twice. ASYNCMSGR_LONG tries a thousand.
func TestSwarmIsDeterministic(t *testing.T) {
	first, n := rand.Uint64()>>1, uint64(8)
	if os.Getenv("ASYNCMSGR_LONG") != "" {
		n = 1000
	}
	for seed := first; seed < first+n; seed++ {
		a, b := asynctest.RunSwarm(seed, asynctest.SwarmConfig{}), asynctest.RunSwarm(seed, asynctest.SwarmConfig{})
		require.Equal(t, a, b, "seed %d", seed)
	}
}
