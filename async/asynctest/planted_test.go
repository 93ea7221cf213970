//go:build planted

package asynctest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/planted"
	"github.com/stretchr/testify/require"
)

// plantedSeeds bounds how many seeds a bug may survive.
const plantedSeeds = 3000

// TestPlantedBugs switches on one bug after the other, and wants each one found: by
// the scenarios of testdata, by the swarm and the checkers, or because a state and
// tag that can meet do not. It says by what, and after how many seeds.
func TestPlantedBugs(t *testing.T) {
	defer planted.Plant(planted.None)
	all := scenarios(t)
	for b := planted.None + 1; b < planted.NumBugs; b++ {
		t.Run(b.String(), func(t *testing.T) {
			planted.Plant(b)
			var found []string
			for _, file := range slices.Sorted(maps.Keys(all)) {
				if r := all[file].Run(nil); r.Err != nil {
					found = append(found, file)
				}
			}
			var by string
			seeds := plantedSeeds
			if len(found) > 0 {
				seeds = 200
			}
			sum := asynctest.RunCampaign(1, seeds, asynctest.SwarmConfig{}, func(r *asynctest.SwarmResult) bool {
				if len(r.Violations) > 0 {
					by, _, _ = strings.Cut(r.Violations[0], "\n")
				}
				return by == ""
			})
			switch missed := sum.Coverage.Missed(); {
			case by != "":
				t.Logf("%v: found by seed %d: %s; by scenarios %v", b, sum.Seeds, by, found)
			case len(missed) > 0 && len(found) == 0:
				t.Logf("%v: found because in %d seeds this was never reached: %v; by scenarios %v", b, sum.Seeds, missed, found)
			case len(found) > 0:
				t.Logf("%v: survived %d seeds; found by scenarios %v", b, sum.Seeds, found)
			default:
				t.Errorf("%v survived %d seeds and all scenarios", b, sum.Seeds)
			}
		})
	}
}

// The same binary finds nothing when nothing is planted.
func TestPlantedNone(t *testing.T) {
	planted.Plant(planted.None)
	for file, s := range scenarios(t) {
		require.NoError(t, s.Run(nil).Err, file)
	}
	sum := asynctest.RunCampaign(1, 200, asynctest.SwarmConfig{}, nil)
	require.Empty(t, sum.Failed, fmt.Sprint(sum.Failed))
}
