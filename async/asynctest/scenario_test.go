package asynctest_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write down what the scenarios of testdata do, instead of comparing")

func scenarios(t *testing.T) map[string]*asynctest.Scenario {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]*asynctest.Scenario{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		s, err := asynctest.ParseScenario(file, text)
		require.NoError(t, err)
		all[file] = s
	}
	return all
}

// TestScenarios runs testdata/*.txt; what happens is in the .golden files beside
// them, which -rewrite writes.
func TestScenarios(t *testing.T) {
	for file, s := range scenarios(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var wire []string
			var c *asynctest.Cluster
			r := s.Run(func(cluster *asynctest.Cluster) { c = cluster })
			require.NoError(t, r.Err, strings.Join(r.Log, "\n"))
			for _, w := range c.History.Wire {
				if w.Tag >= frame.TagClientIdent && w.Tag <= frame.TagMessage {
					// Without the time and acknowledgements, which depend on how things are batched.
					w.At, w.Ack = 0, 0
					wire = append(wire, strings.TrimSpace(strings.TrimPrefix(w.String(), "0s")))
				}
			}
			got := strings.Join(r.Log, "\n") + "\n\n" + strings.Join(wire, "\n") + "\n"
			golden := strings.TrimSuffix(file, ".txt") + ".golden"
			if *rewrite {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err, "-rewrite writes it")
			require.Equal(t, string(want), got, "-rewrite writes what happens")
		})
	}
}

func TestScenarioErrors(t *testing.T) {
	for text, want := range map[string]string{
		"node a\nfly a":                     `x:2:1: unknown step "fly"`,
		"node a\nsend a b":                  `x:2:8: there is no node "b"`,
		"node a\n  send a":                  `x:2:9: send: a node is missing`,
		"node a policy=wild":                `x:1:15: unknown policy "wild"`,
		"node a\nnode a":                    `x:2:6: there is a node "a" already`,
		"node a\nrun 5":                     `x:2:5: "5" is no duration such as 5s, at most 1000h`,
		"node a\nnode b\nsend a b 2 size=x": `x:3:17: "x" is no number from 0 to 67108864`,
		"node a\nnode b\nsend a b 2 kind=x": `x:3:12: unknown option "kind=x"`,
		"node a\nnode b\npartition a b":     `x:3:14: partition: | and another group are missing`,
		"node a\nnode b\npartition | a":     `x:3:14: partition: a group has no nodes`,
		"node a\nnode b\ncut a b 137":       `x:3:9: cut: at is missing`,
		"node a\nexpect love a":             `x:2:8: unknown expectation "love"`,
		"node a\nheal now":                  `x:2:6: unexpected "now"`,
		"node a\ncheck mate":                `x:2:7: unknown check "mate"`,
		"node a\nrun 1s\nnode b":            `x:3:1: nodes come first`,
		"node a\nseed 3":                    `x:2:6: seed: a number, before everything else`,
		"node a\nnode b\nhold a b HELO":     `x:3:10: unknown frame "HELO"`,
		"node a\nclock a drift=-1s":         `x:2:15: "-1s" is no duration from -900ms to 9s`,
		"node a\nclock a skew=1y":           `x:2:14: "1y" is no duration from -876000h0m0s to 876000h0m0s`,
		"node \xff":                         `x:1:6: unexpected byte 0xff`,
	} {
		_, err := asynctest.ParseScenario("x", []byte(text))
		var at *asynctest.ScenarioError
		require.ErrorAs(t, err, &at, text)
		require.Equal(t, want, err.Error())
	}
}

func TestScenarioFailures(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "x: a scenario needs nodes",
		"node a\nnode b\nexpect accept b": "x:3:1: expect accept b: it is 0 (seed 1)",
		"node a\nnode b\nuntil accept b":  "x:3:1: until accept b: it is 0",
		"node a\nkill a\nkill a":          "x:3:1: kill a: it is down already (seed 1)",
		"seed 7\nnode a\nrestart a":       "x:3:1: restart a: it runs (seed 7)",
	} {
		s, err := asynctest.ParseScenario("x", []byte(text))
		require.NoError(t, err)
		err = s.Run(nil).Err
		require.Error(t, err, text)
		require.True(t, strings.HasPrefix(err.Error(), want), "%s: %v", text, err)
		var failure *asynctest.Failure
		var at *asynctest.ScenarioError
		require.True(t, errors.As(err, &failure) || errors.As(err, &at))
	}
}
