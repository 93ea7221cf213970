package session

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryOutputHasAName: and no two the same.
func TestEveryOutputHasAName(t *testing.T) {
	names := map[string]bool{}
	for k := range numOutputs {
		require.NotEmpty(t, k.String(), "output %d", k)
		names[k.String()] = true
	}
	require.Len(t, names, int(numOutputs))
}
