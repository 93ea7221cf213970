package live

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// eventSums collects what happened since the look before, by pair of nodes: both ends of a
// connection may be here, and tell of one cut.
type eventSums struct {
	pairs map[[2]entity.Name]*pairEvents
	opens map[entity.Name][2]uint64 // opened, closed
}

type pairEvents struct {
	cuts, attempts, resumed [2]uint64 // by end
	replayed                uint64
	text                    string
}

func (e *eventSums) connection(here, peer entity.Name, s *connection.ConnStats, d delta) {
	if d.faults == 0 && d.resumed == 0 && d.replayed == 0 {
		return
	}
	pair, end := [2]entity.Name{here, peer}, 0
	if byName(here, peer) > 0 {
		pair, end = [2]entity.Name{peer, here}, 1
	}
	p := e.pairs[pair]
	if p == nil {
		if e.pairs == nil {
			e.pairs = map[[2]entity.Name]*pairEvents{}
		}
		p = new(pairEvents)
		e.pairs[pair] = p
	}
	p.cuts[end] += uint64(d.cuts)
	p.attempts[end] += uint64(d.faults - d.cuts)
	p.resumed[end] += uint64(d.resumed)
	p.replayed += uint64(d.replayed)
	if d.faults > 0 && s.LastError != nil && p.text == "" {
		p.text = clip(s.LastError.Error())
	}
}

func (e *eventSums) opened(here entity.Name, opened, closed uint64) {
	if opened == 0 && closed == 0 {
		return
	}
	if e.opens == nil {
		e.opens = map[entity.Name][2]uint64{}
	}
	n := e.opens[here]
	e.opens[here] = [2]uint64{n[0] + opened, n[1] + closed}
}

func byName(a, b entity.Name) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Num, b.Num))
}

// list is at most eventsPerLook of each kind, those with most first, and one for the rest.
func (e *eventSums) list() []event {
	var cuts, attempts, back, opens, closes []event
	for pair, p := range e.pairs {
		x := event{Node: pair[0].String(), Peer: pair[1].String()}
		x.Text = p.text
		if n := max(p.cuts[0], p.cuts[1]); n > 0 {
			x.Kind, x.N = "cut", n
			cuts = append(cuts, x)
		}
		if n := max(p.attempts[0], p.attempts[1]); n > 0 {
			x.Kind, x.N = "attempt", n
			attempts = append(attempts, x)
		}
		if n := max(p.resumed[0], p.resumed[1]); n > 0 || p.replayed > 0 {
			x.Kind, x.N, x.Text, x.Replayed = "reconnect", n, "", p.replayed
			back = append(back, x)
		}
	}
	for name, n := range e.opens {
		if n[0] > 0 {
			opens = append(opens, event{Kind: "open", Node: name.String(), N: n[0]})
		}
		if n[1] > 0 {
			closes = append(closes, event{Kind: "close", Node: name.String(), N: n[1]})
		}
	}
	return slices.Concat(few(closes), few(cuts), few(attempts), few(opens), few(back))
}

func few(all []event) []event {
	slices.SortFunc(all, func(a, b event) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Peer, b.Peer))
	})
	if len(all) <= eventsPerLook {
		return all
	}
	rest := event{Kind: all[0].Kind}
	for _, x := range all[eventsPerLook:] {
		rest.N += x.N
		rest.Replayed += x.Replayed
	}
	rest.Text = fmt.Sprintf("and of %d others", len(all)-eventsPerLook)
	return append(all[:eventsPerLook:eventsPerLook], rest)
}

// tell adds events to the timeline, and returns those since the last call, numbered.
func (l *looker) tell(found []event, at int64) []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := append([]event{}, l.fresh...)
	l.fresh = nil
	for _, x := range found {
		x.At = at
		out = append(out, l.keep(x))
	}
	return out
}

// acted adds what was done to the timeline.
func (l *looker) acted(x event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x = l.keep(x)
	if len(l.fresh) < EventsMax {
		l.fresh = append(l.fresh, x)
	}
}

// keep numbers an event; under mu.
func (l *looker) keep(x event) event {
	l.seq++
	x.Seq = l.seq
	if x.At == 0 {
		x.At = time.Now().UnixMilli()
	}
	l.events = append(l.events, x)
	if over := len(l.events) - EventsMax; over > 0 {
		l.events = slices.Delete(l.events, 0, over)
	}
	return x
}

// timeline is a copy of the events that are kept.
func (l *looker) timeline() []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]event{}, l.events...)
}
