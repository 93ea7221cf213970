package asynctest

import (
	"fmt"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

var scenarioPolicies = map[string]func() msg.Policy{
	"lossy_client": msg.LossyClient, "lossless_client": msg.LosslessClient, "lossless_peer": msg.LosslessPeer,
	"lossless_peer_reuse": msg.LosslessPeerReuse, "stateful_server": msg.StatefulServer,
	"stateless_server": msg.StatelessServer, "stateless_registered_server": msg.StatelessRegisteredServer,
	"lossy_peer": msg.LossyPeer,
}

// nodePlan is a node line.
type nodePlan struct {
	name      string
	policy    msg.Policy
	workers   int
	keepalive time.Duration
	throttle  int
	compress  string
	client    bool
	same      bool
}

func parseNode(p *scenarioParser) (func(*scenarioRun) error, error) {
	w, err := p.next("a name")
	if err != nil {
		return nil, err
	}
	plan, err := p.plan()
	if err != nil {
		return nil, err
	}
	return nil, p.addNode(w, plan)
}

// parseNodes is parseNode of several, which have numbers from 1 up.
func parseNodes(p *scenarioParser) (func(*scenarioRun) error, error) {
	w, err := p.next("how many")
	if err != nil {
		return nil, err
	}
	n, err := w.number(1, scenarioNodesMax)
	if err != nil {
		return nil, err
	}
	prefix := word{"n", w.pos}
	if len(p.words) > 0 && strings.HasPrefix(p.words[0].text, "prefix=") {
		v, _ := p.next("")
		prefix = word{v.text[len("prefix="):], v.pos}
	}
	plan, err := p.plan()
	for i := 1; i <= n && err == nil; i++ {
		err = p.addNode(word{fmt.Sprint(prefix.text, i), prefix.pos}, plan)
	}
	return nil, err
}

func (p *scenarioParser) addNode(w word, plan nodePlan) error {
	switch _, again := p.nodes[w.text]; {
	case again:
		return w.errorf("there is a node %q already", w.text)
	case strings.ContainsAny(w.text, "|="):
		return w.errorf("%q is no name", w.text)
	case p.begun:
		return p.verb.errorf("nodes come first")
	case len(p.nodes) == scenarioNodesMax:
		return w.errorf("there are %d nodes already, which is the most", scenarioNodesMax)
	}
	plan.name = w.text
	p.nodes[w.text] = len(p.nodes)
	p.s.nodes = append(p.s.nodes, plan)
	return nil
}

// plan reads the options of a node line.
func (p *scenarioParser) plan() (plan nodePlan, err error) {
	plan = nodePlan{policy: msg.LosslessPeer(), workers: 1}
	err = p.options(map[string]func(word) error{
		"policy": func(v word) error {
			f := scenarioPolicies[v.text]
			if f == nil {
				return v.errorf("unknown policy %q", v.text)
			}
			plan.policy = f()
			plan.client = strings.HasSuffix(v.text, "_client")
			return nil
		},
		"workers":   intOption(&plan.workers, 1, 64),
		"keepalive": durationOption(&plan.keepalive),
		"throttle":  intOption(&plan.throttle, 1, 1<<30),
		"compress": func(v word) error {
			if _, err := compress.ByName(v.text); err != nil {
				return v.errorf("%v", err)
			}
			plan.compress = v.text
			return nil
		},
		"nonce": func(v word) error {
			if plan.same = v.text == "same"; !plan.same && v.text != "new" {
				return v.errorf("nonce: same or new")
			}
			return nil
		},
	})
	return plan, err
}

// linksPlan is a links line.
type linksPlan struct {
	given           bool
	latency, spread time.Duration
	bandwidth       int
}

func parseLinks(p *scenarioParser) (func(*scenarioRun) error, error) {
	l := &p.s.links
	switch {
	case l.given:
		return nil, p.verb.errorf("there are links already")
	case p.begun:
		return nil, p.verb.errorf("links come first, among the nodes")
	}
	*l = linksPlan{given: true, latency: 200 * time.Microsecond}
	return nil, p.options(map[string]func(word) error{"latency": durationOption(&l.latency),
		"spread": durationOption(&l.spread), "bandwidth": intOption(&l.bandwidth, 1, bandwidthMax)})
}

// config is what the network is told; the zero value without a links line.
func (l *linksPlan) config() simnet.LinkConfig {
	if !l.given {
		return simnet.LinkConfig{}
	}
	return simnet.LinkConfig{Latency: simnet.Uniform(l.latency, l.latency+l.spread), Bandwidth: float64(l.bandwidth)}
}
