package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryKindIsKnown: a kind has a name of its own, and the tests of the chain know it.
func TestEveryKindIsKnown(t *testing.T) {
	names := map[string]bool{}
	for k := range numKinds {
		require.NotEmpty(t, k.String(), "kind %d", k)
		names[k.String()] = true
		require.Contains(t, allKinds, k)
	}
	require.Len(t, names, int(numKinds))
}
