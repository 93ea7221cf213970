package session

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// peers is two nodes that call each other at the same moment. i and j order
// their addresses.
func peers(t failer, policy msg.Policy, i, j int) (w *world, a, b *simNode) {
	w = &world{t: t}
	a, b = w.node(i, policy), w.node(j, policy)
	return w, a, b
}

// raceRest brings a world to rest and checks that one session survived in which
// nothing was lost or duplicated. dials bounds the attempts.
func raceRest(dials int) func(w *world) {
	return func(w *world) {
		w.rule = nil
		a, b := w.nodes[0], w.nodes[1]
		w.agree()
		if fmt.Sprint(a.got) != "[21 22]" || fmt.Sprint(b.got) != "[11 12]" {
			w.failf("delivered %v and %v", a.got, b.got)
		}
		for _, n := range w.nodes {
			if len(n.open()) != 1 {
				w.failf("%s has %d connections", n.name, len(n.open()))
			}
			c := n.open()[0]
			if c.id != 1 || c != n.to(w.other(n)) {
				w.failf("%s: the connection object changed", c)
			}
			if !c.isReady() && c.s.State() != StateStandby {
				w.failf("%s rests in %s", c, c.s.State())
			}
			for _, x := range n.conns {
				if x.remote+x.resets > 0 && x.s.Announced() {
					w.failf("%s: reset: %v", x, x.events)
				}
			}
			for id, err := range c.done {
				if err != nil {
					w.failf("%s: message %d finished with %v", c, id, err)
				}
			}
			if len(c.done) != 2 || c.s.Unacked()+c.s.Pending() > 0 {
				w.failf("%s: %d of 2 messages finished", c, len(c.done))
			}
		}
		if dials == 0 {
			// Nothing broke: the smaller address has won.
			x := w.wires[0]
			if winner := x.ends[0].conn.n; winner.addr.Compare(w.other(winner).addr) > 0 {
				w.failf("the connection of %s survived", winner.name)
			}
			return
		}
		if w.dialed > dials {
			w.failf("%d dials, at most %d", w.dialed, dials)
		}
	}
}

func (w *world) other(n *simNode) *simNode {
	if n == w.nodes[0] {
		return w.nodes[1]
	}
	return w.nodes[0]
}

var racePolicies = []struct {
	name   string
	policy msg.Policy
}{
	{"lossless_peer", msg.LosslessPeer()},
	{"lossless_peer_reuse", msg.LosslessPeerReuse()},
	{"default", msg.DefaultPolicy()},
}

// raceConnect: neither knows the other. first, the number of a node, calls first.
func raceConnect(policy msg.Policy, first int) func(t failer) *world {
	return func(t failer) *world {
		w, _, _ := peers(t, policy, 1, 2)
		w.now = time.Second // no moment is 0, which means none
		for _, k := range []int{first, 1 - first} {
			c := w.nodes[k].connectTo(w.nodes[1-k])
			c.send(uint64(10*k+11), 127, 0)
			c.send(uint64(10*k+12), 127, 0)
		}
		return w
	}
}

// raceReconnect: a session broke that first has begun; both have messages for each other.
func raceReconnect(policy msg.Policy, first int) func(t failer) *world {
	return func(t failer) *world {
		w, _, _ := peers(t, policy, 1, 2)
		w.now = time.Second
		a, b := w.nodes[first], w.nodes[1-first]
		c := a.connectTo(b)
		c.send(uint64(10*first+11), 127, 0)
		w.runFor(time.Second)
		d := b.to(a)
		d.send(uint64(10*(1-first)+11), 127, 0)
		w.runFor(time.Second)
		c.send(uint64(10*first+12), 127, 0)
		d.send(uint64(10*(1-first)+12), 127, 0)
		w.dialed, w.began = 0, w.now
		w.cut(w.wires[0])
		return w
	}
}

// atRest says of a world in which nothing is due but signs of life that it will not change:
// one wire, a ready session at each end, and nothing to say.
func atRest(w *world) bool {
	if len(w.wires) != 1 {
		return false
	}
	for _, e := range w.wires[0].ends {
		if c := e.conn; c == nil || e.deaf || !c.isReady() || c.s.Pending()+c.s.Unacked() > 0 || len(c.n.open()) != 1 {
			return false
		}
	}
	return true
}

// faults is what may go wrong in a scene.
type faults struct{ cuts, late, stops int }

func (f faults) sum() int { return f.cuts + f.late + f.stops }

func (f faults) String() string {
	return fmt.Sprintf("cuts=%d,late=%d,stops=%d", f.cuts, f.late, f.stops)
}

// statesMax is where an exploration gives up: a state takes some 200 bytes, a half 20 KiB.
const statesMax = 20e6

