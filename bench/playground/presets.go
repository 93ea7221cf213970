package playground

import (
	"fmt"
	"strings"
)

// Preset is a scenario to begin with.
type Preset struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	About string `json:"about"`
	// Nodes says how many there may be; nil: as many as the text has.
	Nodes *Range `json:"nodes"`
	// Faults and Policy say whether there is a choice.
	Faults bool `json:"faults"`
	Policy bool `json:"policy"`
	// Speed is at what part of real time it is best watched; Latency what links have, in ns.
	Speed   float64 `json:"speed"`
	Latency float64 `json:"latency"`
	// Tour is the number of its stop, from 1 up; 0: it is none.
	Tour int `json:"tour,omitempty"`

	// text has %NODES, %POLICY and %FAULTS where the choices go.
	text string
}

// Range is what a number may be.
type Range struct {
	Min     int `json:"min"`
	Max     int `json:"max"`
	Default int `json:"default"`
}

// PresetOptions are choices; their zero value is what the preset has.
type PresetOptions struct {
	Nodes int
	// Faults a second of virtual time, from 0 to FaultsMax.
	Faults float64
	// Policy is one of Policies.
	Policy string
}

// FaultsMax is the highest PresetOptions.Faults.
const FaultsMax = 100

// Presets are all of them; the first one is what the page begins with.
func Presets() []Preset { return presets }

// PresetText is the text of a preset with these choices.
func PresetText(name string, o PresetOptions) (string, error) {
	for _, p := range presets {
		if p.Name == name {
			return p.fill(o)
		}
	}
	var all []string
	for _, p := range presets {
		all = append(all, p.Name)
	}
	return "", fmt.Errorf("there is no preset %q; there are %s", name, strings.Join(all, ", "))
}

func (p *Preset) fill(o PresetOptions) (string, error) {
	nodes, policy, faults := 0, Policies[0].Name, ""
	if r := p.Nodes; r != nil {
		if nodes = r.Default; o.Nodes != 0 {
			nodes = o.Nodes
		}
		if nodes < r.Min || nodes > r.Max {
			return "", fmt.Errorf("%s has from %d to %d nodes, not %d", p.Name, r.Min, r.Max, nodes)
		}
	}
	if o.Policy != "" && p.Policy {
		known := false
		for _, x := range Policies {
			known = known || x.Name == o.Policy
		}
		if policy = o.Policy; !known {
			return "", fmt.Errorf("there is no policy %q here", policy)
		}
	}
	if !(o.Faults >= 0 && o.Faults <= FaultsMax) {
		return "", fmt.Errorf("%v faults a second are not between 0 and %d", o.Faults, FaultsMax)
	}
	if o.Faults > 0 && p.Faults {
		faults = fmt.Sprintf("faults %.3f/s kinds=cut,stall\n", max(o.Faults, 0.001))
	}
	choices := strings.NewReplacer("%NODES", fmt.Sprint(nodes), "%POLICY", policy, "%FAULTS\n", faults)
	return choices.Replace(p.text), nil
}

// Named is a name and what it means.
type Named struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// Policies are those that all nodes of a preset can have for each other.
var Policies = []Named{
	{"lossless_peer", "what was sent arrives once, in order, whatever happens to the network"},
	{"lossless_peer_reuse", "the same, and a session is taken up again by the next life of a process"},
	{"lossy_peer", "a fault ends the session, and with it what was under way"},
}

