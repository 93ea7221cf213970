package raftsim

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// ants keeps two goroutines for its default pool from the import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// long says whether the long searches are wanted.
func long() bool { return os.Getenv("ASYNCMSGR_LONG") != "" }

// TestSafety: what Raft promises holds for all seeds, in whatever is broken.
func TestSafety(t *testing.T) {
	seeds := 4
	switch {
	case long():
		seeds = 200
	case testing.Short():
		seeds = 1
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := Run(t, Options{Seed: seed})
			t.Logf("%+v", r)
			require.Empty(t, r.Wrong)
			require.Positive(t, r.Acked)
		})
	}
}

// TestAnHour: an hour of virtual time.
func TestAnHour(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute of CPU")
	}
	r := Run(t, Options{Seed: 1000, For: time.Hour})
	t.Logf("%+v", r)
	require.Empty(t, r.Wrong)
	require.Greater(t, r.Virtual, time.Hour)
	require.Greater(t, r.Terms, 20)
	require.Positive(t, r.Snapshots)
}

// TestMistakesAreFound: with a mistake, the checks complain.
func TestMistakesAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		opt  Options
		want []string // one of them
	}{
		"a reply is lost": {Options{Mistake: ReplyLost}, []string{"waits for"}},
		"an append is acknowledged early": {Options{Mistake: AppendEarly}, []string{"logs differ", "without",
			"that nobody had", "was acknowledged at index"}},
	} {
		t.Run(name, func(t *testing.T) {
			const seeds = 10
			for seed := range uint64(seeds) {
				c.opt.Seed = seed
				r := Run(t, c.opt)
				for _, wrong := range r.Wrong {
					t.Logf("seed %d: %s", seed, wrong)
					for _, want := range c.want {
						if strings.Contains(wrong, want) {
							return
						}
					}
				}
			}
			t.Fatalf("not found in %d seeds", seeds)
		})
	}
}
