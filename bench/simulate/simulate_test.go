package simulate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScenarios(t *testing.T) {
	for _, name := range Scenarios() {
		t.Run(name, func(t *testing.T) {
			nodes := 20
			if name == swarmName {
				nodes = 0 // the seed chooses
			}
			r, err := Run(Config{Scenario: name, Nodes: nodes, Seed: 1})
			require.NoError(t, err)
			if r.Stuck != nil {
				t.Log(r.Stuck.Error())
			}
			require.Empty(t, r.Violated)
			require.Zero(t, r.Violations)
			require.NotZero(t, r.Deliveries)
		})
	}
}
