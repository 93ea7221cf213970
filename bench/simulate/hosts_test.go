package simulate

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

func TestCheckChart(t *testing.T) {
	file := write(t, textScenario)
	many := Config{Scenario: "gossip", Nodes: 12, Chart: io.Discard}
	for _, c := range []struct {
		cfg   Config
		hosts []string
		says  string // "": nothing
	}{
		{many, nil, ""},
		{many, []string{"osd.0", "osd.11"}, ""},
		{many, []string{"osd.0", "osd.12"},
			`"osd.12": there is no such host; there are osd.0, osd.1, osd.2, osd.3, ` +
				`osd.4, osd.5, osd.6, osd.7 and 4 more, up to osd.11`},
		{many, []string{"osd.1", "osd.1"}, "named twice"},
		{many, []string{"osd.1"}, "name two or more of osd.0"},
		{Config{Scenario: "fan-in", Nodes: 3}, []string{"osd.0", "client.2"}, ""},
		{Config{Scenario: "fan-in", Nodes: 3}, []string{"osd.0", "osd.1"}, "there are osd.0, client.1, client.2"},
		{Config{Scenario: "store", Nodes: 4}, []string{"osd.0", "client.3"}, ""},
		{Config{Scenario: "storm", Nodes: 2}, []string{"osd.0", "nobody"}, "there are "},
		{Config{Scenario: file}, []string{"osd.1", "osd.0"}, ""},
		{Config{Scenario: file}, []string{"a", "b"}, `"a": there is no such host; there are osd.0 (a), osd.1 (b)`},
		{Config{Scenario: "swarm", Chart: io.Discard}, nil, "no chart of a swarm"},
		{Config{Scenario: write(t, "# nothing\n")}, nil, "has no nodes; a scenario begins with lines such as node a"},
		{Config{Scenario: t.TempDir()}, nil, "is a directory; give a file with a scenario, or one of gossip, "},
	} {
		c.cfg.ChartWindow = simnet.ChartConfig{Hosts: c.hosts}
		err := Check(c.cfg)
		if c.says == "" {
			require.NoError(t, err, c.hosts)
			continue
		}
		require.ErrorIs(t, err, ErrConfig)
		require.ErrorContains(t, err, c.says)
	}
}

// What Check takes for hosts are those that there will be.
func TestHostsAreThere(t *testing.T) {
	for _, cfg := range []Config{
		{Scenario: "gossip", Nodes: 5, Until: 5e9}, {Scenario: "store", Nodes: 5, Until: 5e9},
		{Scenario: "fan-in", Nodes: 5, Until: 5e9}, {Scenario: "storm", Nodes: 5, Until: 5e9},
		{Scenario: write(t, textScenario)},
	} {
		all, err := hosts(&cfg)
		require.NoError(t, err)
		var names []string
		for _, h := range all {
			names = append(names, h.name)
		}
		var trace bytes.Buffer
		cfg.Trace = &trace
		_, err = Run(cfg)
		require.NoError(t, err)
		var seen []string
		require.NoError(t, simnet.ReadTrace(&trace, func(e simnet.Event) bool {
			for _, h := range []string{e.From, e.To} {
				if h != "" && !slices.Contains(seen, h) {
					seen = append(seen, h)
				}
			}
			return true
		}))
		require.ElementsMatch(t, names, seen, cfg.Scenario)
	}
}
