package session

import (
	"crypto/md5"
	"encoding/binary"
	"slices"
)

// flight is a wire between the halves.
type flight struct {
	dialer   uint8
	accepted bool
	end      [2]int8     // its number in each half; -1: let go of, or not there yet
	in       [2][]uint32 // chunks in flight to the half
	eof      [2]bool     // and then the end
	deaf     [2]bool     // nothing arrives there any more
}

// up, as a chunk, tells the dialer that the wire is up.
const up = 0

// place is one state of a scene: the halves, by their numbers, and what is between them.
type place struct {
	at                [2]int32
	cuts, late, stops uint8 // so far
	wires             []flight
}

func (p *place) clone() *place {
	q := *p
	q.wires = slices.Clone(p.wires)
	return &q
}

// key stands for p; wires have no order.
func (p *place) key() [16]byte {
	slices.SortFunc(p.wires, func(a, b flight) int {
		return 1000*(int(a.dialer)-int(b.dialer)) + 40*int(a.end[0]-b.end[0]) + int(a.end[1]-b.end[1])
	})
	b := make([]byte, 0, 256)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.at[0]))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.at[1]))
	b = append(b, p.cuts, p.late, p.stops)
	for i := range p.wires {
		b = p.wires[i].append(b)
	}
	return md5.Sum(b)
}

func (x *flight) append(b []byte) []byte {
	b = append(b, x.dialer, byte(boolNum(x.accepted)))
	for s := range 2 {
		b = append(b, byte(x.end[s]), byte(boolNum(x.eof[s])), byte(boolNum(x.deaf[s])), byte(len(x.in[s])))
		for _, c := range x.in[s] {
			b = binary.AppendUvarint(b, uint64(c))
		}
	}
	return b
}

// turn is what may happen next in a place: to a half, or for turnCut to both ends of a
// wire, for turnStop to one, for turnTime to both halves.
type turn struct {
	kind what
	side uint8
	wire uint8
	stop bool
}

const bothSides = 2

// take has t happen in p.
func (x *explorer) take(p *place, t turn) (q *place, dials int) {
	q = p.clone()
	busy := func() bool { return len(x.ofHalf(p, 0, nil))+len(x.ofHalf(p, 1, nil)) > 0 }
	switch {
	case t.stop:
		q.stops++
		w := &q.wires[t.wire]
		w.in[t.side], w.deaf[t.side] = nil, true
	case t.kind == whatTime:
		later, _ := x.next(p)
		if q.late += uint8(boolNum(busy())); x.sc.still {
			x.trace.Fatalf("somebody waits for %v though nothing broke", later)
		}
		for s := range uint8(2) {
			dials += x.apply(q, s, nil, x.run(stepKey{at: q.at[s], kind: whatTime, later: later}))
		}
	case t.kind == whatDown:
		q.cuts++
		w := q.wires[t.wire]
		q.wires = slices.Delete(q.wires, int(t.wire), int(t.wire)+1)
		for _, s := range []uint8{w.dialer, 1 - w.dialer} {
			if w.end[s] >= 0 {
				dials += x.apply(q, s, nil, x.run(stepKey{at: q.at[s], kind: whatDown, end: w.end[s]}))
			}
		}
	default:
		w := &q.wires[t.wire]
		k := stepKey{at: p.at[t.side], kind: t.kind, end: w.end[t.side]}
		switch t.kind {
		case whatDeliver, whatUp:
			k.chunk = w.in[t.side][0]
			w.in[t.side] = w.in[t.side][1:]
		case whatEOF:
			w.eof[t.side] = false
		case whatAccept:
			w.accepted = true
			w.in[w.dialer] = []uint32{up}
		}
		dials = x.apply(q, t.side, w, x.run(k))
	}
	return q, dials
}

// apply has the effects of a step of one side happen; w is the wire that was accepted, if
// one was.
func (x *explorer) apply(q *place, side uint8, accepted *flight, s *step) (dials int) {
	q.at[side] = s.to
	other := 1 - side
	gone := false
	var dialed []flight
	for _, f := range s.fx {
		if f.dialed {
			d := flight{dialer: side, end: [2]int8{-1, -1}}
			d.end[side] = int8(f.end)
			dialed = append(dialed, d)
			continue
		}
		w := accepted
		if !f.taken {
			i := slices.IndexFunc(q.wires, func(w flight) bool { return int(w.end[side]) == f.end && f.end >= 0 })
			if i < 0 {
				continue // it was cut
			}
			w = &q.wires[i]
		}
		if w.end[other] >= 0 && !w.deaf[other] {
			w.in[other] = append(slices.Clip(w.in[other]), f.sent...)
		}
		if f.closed {
			w.end[side], w.in[side], w.eof[side] = -1, nil, false
			w.eof[other] = w.accepted && w.end[other] >= 0
			gone = gone || !w.eof[other]
		} else if f.taken {
			w.end[side] = int8(f.end)
		}
	}
	if gone {
		q.wires = slices.DeleteFunc(q.wires, func(w flight) bool {
			return w.end[w.dialer] < 0 && (!w.accepted || w.end[1-w.dialer] < 0)
		})
	}
	q.wires = append(q.wires, dialed...)
	return int(s.dials)
}
