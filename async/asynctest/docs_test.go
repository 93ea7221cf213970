package asynctest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/stretchr/testify/require"
)

// TestPagesNameThePromises: each promise that is judged stands in both tables of them,
// and the pages say how many mutants there are.
func TestPagesNameThePromises(t *testing.T) {
	mutants, err := filepath.Glob("mutants/testdata/*.patch")
	require.NoError(t, err)
	for page, count := range map[string]string{
		"SIMULATION": "has %d mistakes", "PROTOCOL": "", "TESTING": "`make sim`: %d mutants",
	} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		require.NoError(t, err)
		if count != "" {
			require.Contains(t, string(text), fmt.Sprintf(count, len(mutants)), page)
		}
		for _, c := range asynctest.Checkers() {
			if page != "TESTING" {
				row := regexp.MustCompile(`(?m)^\| ([A-Z]\d, )*` + c.Letter + `(, [A-Z]\d)* \|`)
				require.Regexp(t, row, string(text), page)
			}
		}
	}
}

// The page's scenarios hold what they expect.
func TestSimulationPageScenarios(t *testing.T) {
	page, err := os.ReadFile("../../docs/SIMULATION.md")
	require.NoError(t, err)
	blocks := strings.Split(string(page), "\n```\nnode")[1:]
	require.Len(t, blocks, 2)
	for _, b := range blocks {
		text, _, ok := strings.Cut("node"+b, "```")
		require.True(t, ok)
		s, err := asynctest.ParseScenario("SIMULATION.md", []byte(text))
		require.NoError(t, err)
		require.NoError(t, s.Run(nil).Err, text)
	}
}

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
