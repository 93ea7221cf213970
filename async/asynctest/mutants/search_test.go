package mutants_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/stretchr/testify/require"
)

// foundBy begins what the search says of a mutant that it has found.
const foundBy = "found by "

const (
	// searchSeeds bounds how many seeds a mutant may survive.
	searchSeeds = 3000
	// alsoSeeds are those that are tried though a scenario has found the mutant: to
	// say whether they would have.
	alsoSeeds = 100
)

var swarmSeeds = flag.Int("swarm-seeds", 50, "how many seeds TestSearch tries without -search")

var hunting = flag.Bool("search", false,
	"search for 3000 seeds: of TestMutants, which builds this program with a mutant in it")

// TestSearch finds nothing: no scenario of asynctest/testdata fails, no checker complains
// of a swarm, and each state and tag that can meet does. In the program that TestMutants
// builds it has to find the mutant that is in there.
func TestSearch(t *testing.T) {
	if *hunting {
		if by := search(t, searchSeeds); by != "" {
			t.Fatal(foundBy + by)
		}
		return
	}
	for file, err := range failing(t) {
		t.Errorf("%s: %v", file, err)
	}
	sum := asynctest.RunCampaign(1, *swarmSeeds, asynctest.SwarmConfig{}, nil)
	require.Empty(t, sum.Failed, fmt.Sprint(sum.Failed))
}

// search says what has found a mutant, or nothing.
func search(t *testing.T, seeds int) string {
	var by []string
	for file := range failing(t) {
		by = append(by, strings.TrimSuffix(filepath.Base(file), ".txt"))
	}
	if len(by) > 0 {
		seeds = alsoSeeds
	}
	violation := ""
	sum := asynctest.RunCampaign(1, seeds, asynctest.SwarmConfig{}, func(r *asynctest.SwarmResult) bool {
		if len(r.Violations) > 0 {
			violation, _, _ = strings.Cut(r.Violations[0], "\n")
		}
		return violation == ""
	})
	missed := sum.Coverage.Missed()
	switch {
	case violation != "":
		return fmt.Sprintf("seed %d: %s; by scenarios %v", sum.Seeds, violation, by)
	case len(by) > 0:
		return fmt.Sprintf("scenarios %v, by none of %d seeds", by, sum.Seeds)
	case len(missed) > 0:
		return fmt.Sprintf("what was never reached in %d seeds: %v", sum.Seeds, missed)
	}
	return ""
}

// failing are the scenarios of asynctest/testdata that fail, and how.
func failing(t *testing.T) map[string]error {
	files, err := filepath.Glob("../testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	errs := map[string]error{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		s, err := asynctest.ParseScenario(file, text)
		require.NoError(t, err)
		if r := s.Run(nil); r.Err != nil {
			errs[file] = r.Err
		}
	}
	return errs
}
