package asynctest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// traffic is a traffic line that goes on: messages at regular times.
type traffic struct {
	every time.Duration
	size  int
	prio  uint8
	left  int                   // messages; -1: no end
	pair  func() (from, to int) // of the next message
	ended bool
}

// trafficMax is how many messages all traffic lines of a run may send together: a history of
// them takes about a gigabyte.
const trafficMax = 1_000_000

// trafficMin is the least time between two messages of a line.
const trafficMin = time.Microsecond

// peersMax bounds what peers= says.
const peersMax = 1000

func (r *scenarioRun) flow(t traffic) {
	t.every = max(t.every, trafficMin)
	r.traffic = append(r.traffic, &t)
	r.tick(&t)
}

// tick sends one message, and has the next one sent.
func (r *scenarioRun) tick(t *traffic) {
	if t.ended || t.left == 0 || r.sent+r.unsent >= trafficMax {
		return
	}
	from, to := t.pair()
	if n := r.c.Nodes[from]; !n.Down && !n.Host.Paused() {
		if r.send(from, to, 1, t.size, t.prio) == nil {
			r.sent++
		} else {
			r.unsent++ // a queue is full, or a server has no connection with a client
		}
	}
	if t.left > 0 {
		t.left--
	}
	r.c.Net.After(t.every, func() { r.tick(t) })
}

func (r *scenarioRun) stopTraffic() {
	for _, t := range r.traffic {
		t.ended = true
	}
	r.traffic = nil
}

// random is the generator of what a line draws: of the seed, a name and a number.
func (r *scenarioRun) random(name string, no uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write(fmt.Append(nil, name, no))
	return rand.New(rand.NewPCG(r.s.Seed, h.Sum64()))
}

// crowd makes what chooses the pairs of a kind of traffic between n nodes.
type crowd func(n, peers int, rnd *rand.Rand) func() (from, to int)

var crowds = map[string]crowd{
	"ring": func(n, _ int, _ *rand.Rand) func() (int, int) {
		turn := turns(n)
		return func() (int, int) {
			i := turn()
			return i, (i + 1) % n
		}
	},
	"star": func(n, _ int, _ *rand.Rand) func() (int, int) {
		turn := turns(n - 1)
		return func() (int, int) { return turn() + 1, 0 }
	},
	"random": func(n, _ int, rnd *rand.Rand) func() (int, int) {
		turn := turns(n)
		return func() (int, int) {
			i := turn()
			return i, (i + 1 + rnd.IntN(n-1)) % n
		}
	},
	"gossip": func(n, peers int, rnd *rand.Rand) func() (int, int) {
		known := make([][]int, n)
		for i := range known {
			all := rnd.Perm(n - 1)
			for _, k := range all[:min(peers, n-1)] {
				known[i] = append(known[i], (i+1+k)%n)
			}
		}
		turn := turns(n)
		return func() (int, int) {
			i := turn()
			return i, known[i][rnd.IntN(len(known[i]))]
		}
	},
}

// turns counts from 0 to n-1, again and again.
func turns(n int) func() int {
	i := -1
	return func() int {
		i = (i + 1) % n
		return i
	}
}

func parseTraffic(p *scenarioParser) (func(*scenarioRun) error, error) {
	w, err := p.next("two nodes, ring, star, random, gossip or stop")
	if err != nil {
		return nil, err
	}
	from, isNode := p.nodes[w.text]
	to := 0
	pick, many := crowds[w.text]
	switch {
	case isNode:
		if to, err = p.node(); err != nil {
			return nil, err
		}
	case many && len(p.nodes) < 2:
		return nil, w.errorf("traffic: there is one node only")
	case many:
	case w.text == "stop":
		return func(r *scenarioRun) error { r.stopTraffic(); return nil }, nil
	default:
		return nil, w.errorf("there is no node %q; traffic is between two nodes, or ring, star, random, gossip, stop",
			w.text)
	}
	t := traffic{size: 100, left: -1}
	prio, peers := 0, 4
	err = p.options(map[string]func(word) error{
		"every": func(v word) (err error) {
			if t.every, err = v.duration(); err == nil && t.every < trafficMin {
				err = v.errorf("every: %v at least", trafficMin)
			}
			return err
		},
		"size": intOption(&t.size, 0, 64<<20), "prio": intOption(&prio, 1, 255),
		"count": intOption(&t.left, 0, trafficMax), "peers": intOption(&peers, 1, peersMax),
	})
	if err == nil && t.every == 0 {
		err = p.end.errorf("traffic: every= is missing")
	}
	t.prio = uint8(prio)
	return func(r *scenarioRun) error {
		if r.sent+r.unsent >= trafficMax {
			return errors.New("a run has a million messages of traffic at most")
		}
		t := t
		r.flows++
		t.pair = func() (int, int) { return from, to }
		if !isNode {
			n := len(r.s.nodes)
			t.pair = pick(n, peers, r.random("traffic ", r.flows))
			t.every /= time.Duration(n)
		}
		r.flow(t)
		return nil
	}, err
}
