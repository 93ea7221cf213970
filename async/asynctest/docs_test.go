package asynctest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page's code is that of the examples, which are compiled and run.
func TestSimulationPageShowsTheExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/SIMULATION.md")
	require.NoError(t, err)
	var source strings.Builder
	for _, name := range []string{
		"example_test.go", "example_gossip_test.go", "../../eventloop/simnet/example_test.go",
	} {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		source.Write(b)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		code, _, ok := strings.Cut(b, "```")
		require.True(t, ok)
		var indented strings.Builder
		for line := range strings.Lines(code) {
			if line != "\n" {
				indented.WriteByte('\t')
			}
			indented.WriteString(line)
		}
		require.Contains(t, source.String(), indented.String(), "docs/SIMULATION.md has other code than the examples")
	}
}
