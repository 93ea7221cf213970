package session

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"strings"
	"testing"
	"time"
)

// scene is a world of two nodes in which every order of events is tried.
type scene struct {
	start func(t failer) *world
	check func(w *world) // of a world at rest
	cuts  int            // how many times a wire may break, at any point
	late  int            // how many times a timer may fire though bytes are in flight
	stops int            // how many times a side may hear no more of a wire, and not know it
	dials int            // at most
	still bool           // without faults: nobody waits for a timer
	// resting says of a world that asks its peer for signs of life for ever whether it is at
	// rest otherwise; nil: at rest nothing is due.
	resting func(w *world) bool
	max     int  // states
	deepest int  // turns of a run; 0: deepest
	full    bool // without the reduction of reduce_test.go
	notes   bool
}

// horizon is within which something has to be due for a world not to be at rest.
const horizon = 40 * time.Second

// deepest is how many turns a run of a scene may have.
const deepest = 2000

// stepKey is a step of a half.
type stepKey struct {
	at    int32
	kind  what
	end   int8
	chunk uint32
	later time.Duration
}

// step is what came of it.
type step struct {
	to    int32
	dials uint8
	fx    []effectID
}

// effectID is an effect, its chunks by their numbers.
type effectID struct {
	effect
	sent []uint32
}

// explorer tries all orders of a scene.
type explorer struct {
	sc     *scene
	halves []*half
	names  [][16]byte // their fingerprints
	known  map[[16]byte]int32
	chunks [][]byte
	named  map[string]uint32
	steps  map[stepKey]*step
	quiet  map[[16]byte]bool // see reduce_test.go
	trace  *trace

	// What was found.
	seen   map[[16]byte]uint8 // dials still to come, at most, or onPath
	ends   map[[16]byte]bool  // places at rest, by their names
	noted  map[[16]byte]bool  // turns of halves, if the scene wants that
	turns  int
	capped bool
}

func newExplorer(sc *scene) *explorer {
	return &explorer{sc: sc, known: map[[16]byte]int32{}, chunks: [][]byte{up: nil}, named: map[string]uint32{},
		steps: map[stepKey]*step{}, quiet: map[[16]byte]bool{}, trace: new(trace),
		seen: map[[16]byte]uint8{}, ends: map[[16]byte]bool{}, noted: map[[16]byte]bool{}}
}

// onPath is a place that the present run of the scene has come through.
const onPath = 255

// broken is a promise that was.
type broken struct{ text string }

// trace is the failer of an exploration.
type trace struct{ lines []string }

func (*trace) Helper() {}
func (r *trace) Logf(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}
func (r *trace) Fatalf(format string, args ...any) { panic(broken{fmt.Sprintf(format, args...)}) }

// number is that of h, which is new or was there before.
func (x *explorer) number(h *half) int32 {
	p := printer{now: h.w.now}
	h.print(&p)
	k := md5.Sum(p.b)
	n, ok := x.known[k]
	if !ok {
		n = int32(len(x.halves))
		x.known[k] = n
		x.halves, x.names = append(x.halves, h), append(x.names, k)
	}
	return n
}

func (x *explorer) chunk(b []byte) uint32 {
	n, ok := x.named[string(b)]
	if !ok {
		n = uint32(len(x.chunks))
		x.chunks = append(x.chunks, bytes.Clone(b))
		x.named[string(b)] = n
	}
	return n
}

// run is what a step comes to, from memory if it was run before.
func (x *explorer) run(k stepKey) *step {
	if s := x.steps[k]; s != nil {
		return s
	}
	h := x.halves[k.at].copy(x.trace)
	fx, dials := h.step(k.kind, int(k.end), x.chunks[k.chunk], k.later)
	s := &step{to: x.number(h), dials: uint8(dials)}
	for _, f := range fx {
		g := effectID{effect: f}
		for _, b := range f.sent {
			g.sent = append(g.sent, x.chunk(b))
		}
		g.effect.sent = nil
		s.fx = append(s.fx, g)
	}
	x.steps[k] = s
	return s
}

// turns are all that may happen to one half of p.
func (x *explorer) ofHalf(p *place, side uint8, ts []turn) []turn {
	for i := range p.wires {
		w := &p.wires[i]
		t := turn{side: side, wire: uint8(i)}
		switch {
		case !w.accepted && w.dialer != side:
			t.kind = whatAccept
		case w.end[side] < 0 || w.deaf[side]:
			continue
		case len(w.in[side]) > 0:
			if t.kind = whatDeliver; w.in[side][0] == up {
				t.kind = whatUp
			}
		case w.eof[side]:
			t.kind = whatEOF
		default:
			continue
		}
		ts = append(ts, t)
	}
	return ts
}

