//go:build linux && (amd64 || arm64 || loong64)

package hostile

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	RunChild()
	os.Exit(m.Run())
}

// TestKinds: every kind attacks, and honest peers get in all the same.
func TestKinds(t *testing.T) {
	var began []string
	rows, err := Run(t.Context(), Config{
		Connections: 20, Duration: 200 * time.Millisecond, Began: func(k Kind) { began = append(began, k.Name) },
	})
	require.NoError(t, err)
	require.Len(t, rows, len(Kinds()))
	for i, r := range rows {
		require.Empty(t, r.Failed, r.Kind)
		require.Equal(t, began[i], r.Kind)
		require.Positive(t, r.Honest, r.Kind)
		require.Zero(t, r.HonestFailed, r.Kind)
		require.Positive(t, r.Descriptors, r.Kind)
		switch r.Kind {
		case "noise", "limits", "more", "replay":
			require.NotEmpty(t, r.Warnings, r.Kind)
		case "silent", "drip":
			require.Empty(t, r.Warnings, r.Kind)
			require.EqualValues(t, 20, r.Open)
		}
	}
}

func TestUnknownKind(t *testing.T) {
	_, err := Run(t.Context(), Config{Kinds: []string{"nice"}, Connections: 1})
	require.ErrorIs(t, err, ErrKind)
}
