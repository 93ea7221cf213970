package simulate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// closer closes done when enough of a trace has been written to it.
type closer struct {
	done chan struct{}
	left int
}

func (c *closer) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left <= 0 && c.left+len(p) > 0 {
		close(c.done)
	}
	return len(p), nil
}

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "scenario.txt")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const textScenario = "node a\nnode b\nsend a b 300 size=10000\nrun 5s\nsend b a 300\nrun 100s\n" +
	"expect delivered a b 300\nexpect delivered b a 300\n"

// In this one the step that is interrupted fails.
const untilScenario = "node a\nnode b\nsend a b 300 size=10000\nuntil delivered a b 300\ncheck\n"

// A run that is interrupted has what came until then, and its end is not judged.
func TestDone(t *testing.T) {
	for _, cfg := range []Config{
		{Scenario: "gossip", Nodes: 10, Seed: 1}, {Scenario: "storm", Nodes: 10, Seed: 1},
		{Scenario: write(t, textScenario), Seed: 1}, {Scenario: write(t, untilScenario), Seed: 1},
	} {
		never := cfg
		never.Done = make(chan struct{})
		whole, err := Run(cfg)
		require.NoError(t, err)
		require.False(t, whole.Interrupted)
		same, err := Run(never)
		require.NoError(t, err)
		require.Equal(t, whole.Hash, same.Hash, "to look whether it is to end changes nothing")
		require.False(t, same.Interrupted)

		c := &closer{done: make(chan struct{}), left: 50_000}
		cfg.Trace, cfg.Done = c, c.done
		r, err := Run(cfg)
		require.NoError(t, err)
		require.True(t, r.Interrupted, "%+v", r)
		require.False(t, r.Early)
		require.Zero(t, r.Violations, "%v", r.Violated)
		require.Nil(t, r.Broken)
		require.Positive(t, r.Virtual)
		require.Less(t, r.Virtual, whole.Virtual)
		require.Positive(t, r.Sent)
		require.Less(t, r.Deliveries, whole.Deliveries)
	}
}

// What went wrong until it was interrupted is told.
func TestDoneWithAViolation(t *testing.T) {
	c := &closer{done: make(chan struct{}), left: 1 << 20}
	cfg := Config{Scenario: "gossip", Nodes: 10, Seed: 1, Trace: c, Done: c.done}
	w := kindOf("gossip").world(cfg)
	w.run(&saboteur{scenario: w.s, w: w,
		onTenth: func(w *world, _ *asynctest.Node, _ *msg.Message) { w.violated("app", "planted") }})
	require.True(t, w.result.Interrupted)
	require.Equal(t, 1, w.result.Violations)
}

func TestBatchDone(t *testing.T) {
	cfg := Config{Scenario: "gossip", Nodes: 4}
	done := make(chan struct{})
	cfg.Done = done
	var got []uint64
	sum, err := Batch(cfg, Seeds{1, 1_000_000}, true, func(r Result) {
		require.False(t, r.Interrupted, "%v", r)
		if got = append(got, r.Seed); len(got) == 3 {
			close(done)
		}
	})
	require.NoError(t, err)
	require.True(t, sum.Interrupted)
	require.Zero(t, sum.Violations, "%v", sum.Violated)
	require.Equal(t, []uint64{1, 2, 3}, got[:3])
	require.Less(t, len(got), 1000)
	require.Positive(t, sum.Deliveries)

	// With nothing done there is no result.
	sum, err = Batch(cfg, Seeds{1, 10}, false, func(Result) { t.Error("a result") })
	require.NoError(t, err)
	require.True(t, sum.Interrupted)
	require.Equal(t, "gossip", sum.Scenario)
}
