package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHalves: what the exploration makes of two halves is what the world does. Runs by
// chance take the same turns in both, and after each one the nodes are alike and so is what
// is in flight.
func TestHalves(t *testing.T) {
	steps, walks := 0, 40/slow
	if long {
		walks = 1000
	}
	for _, kind := range []string{"connect", "reconnect"} {
		for p := range racePolicies {
			for seed := range uint64(walks) {
				r := race{kind, p, int(seed % 2), faults{cuts: 2, late: 2, stops: int(seed/2) % 2}}
				steps += walkBoth(t, r, seed)
			}
		}
	}
	t.Logf("%d turns", steps)
}

func walkBoth(t *testing.T, r race, seed uint64) (steps int) {
	sc := r.scene()
	sc.full = true
	x := newExplorer(&sc)
	w := sc.start(t)
	p, _ := x.root()
	rng := rand.New(rand.NewPCG(seed, 1))
	for ; steps < 400; steps++ {
		x.alike(t, p, w, fmt.Sprintf("%v, seed %d, turn %d", r, seed, steps))
		ts := x.all(p)
		if len(ts) == 0 || len(ts) == 1 && ts[0].kind == whatTime && sc.resting != nil && atRest(x.world(p)) {
			return steps
		}
		u := ts[rng.IntN(len(ts))]
		for i := 0; i < 3 && (u.kind == whatTime || u.kind == whatDown || u.stop); i++ {
			u = ts[rng.IntN(len(ts))] // faults are few
		}
		f := flight{}
		if u.kind != whatTime {
			f = p.wires[u.wire]
		}
		x.same(w, p, u, f)
		p, _ = x.take(p, u)
		if u.kind == whatAccept { // in the world the dialer hears of it at once
			for i := range p.wires {
				q := &p.wires[i]
				if q.dialer == f.dialer && q.end[f.dialer] == f.end[f.dialer] && len(q.in[f.dialer]) > 0 {
					p, _ = x.take(p, turn{kind: whatUp, side: f.dialer, wire: uint8(i)})
					break
				}
			}
		}
	}
	return steps
}

// same has u, of a wire f of p, happen in w.
func (x *explorer) same(w *world, p *place, u turn, f flight) {
	if u.kind == whatTime {
		at, _ := w.nextDeadline()
		w.advance(at)
		return
	}
	v := w.find(x, p, f)
	if u.stop {
		e := v.ends[boolNum(u.side != f.dialer)]
		e.in, e.inBytes, e.deaf = nil, 0, true
		return
	}
	switch u.kind {
	case whatDown:
		w.cut(v)
	case whatAccept:
		w.connect(v)
	default:
		e := v.ends[boolNum(u.side != f.dialer)]
		w.do(move{map[what]moveKind{whatDeliver: moveDeliver, whatEOF: moveEOF}[u.kind], v, e})
	}
}

// find is the wire of w that is f in p: the one whose end is held by the same connection.
func (w *world) find(x *explorer, p *place, f flight) *wire {
	w.moves() // forgets wires that are gone
	for _, v := range w.wires {
		found := true
		for s := range uint8(2) {
			c := v.ends[boolNum(s != f.dialer)].conn
			if found = found && (c != nil) == (f.end[s] >= 0); !found || c == nil {
				continue
			}
			h := x.halves[p.at[s]]
			found = c.n == w.nodes[s] &&
				slices.Index(c.n.open(), c) == slices.Index(h.n.open(), h.own(h.wire(int(f.end[s]))).conn)
		}
		if found {
			return v
		}
	}
	panic("no such wire")
}

// alike fails unless the nodes of w are as the halves of p are, and the same is in flight.
func (x *explorer) alike(t *testing.T, p *place, w *world, what string) {
	for s := range uint8(2) {
		mine, theirs := printer{now: w.now}, printer{now: x.halves[p.at[s]].w.now}
		h := halve(w, int(s))
		h.forget()
		h.n.print(&mine, nil)
		x.halves[p.at[s]].n.print(&theirs, nil)
		if string(mine.b) != string(theirs.b) {
			for _, l := range w.log {
				t.Log(l)
			}
			require.Equal(t, string(mine.b), string(theirs.b), "%s: %s", what, h.n.name)
		}
	}
	w.moves()
	require.Len(t, w.wires, len(p.wires), what)
	for _, f := range p.wires {
		v := w.find(x, p, f)
		require.Equal(t, v.state == wireUp, f.accepted, what)
		for s := range uint8(2) {
			e := v.ends[boolNum(s != f.dialer)]
			var in [][]byte
			for _, c := range f.in[s] {
				in = append(in, x.chunks[c])
			}
			require.Equal(t, len(e.in), len(in), what)
			for i := range in {
				require.Equal(t, e.in[i], in[i], what)
			}
			if e.conn != nil {
				require.Equal(t, []bool{e.eof, e.deaf}, []bool{f.eof[s], f.deaf[s]}, what)
			}
		}
	}
}
