package session

import (
	"cmp"
	"crypto/md5"
	"fmt"
	"strings"
	"time"
)

// visit is a place on the path of a search.
type visit struct {
	p     *place
	key   [16]byte
	turns []turn
	next  int // of turns
	// Dials: all so far, those of the turn that came here, and the most that can come after.
	before, dials, more int
}

// search tries all orders of a scene. It goes deep first, so that a place which comes back
// while it is on the path is a run of events that never ends.
func search(sc *scene) (sum summary) {
	x := newExplorer(sc)
	began, longest := time.Now(), cmp.Or(sc.deepest, deepest)
	var path []*visit
	defer func() {
		sum.states, sum.turns, sum.ends = len(x.seen), x.turns, len(x.ends)
		sum.halves, sum.steps = len(x.halves), len(x.steps)
		sum.met = map[[16]byte]bool{}
		for k := range x.known {
			sum.met[k] = true
		}
		sum.capped, sum.rests, sum.noted, sum.took = x.capped, x.ends, x.noted, time.Since(began)
		switch r := recover().(type) {
		case nil:
		case broken:
			sum.broken = fmt.Sprintf("%s\n%s\n%s", x.told(path), strings.Join(x.trace.lines, "\n"), r.text)
		default:
			panic(r)
		}
	}()
	root, dialed := x.root()
	path = append(path, &visit{p: root, key: root.key(), before: dialed})
	x.seen[path[0].key] = onPath
	path[0].turns = x.options(root)
	for len(path) > 0 {
		v := path[len(path)-1]
		if v.next == len(v.turns) {
			x.seen[v.key] = uint8(v.more)
			path = path[:len(path)-1]
			if len(path) > 0 {
				u := path[len(path)-1]
				u.more = max(u.more, v.dials+v.more)
			}
			sum.dials = dialed + v.more
			continue
		}
		t := v.turns[v.next]
		v.next++
		x.turns++
		x.note(v.p, t)
		q, dials := x.take(v.p, t)
		before := v.before + dials
		k := q.key()
		more, seen := x.seen[k]
		switch {
		case seen && more == onPath:
			x.trace.Fatalf("no rest: this has been before: %s", q)
		case seen:
			v.more = max(v.more, dials+int(more))
			before += int(more)
		case len(path) > longest:
			x.trace.Fatalf("no rest after %d turns", longest)
		case len(x.seen) >= sc.max:
			x.capped = true
			return sum
		default:
			x.seen[k] = onPath
			path = append(path, &visit{p: q, key: k, dials: dials, before: before})
			path[len(path)-1].turns = x.options(q)
		}
		if before > sc.dials {
			x.trace.Fatalf("more than %d dials, %d of them now or later", sc.dials, before-v.before)
		}
	}
	return sum
}

func (p *place) String() string { return fmt.Sprintf("%v %+v", p.at, p.wires) }

// options are the turns of a place, or none and a check, if it is at rest.
func (x *explorer) options(p *place) []turn {
	ts := x.all(p)
	still := len(ts) == 0
	if len(ts) == 1 && ts[0].kind == whatTime && x.sc.resting != nil {
		still = x.sc.resting(x.world(p))
	}
	if still {
		x.ends[x.name(p)] = true
		x.sc.check(x.world(p))
		return nil
	}
	return ts
}

// root is the place where the scene begins, and how often somebody has dialled until then.
func (x *explorer) root() (*place, int) {
	w := x.sc.start(x.trace)
	p := &place{}
	var live []*wire
	for _, u := range w.wires {
		if u.state != wireGone {
			live = append(live, u)
		}
	}
	w.wires = live
	for s := range 2 {
		p.at[s] = x.number(halve(w, s))
	}
	var ends [2]int8
	for _, u := range live {
		f := flight{accepted: u.state == wireUp, end: [2]int8{-1, -1}}
		for k, e := range u.ends {
			if e.conn == nil {
				continue
			}
			s := 0
			if e.conn.n == w.nodes[1] {
				s = 1
			}
			if k == 0 {
				f.dialer = uint8(s)
			}
			f.end[s] = ends[s]
			ends[s]++
			for _, b := range e.in {
				f.in[s] = append(f.in[s], x.chunk(b))
			}
			f.eof[s], f.deaf[s] = e.eof, e.deaf
		}
		if u.ends[0].conn == nil && f.end[0] >= 0 {
			f.dialer = 1
		}
		p.wires = append(p.wires, f)
	}
	return p, w.dialed
}

// name is what a place at rest, where nothing is in flight, is in any exploration.
func (x *explorer) name(p *place) [16]byte {
	p.key() // in order
	b := []byte{p.cuts, p.late, p.stops}
	for _, at := range p.at {
		b = append(b, x.names[at][:]...)
	}
	for i := range p.wires {
		b = p.wires[i].append(b)
	}
	return md5.Sum(b)
}

// note remembers that a half was at a turn, by names that are the same in any exploration.
func (x *explorer) note(p *place, t turn) {
	if x.sc.notes && !t.stop && t.side < bothSides {
		w := &p.wires[t.wire]
		b := append([]byte{byte(t.kind), t.side, byte(w.end[t.side])}, x.names[p.at[t.side]][:]...)
		if len(w.in[t.side]) > 0 {
			b = append(b, x.chunks[w.in[t.side][0]]...)
		}
		x.noted[md5.Sum(b)] = true
	}
}
