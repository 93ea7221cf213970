package session

import (
	"crypto/md5"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// scene is a world in which every order of events is tried.
type scene struct {
	start func(t failer) *world
	check func(w *world)
	cuts  int // how many times a wire may break, at any point
	late  int // how many times a timer may fire though bytes are in flight
	stops int // how many times a side may hear no more of a wire, and not know it
	until time.Duration
	steps int
	max   int // states
}

// option is a choice at one point of a scene.
type option struct {
	move  move
	cut   *wire
	stop  *wireEnd
	timer bool
}

func (o option) String() string {
	switch {
	case o.cut != nil:
		return fmt.Sprintf("cut wire %d", o.cut.n)
	case o.stop != nil:
		return fmt.Sprintf("stop wire %d side %d", o.stop.w.n, o.stop.side)
	case o.timer:
		return "timer"
	}
	return o.move.String()
}

// playing is one run of a scene.
type playing struct {
	w          *world
	sc         *scene
	cuts, late int
	stops      int
	steps      int
}

func (p *playing) options() (os []option) {
	ms := p.w.moves()
	for _, m := range ms {
		os = append(os, option{move: m})
	}
	at, ok := p.w.nextDeadline()
	ok = ok && at <= p.sc.until
	if len(ms) == 0 {
		if ok {
			os = append(os, option{timer: true})
		}
		return os
	}
	if ok && p.late < p.sc.late {
		os = append(os, option{timer: true})
	}
	if p.stops < p.sc.stops {
		for _, x := range p.w.wires {
			for side := range x.ends {
				if e := x.ends[side]; x.state == wireUp && !e.deaf {
					os = append(os, option{stop: e})
				}
			}
		}
	}
	if p.cuts < p.sc.cuts {
		for _, x := range p.w.wires {
			if x.state == wireUp {
				os = append(os, option{cut: x})
			}
		}
	}
	return os
}

func (p *playing) play(o option, busy bool) {
	p.w.logf("- %v", o)
	p.steps++
	switch {
	case o.cut != nil:
		p.cuts++
		p.w.cut(o.cut)
	case o.stop != nil:
		p.stops++
		o.stop.in, o.stop.inBytes, o.stop.deaf = nil, 0, true
	case o.timer:
		if busy {
			p.late++
		}
		at, _ := p.w.nextDeadline()
		p.w.advance(at)
	default:
		p.w.do(o.move)
	}
	if p.steps > p.sc.steps {
		p.w.failf("no rest after %d steps: a livelock", p.steps)
	}
}

// explore tries all orders, visiting each state of the world once. Nothing in it is
// random: the chance of the nodes has fixed seeds, and the hash of a state has none.
func explore(t *testing.T, sc scene) (states int) {
	seen := map[[16]byte]bool{}
	stack := [][]uint8{{}}
	lost := 0
	defer func() {
		if lost > 0 {
			t.Logf("%d branches were not found again", lost)
		}
	}()
	for len(stack) > 0 {
		path := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		p := &playing{w: sc.start(t), sc: &sc}
		there := true
		for _, i := range path {
			os := p.options()
			// Buffers come from pools, and bytes may be in other chunks than before: then
			// the way to this branch is another one, and it is given up.
			if there = int(i) < len(os); !there {
				lost++
				break
			}
			p.play(os[i], len(p.w.moves()) > 0)
		}
		if !there {
			continue
		}
		for {
			h := md5.Sum([]byte(p.fingerprint()))
			if seen[h] {
				break
			}
			seen[h] = true
			if len(seen) >= sc.max {
				t.Logf("stopped at its cap of %d states", len(seen))
				return len(seen)
			}
			os := p.options()
			if len(os) == 0 {
				sc.check(p.w)
				break
			}
			for i := len(os) - 1; i > 0; i-- {
				stack = append(stack, append(path[:len(path):len(path)], uint8(i)))
			}
			path = append(path[:len(path):len(path)], 0)
			p.play(os[0], len(p.w.moves()) > 0)
		}
	}
	t.Logf("exhausted: %d states", len(seen))
	return len(seen)
}

// fingerprint is everything that the future depends on.
func (p *playing) fingerprint() string {
	w := p.w
	b := fmt.Appendf(nil, "%d %d %d|", p.cuts, p.late, p.stops)
	for _, n := range w.nodes {
		rng := *n.rng
		b = fmt.Appendf(b, "%d %x %v|", n.gseq, rng.Uint64(), n.got)
		for _, c := range n.conns {
			if c.closed {
				b = fmt.Appendf(b, "x%d %v", c.resets, c.done)
				continue
			}
			b = fmt.Appendf(b, "%d %d %d %v %x ", c.id, c.ready, c.remote, c.done, c.stash)
			b = append(b, c.s.fingerprint(w.now)...)
			if c.end != nil {
				b = fmt.Appendf(b, "w%d.%d", c.end.w.n, c.end.side)
			}
		}
	}
	for _, x := range w.wires {
		if x.state == wireGone {
			continue
		}
		b = fmt.Appendf(b, "|%d %d", x.n, x.state)
		for _, e := range x.ends {
			b = fmt.Appendf(b, "<%v %v %v %x>", e.conn, e.eof, e.deaf, e.in)
		}
	}
	return string(b)
}

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
			// Nothing broke: nobody had to wait, and the smaller address has won.
			x := a.open()[0].end.w
			if winner := x.ends[0].conn.n; w.now != w.began || w.dialed != 2 ||
				winner.addr.Compare(w.other(winner).addr) > 0 {
				w.failf("%v and %d dials, the connection of %s survived", w.now, w.dialed, winner.name)
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

// raceConnect: neither knows the other.
func raceConnect(policy msg.Policy, i, j int) func(t failer) *world {
	return func(t failer) *world {
		w, a, b := peers(t, policy, i, j)
		for k, n := range w.nodes {
			c := n.connectTo(w.other(n))
			c.send(uint64(10*k+11), 127, 0)
			c.send(uint64(10*k+12), 127, 0)
		}
		_, _ = a, b
		return w
	}
}

// raceReconnect: a session broke; both have messages for each other.
func raceReconnect(policy msg.Policy, i, j int) func(t failer) *world {
	return func(t failer) *world {
		w, a, b := peers(t, policy, i, j)
		c := a.connectTo(b)
		c.send(11, 127, 0)
		w.runFor(time.Second)
		d := b.to(a)
		d.send(21, 127, 0)
		w.runFor(time.Second)
		c.send(12, 127, 0)
		d.send(22, 127, 0)
		w.dialed, w.began = 0, w.now
		w.cut(w.wires[0])
		return w
	}
}

// raceDials bounds the attempts when so many things go wrong; 0 means the two
// that there have to be.
var raceDials = []int{0, 8, 14}

func TestRaces(t *testing.T) {
	for _, kind := range []struct {
		name  string
		start func(msg.Policy, int, int) func(failer) *world
	}{{"connect", raceConnect}, {"reconnect", raceReconnect}} {
		for _, p := range racePolicies {
			for _, order := range [][2]int{{1, 2}, {2, 1}} {
				for _, f := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
					name := fmt.Sprintf("%s/%s/%d%d/cuts=%d,late=%d", kind.name, p.name, order[0], order[1], f[0], f[1])
					t.Run(name, func(t *testing.T) {
						states := 100000
						if !long {
							states = []int{5000, 1000, 0}[f[0]+f[1]] / slow
							if f[0]+f[1] > 0 && order[0] == 2 && p.name != "lossless_peer_reuse" {
								states = 0
							}
						}
						if states == 0 {
							t.Skip("set ASYNCMSGR_LONG")
						}
						n := explore(t, scene{
							start: kind.start(p.policy, order[0], order[1]), check: raceRest(raceDials[f[0]+f[1]]),
							cuts: f[0], late: f[1], until: 40 * time.Second, steps: 600, max: states,
						})
						require.Positive(t, n)
					})
				}
			}
		}
	}
}

// Two handshakes at once, where at each step either side may go on, see the
// connection cut, or hear no more of it and not know it.
func TestRacesThatStop(t *testing.T) {
	for _, kind := range []struct {
		name  string
		start func(msg.Policy, int, int) func(failer) *world
	}{{"connect", raceConnect}, {"reconnect", raceReconnect}} {
		for _, p := range racePolicies {
			for _, f := range [][2]int{{0, 1}, {1, 1}} {
				t.Run(fmt.Sprintf("%s/%s/cuts=%d,stops=%d", kind.name, p.name, f[0], f[1]), func(t *testing.T) {
					states := 100000
					if !long {
						states = []int{2000, 500}[f[0]] / slow
					}
					start := kind.start(p.policy, 1, 2)
					n := explore(t, scene{
						start: func(t failer) *world {
							w := start(t)
							for _, n := range w.nodes {
								n.cfg.KeepaliveInterval, n.cfg.KeepaliveTimeout = 5*time.Second, 5*time.Second
							}
							return w
						},
						// While one side waits in vain for its handshake, ReadyTimeout, the other
						// one tries again every half MaxBackoff at least.
						check: raceRest(40), cuts: f[0], stops: f[1], until: 60 * time.Second, steps: 1000, max: states,
					})
					t.Logf("%d states", n)
				})
			}
		}
	}
}
