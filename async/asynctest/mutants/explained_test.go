package mutants_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readExplained reads testdata/explained.txt: the mistakes that no test has to find, each
// with the reason. A line is the name of a mistake, and the lines after it that begin with
// blanks say why. # begins a remark.
func readExplained(t *testing.T) map[string]string {
	b, err := os.ReadFile("testdata/explained.txt")
	require.NoError(t, err)
	why := map[string]string{}
	id := ""
	for line := range strings.Lines(string(b)) {
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			require.NotEmpty(t, id, "%q explains nothing", text)
			why[id] = strings.TrimSpace(why[id] + " " + text)
		default:
			require.NotContains(t, why, text, "it is there twice")
			id, why[text] = text, ""
		}
	}
	for id, reason := range why {
		require.NotEmpty(t, reason, "%s is not explained", id)
	}
	return why
}

// TestExplained: what is explained is still in the code; where that has changed, the
// reason may have too.
func TestExplained(t *testing.T) {
	there := map[string]bool{}
	for _, pkg := range mutated {
		ps, err := points(pkg)
		require.NoError(t, err)
		require.Greater(t, len(ps), 100, pkg)
		for _, p := range ps {
			require.False(t, there[p.id], "two are %s", p.id)
			there[p.id] = true
		}
	}
	for id := range readExplained(t) {
		require.True(t, there[id], "testdata/explained.txt: %s has changed: look again whether a test finds it", id)
	}
}
