package playground

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// quote are the names in JSON.
func quote(names []string) (all []string) {
	for _, name := range names {
		b, _ := json.Marshal(name)
		all = append(all, string(b))
	}
	return all
}

// encode are the fields of a state of which there are many: {nodes, sessions, frames}, in JSON.
//
//	nodes:    {name, state, queue: {priority: n}, out: {priority: n}, held, skew, got}
//	sessions: {a, b, state, kept: [by a, by b], queued: [by a, by b], cut}
//	frames:   {id, a, b, tag, n, prio, num, size, sent, due, held, end, lost}
func (r *run) encode(nodes []nodeState, sessions map[pair]*sessionState, frames []*mark) []byte {
	e := encoder{b: make([]byte, 0, r.encoded+1024), names: r.quoted}
	e.list("nodes", len(nodes), func(i int) { e.node(i, &nodes[i]) })
	pairs := slices.SortedFunc(maps.Keys(sessions), func(x, y pair) int {
		if x[0] != y[0] {
			return x[0] - y[0]
		}
		return x[1] - y[1]
	})
	e.list("sessions", len(pairs), func(i int) { e.session(pairs[i], sessions[pairs[i]]) })
	e.list("frames", len(frames), func(i int) { e.mark(frames[i]) })
	r.encoded = len(e.b)
	return e.b
}

// encoder appends fields in JSON.
type encoder struct {
	b     []byte
	names []string // of nodes, quoted
}

func (e *encoder) list(key string, n int, each func(i int)) {
	e.text(`,"`, key, `":[`)
	for i := range n {
		if i > 0 {
			e.text(",")
		}
		e.text("{")
		each(i)
		e.text("}")
	}
	e.text("]")
}

func (e *encoder) text(all ...string) {
	for _, s := range all {
		e.b = append(e.b, s...)
	}
}

func (e *encoder) number(before string, n int64) {
	e.b = strconv.AppendInt(append(e.b, before...), n, 10)
}

// some is number unless that is 0.
func (e *encoder) some(before string, n int64) {
	if n != 0 {
		e.number(before, n)
	}
}

func (e *encoder) is(yes bool, field string) {
	if yes {
		e.text(field)
	}
}

func (e *encoder) node(i int, s *nodeState) {
	e.text(`"name":`, e.names[i], `,"state":"`, s.state, `","queue":{`)
	comma := ""
	for band, n := range s.queue {
		if n > 0 {
			e.number(comma+`"`, int64(waits[band]))
			e.number(`":`, int64(n))
			comma = ","
		}
	}
	e.text(`},"out":{`)
	comma = ""
	for _, prio := range slices.Sorted(maps.Keys(s.out)) {
		e.number(comma+`"`, int64(prio))
		e.number(`":`, int64(s.out[prio]))
		comma = ","
	}
	e.number(`},"held":`, s.held)
	e.number(`,"skew":`, int64(s.skew))
	e.number(`,"got":`, int64(s.got))
}

func (e *encoder) session(p pair, s *sessionState) {
	e.text(`"a":`, e.names[p[0]], `,"b":`, e.names[p[1]], `,"state":"`, s.state, `"`)
	e.number(`,"kept":[`, int64(s.kept[0]))
	e.number(`,`, int64(s.kept[1]))
	e.number(`],"queued":[`, int64(s.queued[0]))
	e.number(`,`, int64(s.queued[1]))
	e.text("]")
	e.is(s.cut, `,"cut":true`)
}

// mark is a packet. Tags and IDs have no letters that JSON would quote.
func (e *encoder) mark(m *mark) {
	e.text(`"id":"`, m.id, `","a":`, e.names[m.a], `,"b":`, e.names[m.b], `,"tag":"`, m.tag, `"`)
	e.some(`,"n":`, int64(m.n))
	e.number(`,"prio":`, int64(m.prio))
	e.some(`,"num":`, int64(m.num))
	e.number(`,"size":`, int64(m.size))
	e.time(`,"sent":`, m.sent)
	e.some(`,"due":`, int64(m.due))
	e.is(m.held, `,"held":true`)
	e.some(`,"end":`, int64(m.end))
	e.is(m.lost, `,"lost":true`)
}

func (e *encoder) time(before string, d time.Duration) { e.number(before, int64(d)) }