// turns are all that may happen in p.
func (x *explorer) all(p *place) (ts []turn) {
	ts = x.ofHalf(p, 0, ts)
	n := len(ts)
	if ts = x.ofHalf(p, 1, ts); !x.faulty(p) && n > 0 && n < len(ts) && !x.sc.full {
		switch {
		case x.alone(p, 0, ts[:n]):
			return ts[:n]
		case x.alone(p, 1, ts[n:]):
			return ts[n:]
		}
	}
	busy := len(ts) > 0
	if at, ok := x.next(p); ok && at <= horizon && (!busy || int(p.late) < x.sc.late) {
		ts = append(ts, turn{kind: whatTime, side: bothSides})
	}
	if !busy {
		return ts
	}
	for i := range p.wires {
		w := &p.wires[i]
		for s := range uint8(2) {
			if int(p.stops) < x.sc.stops && w.accepted && w.end[s] >= 0 && !w.deaf[s] {
				ts = append(ts, turn{stop: true, side: s, wire: uint8(i)})
			}
		}
		if int(p.cuts) < x.sc.cuts && w.accepted {
			ts = append(ts, turn{kind: whatDown, side: bothSides, wire: uint8(i)})
		}
	}
	return ts
}

// faulty says whether something can still go wrong.
func (x *explorer) faulty(p *place) bool {
	return int(p.cuts) < x.sc.cuts || int(p.late) < x.sc.late || int(p.stops) < x.sc.stops
}

// next is when the first of both halves has something due.
func (x *explorer) next(p *place) (in time.Duration, ok bool) {
	for _, at := range p.at {
		if d, has := x.halves[at].next(); has && (!ok || d < in) {
			in, ok = d, true
		}
	}
	return in, ok
}

// world is p as one world, which is only looked at.
func (x *explorer) world(p *place) *world {
	w := &world{t: x.trace}
	for _, at := range p.at {
		w.nodes = append(w.nodes, x.halves[at].n)
	}
	for _, f := range p.wires {
		u := &wire{n: len(w.wires) + 1, state: wireDialing}
		if f.accepted {
			u.state = wireUp
		}
		for s := range uint8(2) {
			e := &wireEnd{w: u, deaf: f.deaf[s], eof: f.eof[s]}
			if f.end[s] >= 0 {
				h := x.halves[p.at[s]]
				e.conn = h.own(h.wire(int(f.end[s]))).conn
			}
			if s != f.dialer {
				e.side = 1
			}
			u.ends[e.side] = e
		}
		w.wires = append(w.wires, u)
	}
	return w
}

// told is the run of a scene that led to something, in words.
func (x *explorer) told(path []*visit) string {
	var b strings.Builder
	for _, v := range path {
		if v.next == 0 {
			break
		}
		t := v.turns[v.next-1]
		name := fmt.Sprintf("half %c", "ABx"[t.side])
		if t.kind != whatTime {
			w := v.p.wires[t.wire]
			name += fmt.Sprintf(", wire of %c (%d, %d)", "AB"[w.dialer], w.end[0], w.end[1])
			if t.stop {
				fmt.Fprintf(&b, "stop: %s\n", name)
				continue
			}
		}
		fmt.Fprintf(&b, "%s: %s\n", t.kind, name)
	}
	return b.String()
}

// summary is what an exploration has come to.
type summary struct {
	states, turns, halves, steps, ends, dials int
	capped                                    bool
	took                                      time.Duration
	rests, met, noted                         map[[16]byte]bool
	broken                                    string
}

func (s summary) String() string {
	how := "exhausted"
	if s.capped {
		how = "stopped at its cap"
	}
	return fmt.Sprintf("%s: %d states, %d transitions, %d at rest, %d halves, %d steps of these, at most %d dials",
		how, s.states, s.turns, s.ends, s.halves, s.steps, s.dials)
}

// explore tries all orders of a scene, or fails with the one that breaks a promise.
func explore(t *testing.T, sc scene) summary {
	s := search(&sc)
	if s.broken != "" {
		t.Fatal(s.broken)
	}
	t.Log(s)
	return s
}