// race is a scene of two peers that call each other.
type race struct {
	kind   string
	policy int // of racePolicies
	first  int // of its two nodes, to call
	faults faults
}

func (r race) String() string {
	return fmt.Sprintf("%s/%s/%s/%v", r.kind, racePolicies[r.policy].name, "AB"[r.first:r.first+1], r.faults)
}

func (r race) scene() scene {
	start := raceConnect(racePolicies[r.policy].policy, r.first)
	if r.kind == "reconnect" {
		start = raceReconnect(racePolicies[r.policy].policy, r.first)
	}
	// One attempt of each side to begin with, and one of each for what goes wrong.
	sc := scene{
		start: start, check: raceRest(2 * r.faults.sum()), cuts: r.faults.cuts, late: r.faults.late,
		stops: r.faults.stops, dials: 2 + 2*r.faults.sum(), still: r.faults.sum() == 0, max: statesMax,
	}
	if r.faults.stops == 0 {
		return sc
	}
	// While one side waits in vain for its handshake, ReadyTimeout, the other one tries again
	// every half MaxBackoff at least.
	sc.dials, sc.check, sc.resting = 40, raceRest(40), atRest
	sc.start = func(t failer) *world {
		w := start(t)
		for _, n := range w.nodes {
			n.cfg.KeepaliveInterval, n.cfg.KeepaliveTimeout = 5*time.Second, 5*time.Second
		}
		return w
	}
	return sc
}

// races are the scenes of the given faults. Where neither knows the other it makes no
// difference who calls first: see TestRacesAlike.
func races(fs ...faults) (rs []race) {
	for _, kind := range []string{"connect", "reconnect"} {
		for p := range racePolicies {
			for first := range 2 {
				for _, f := range fs {
					if kind == "reconnect" || first == 0 {
						rs = append(rs, race{kind, p, first, f})
					}
				}
			}
		}
	}
	return rs
}

// TestRaces tries all orders in which at most one thing goes wrong. A scene that is not
// exhausted fails.
func TestRaces(t *testing.T) {
	fs := []faults{{}, {cuts: 1}, {late: 1}, {stops: 1}}
	if slow > 1 {
		fs = fs[:2]
	}
	for _, r := range races(fs...) {
		t.Run(r.String(), func(t *testing.T) { exhaust(t, r) })
	}
}

var exploring = flag.Bool("explore", false, "TestExplore: all races, with two things that go wrong, and a table")

// TestExplore tries all orders in which at most two things go wrong, and some in which
// three do.
func TestExplore(t *testing.T) {
	if !*exploring && !long {
		t.Skip("takes minutes: make explore")
	}
	rs := races(faults{}, faults{cuts: 1}, faults{late: 1}, faults{stops: 1},
		faults{cuts: 2}, faults{late: 2}, faults{stops: 2},
		faults{cuts: 1, late: 1}, faults{cuts: 1, stops: 1}, faults{late: 1, stops: 1},
		faults{cuts: 2, late: 1}, faults{cuts: 3})
	rs = slices.DeleteFunc(rs, func(r race) bool { // millions of states
		return r.faults.sum() == 3 && r.faults.late > 0 &&
			(r.kind == "connect" || racePolicies[r.policy].name == "default")
	})
	fmt.Printf("| %-62s | states | transitions | halves | steps | dials | | seconds |\n", "scene")
	for _, r := range rs {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			s := exhaust(t, r)
			fmt.Printf("| %-62s | %d | %d | %d | %d | %d | exhausted | %.1f |\n",
				r, s.states, s.turns, s.halves, s.steps, s.dials, s.took.Seconds())
		})
	}
}

func exhaust(t *testing.T, r race) summary {
	s := explore(t, r.scene())
	if s.capped {
		t.Fatalf("%v: not exhausted", r)
	}
	return s
}

// TestRacesAlike: who calls first makes no difference where neither knows the other, so
// these scenes are tried in one order only. Who has begun a session that broke does.
func TestRacesAlike(t *testing.T) {
	fs := []faults{{}, {cuts: 1}, {late: 1}}
	if slow > 1 {
		fs = fs[:1]
	}
	for p := range racePolicies {
		for _, f := range fs {
			if p > 0 && f.sum() > 0 && !long {
				continue
			}
			one, two := race{"connect", p, 0, f}.scene(), race{"connect", p, 1, f}.scene()
			a, b := search(&one), search(&two)
			require.Empty(t, a.broken+b.broken)
			require.Equal(t, []int{a.states, a.turns, a.dials}, []int{b.states, b.turns, b.dials})
			require.True(t, maps.Equal(a.rests, b.rests) && maps.Equal(a.met, b.met))
		}
	}
}
