package tlsauth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConstantTime: what is compared here is public. If keys ever are, hmac.Equal and
// crypto/subtle take the same time for all.
func TestConstantTime(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, banned := range []string{"bytes.Equal", "bytes.Compare", "slices.Equal", "reflect.", "strings.Compare"} {
			require.NotContains(t, string(text), banned, "%s: use crypto/subtle or hmac.Equal", name)
		}
	}
}