var presets = []Preset{
	{
		Name: "ring", Title: "Ring", Nodes: &Range{2, 50, 8}, Faults: true, Policy: true, Speed: 0.1, Latency: 50e6,
		About: "Each node sends to the next one. Cut a line, and see what the two nodes do about it.",
		text: `# Each node sends to the next one.
nodes %NODES policy=%POLICY
links latency=40ms spread=20ms
traffic ring every=250ms size=300
%FAULTS
run 60s
`,
	},
	{
		Name: "gossip", Title: "Gossip", Nodes: &Range{2, 50, 50}, Faults: true, Policy: true,
		Speed: 0.1, Latency: 50e6,
		About: "Each node talks to four others, always the same ones. Part the network in two, and heal it.",
		text: `# Each node talks to four others, always the same ones.
nodes %NODES policy=%POLICY
links latency=40ms spread=20ms
traffic gossip every=200ms peers=4 size=300
%FAULTS
run 60s
`,
	},
	{
		Name: "priorities", Title: "Priorities", Faults: true, Speed: 0.1, Latency: 40e6,
		About: "Bulk fills a slow link from a to b. What is urgent overtakes what waits, and comes in time.",
		text: `# Bulk of priority 63 fills a slow link. A message of priority 196 now and then does not
# wait behind it.
node a
node b
node c
link a b latency=40ms bandwidth=200000
link b c latency=40ms
link a c latency=40ms
traffic a b every=50ms size=12000 prio=63
traffic a b every=400ms size=200 prio=196
traffic b c every=300ms size=300
%FAULTS
run 60s
`,
	},
	{
		Name: "star", Title: "One server", Nodes: &Range{3, 50, 12}, Faults: true, Policy: true,
		Speed: 0.1, Latency: 50e6,
		About: "All send to the first node, which takes its time and holds them back with its throttle.",
		text: `# All send to n1. It takes 30 ms for each message of n2, and messages of 4000 bytes together.
nodes %NODES policy=%POLICY throttle=4000
links latency=40ms spread=20ms
busy n1 n2 30ms
traffic star every=200ms size=500
%FAULTS
run 60s
`,
	},
	{
		Name: "violation", Title: "A promise that was not made", Speed: 0.1, Latency: 40e6,
		About: "A lossy session is cut, and somebody expects that nothing was lost. The run stops where it is " +
			"found out, with what passed on the network before.",
		text: `# Lossy sessions lose what is under way when they are cut. Who expects otherwise made a mistake,
# and this is how a mistake looks like: the last line fails. With lossless_peer it holds.
nodes 2 policy=lossy_peer
links latency=40ms
traffic n1 n2 every=20ms size=500 count=50
at 700ms
cut n1 n2
at 3s
expect delivered n1 n2 50
`,
	},
	{
		Name: "tour-lossless", Title: "Lossless sessions", Tour: 1, Speed: 0.1, Latency: 60e6,
		About: "Cut the connection. The session goes on over the next one, and nothing is lost.",
		text: `# A session outlives its connections.
node a policy=lossless_peer
node b policy=lossless_peer
links latency=60ms
traffic a b every=100ms size=400
run 60s
`,
	},
	{
		Name: "tour-replay", Title: "Replay", Tour: 2, Speed: 0.1, Latency: 60e6,
		About: "What was sent is kept until it is acknowledged. After a cut it is sent again, from the first " +
			"that is missing.",
		text: `# What is not acknowledged is kept, and sent again.
node a policy=lossless_peer
node b policy=lossless_peer
links latency=60ms
traffic a b every=40ms size=400
run 60s
`,
	},
	{
		Name: "tour-race", Title: "Races", Tour: 3, Speed: 0.05, Latency: 80e6,
		About: "Both call each other at the same moment. One of the two connections wins, by a rule both know.",
		text: `# Two that call each other at the same moment.
node a policy=lossless_peer
node b policy=lossless_peer
links latency=80ms spread=20ms
connect a b
connect b a
traffic a b every=300ms size=300
traffic b a every=300ms size=300
run 60s
`,
	},
	{
		Name: "tour-priority", Title: "Priorities", Tour: 4, Speed: 0.1, Latency: 50e6,
		About: "Bulk waits for the slow link. What is urgent goes first.",
		text: `# The link takes 300 kB a second, which is less than what is sent.
node a policy=lossless_peer
node b policy=lossless_peer
links latency=50ms bandwidth=300000
traffic a b every=50ms size=20000 prio=63
run 60s
`,
	},
	{
		Name: "tour-pressure", Title: "Back-pressure", Tour: 5, Speed: 0.1, Latency: 50e6,
		About: "A node that is stuck takes as much as its throttle allows. Then its peers have to wait, and only " +
			"they.",
		text: `# b takes messages of 20000 bytes together. When its dispatcher is stuck, a has to wait.
node a policy=lossless_peer
node b policy=lossless_peer throttle=20000
node c policy=lossless_peer
links latency=50ms
traffic a b every=20ms size=1000
traffic c a every=150ms size=300
traffic a c every=150ms size=300
run 60s
`,
	},
	{
		Name: "tour-reset", Title: "Resets", Tour: 6, Speed: 0.1, Latency: 50e6,
		About: "A process that is restarted knows nothing of its sessions. Its peers are told that the session " +
			"was lost.",
		text: `# A process that comes back knows nothing of its sessions, and says so.
node a policy=lossless_peer_reuse
node b policy=lossless_peer_reuse nonce=same
links latency=50ms
traffic a b every=200ms size=300
traffic b a every=200ms size=300
run 60s
`,
	},
}
