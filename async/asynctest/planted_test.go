//go:build planted

package asynctest_test

import (
	"fmt"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/planted"
)

// plantedSeeds bounds how many seeds a bug may survive.
const plantedSeeds = 1500

// TestPlantedBugs switches on one bug after the other, and wants each one found by
// the swarm and the checkers. It says after how many seeds.
func TestPlantedBugs(t *testing.T) {
	defer planted.Plant(planted.None)
	for b := planted.None + 1; b < planted.NumBugs; b++ {
		t.Run(b.String(), func(t *testing.T) {
			planted.Plant(b)
			var by string
			sum := asynctest.RunCampaign(1, plantedSeeds, asynctest.SwarmConfig{}, func(r *asynctest.SwarmResult) bool {
				if len(r.Violations) > 0 {
					by = r.Violations[0]
				}
				return by == ""
			})
			if missed := sum.Coverage.Missed(); by == "" && len(missed) > 0 {
				by = fmt.Sprintf("never reached: %v", missed)
			}
			if by == "" {
				t.Fatalf("survived %d seeds", sum.Seeds)
			}
			t.Logf("%v: found by seed %d: %s", b, sum.Seeds, by)
		})
	}
}
