package session

import (
	"crypto/md5"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// What happens to one half does not touch the other one but through what is in flight: to
// take the first chunk of a queue and to put one behind its last are the same in either
// order. So of turns of both halves most orders come to the same, and where nothing can go
// wrong any more (a cut, a late timer touches both halves) the exploration goes on with the
// turns of one half only, if these are a persistent set (Godefroid): if the other half, whatever
// it does by itself until then, neither takes a turn away nor adds one. keepsQuiet tries all it
// can do. What adds a turn: a chunk or an end for a wire on which there is none, a dial. What
// takes one away: an end of a wire that was not accepted yet, in either direction.
//
// Why nothing is missed. Take any run from a place p on, up to a rest, and the persistent set T
// of p. Some turn t of T is in the run, or p would have that turn at rest. All turns before the
// first such t are of the other half and independent of t, so the run that begins with t and
// goes on with the others in their order is a run too, in which each half does the same things
// in the same order. By induction the reduced exploration has, for each run, one of the same
// steps of halves. All that a promise is about is in these: what a half does is checked while
// it does it, rests are the same, and so is how often it dials. A run without an end has the
// same in the reduced exploration, where it is a place that comes back: if there is none there,
// there is none at all. TestReduction compares.

// alone says whether the turns ts of one half of p, which are all it has, are enough to go
// on with: the turns of the other half come later all the same, and in between they do
// nothing that matters for these.
func (x *explorer) alone(p *place, side uint8, ts []turn) bool {
	// A half that gives up a wire which nobody has accepted yet takes a turn away from the
	// other one.
	for _, t := range ts {
		q, _ := x.take(p, t)
		if unaccepted(q, side) < unaccepted(p, side) {
			return false
		}
	}
	return x.keepsQuiet(p, 1-side)
}

// unaccepted counts the wires of one side that wait to be accepted.
func unaccepted(p *place, side uint8) (n int) {
	for i := range p.wires {
		if w := &p.wires[i]; !w.accepted && w.dialer == side {
			n++
		}
	}
	return n
}

// keepsQuiet says whether one half by itself, in all orders of what is in flight to it, gives
// the other one no turn that this does not have already, and takes none away.
func (x *explorer) keepsQuiet(p *place, side uint8) bool {
	key := x.aloneKey(p, side)
	if yes, known := x.quiet[key]; known {
		return yes
	}
	yes := true
	have, waiting := len(x.ofHalf(p, 1-side, nil)), unaccepted(p, side)
	for _, t := range x.ofHalf(p, side, nil) {
		q, dials := x.take(p, t)
		if dials > 0 || unaccepted(q, side) != waiting || len(x.ofHalf(q, 1-side, nil)) != have ||
			!x.keepsQuiet(q, side) {
			yes = false
			break
		}
	}
	x.quiet[key] = yes
	return yes
}

// aloneKey is all that keepsQuiet looks at.
func (x *explorer) aloneKey(p *place, side uint8) [16]byte {
	p.key() // in order
	b := []byte{side, byte(p.at[side]), byte(p.at[side] >> 8), byte(p.at[side] >> 16), byte(p.at[side] >> 24)}
	for i := range p.wires {
		w := p.wires[i]
		o := 1 - side
		// Of the other half only counts whether a turn is there.
		if len(w.in[o]) > 0 {
			w.in[o] = w.in[o][:1]
		}
		b = w.append(b)
	}
	return md5.Sum(b)
}

// TestReduction: with the reduction and without, each half has the same turns, the rests are
// the same, and so is the most that is dialled.
func TestReduction(t *testing.T) {
	fs := []faults{{}, {cuts: 1}, {late: 1}, {stops: 1}}
	if slow > 1 {
		fs = fs[:1]
	}
	saved, of := 0, 0
	for _, r := range races(fs...) {
		if r.first != 0 && !long {
			continue
		}
		sc := r.scene()
		sc.notes = true
		less := search(&sc)
		sc.full = true
		all := search(&sc)
		require.Empty(t, less.broken+all.broken, r)
		require.True(t, maps.Equal(all.rests, less.rests), "%v: %d rests, %d without reduction", r, less.ends, all.ends)
		require.True(t, maps.Equal(all.noted, less.noted), "%v: %d turns, %d without reduction",
			r, len(less.noted), len(all.noted))
		require.Equal(t, all.dials, less.dials, r)
		require.Less(t, less.turns, all.turns, r)
		saved, of = saved+all.turns-less.turns, of+all.turns
	}
	t.Logf("%d of %d transitions saved", saved, of)
}

// TestReductionFinds: what is wrong with few of the runs is found with the reduction too.
func TestReductionFinds(t *testing.T) {
	if slow > 1 {
		t.Skip("a test of the tests")
	}
	for _, r := range races(faults{cuts: 1})[:1+8*int(boolNum(long))] {
		for what, spoil := range map[string]func(sc *scene, s summary){
			"dials": func(sc *scene, s summary) { sc.dials = s.dials - 1 },
			"the connection of B": func(sc *scene, _ summary) {
				sc.check = func(w *world) {
					if len(w.wires) > 0 && w.wires[0].ends[0].conn.n == w.nodes[1] {
						w.failf("the connection of B survived")
					}
				}
			},
			"no rest after": func(sc *scene, _ summary) { sc.deepest = 25 },
		} {
			for _, full := range []bool{false, true} {
				sc := r.scene()
				s := search(&sc)
				sc.full = full
				spoil(&sc, s)
				s = search(&sc)
				require.Contains(t, s.broken, what, r)
			}
		}
	}
}
