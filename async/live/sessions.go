package live

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// topSessions keeps the SessionsMax connections that are of most interest; it is a heap with the
// least of them first.
type topSessions []candidate

type candidate struct {
	interest   float64
	here, peer entity.Name
	d          delta
	s          connection.ConnStats
}

// interest is more for trouble than for any traffic.
func interest(s *connection.ConnStats, d delta) float64 {
	x := d.bytes + d.sent + d.received
	switch {
	case s.Stalled > 0 && s.Stalled >= longStall:
		x += math.MaxInt32 * 4
	case s.State != msg.StateReady:
		x += math.MaxInt32 * 2
	case d.faults > 0 || s.WaitsFor != "":
		x += math.MaxInt32
	}
	return x
}

// longStall is how long nothing of what is held may have its end before that is trouble.
const longStall = 1e9

// offer takes a connection if it is of more interest than the least.
func (t *topSessions) offer(here, peer entity.Name, s *connection.ConnStats, d delta) {
	i := interest(s, d)
	switch {
	case len(*t) < SessionsMax:
		heap.Push(t, candidate{i, here, peer, d, *s})
	case i > (*t)[0].interest:
		(*t)[0] = candidate{i, here, peer, d, *s}
		heap.Fix(t, 0)
	}
}

func (t topSessions) Len() int           { return len(t) }
func (t topSessions) Less(i, j int) bool { return t[i].interest < t[j].interest }
func (t topSessions) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *topSessions) Push(x any) { *t = append(*t, x.(candidate)) }

// Pop implements heap.Interface; it is not called.
func (t *topSessions) Pop() any { panic("live: nothing is taken from the heap") }

// list is sorted by names, so that lines stay where they are.
func (t topSessions) list() []session {
	slices.SortFunc(t, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.here.Type, b.here.Type), cmp.Compare(a.here.Num, b.here.Num),
			cmp.Compare(a.peer.Type, b.peer.Type), cmp.Compare(a.peer.Num, b.peer.Num), cmp.Compare(a.s.ID, b.s.ID))
	})
	out := make([]session, 0, len(t))
	for i := range t {
		c := &t[i]
		x := session{
			ID: c.s.ID, Node: c.here.String(), Peer: c.peer.String(), State: c.s.State.String(),
			Policy: policy(c.s.Policy),
			Sent:   c.d.sent, Received: c.d.received, Bytes: c.d.bytes, Held: c.s.Held, AckTime: int64(c.s.AckTime),
			WaitsFor: c.s.WaitsFor, Faults: c.s.Faults, Resumed: c.s.Resumed, Replayed: c.s.Replayed,
		}
		if c.s.Remote.IsValid() {
			x.Remote = c.s.Remote.String()
		}
		if c.s.State != msg.StateReady {
			x.Step = c.s.Step
		}
		if c.s.Stalled >= longStall {
			x.Stalled = int64(c.s.Stalled)
		}
		if c.s.LastError != nil {
			x.Error, x.ErrorAgo = clip(c.s.LastError.Error()), int64(c.s.FaultAgo)
		}
		out = append(out, x)
	}
	return out
}

func policy(p msg.Policy) string {
	s := "lossless"
	if p.Lossy {
		s = "lossy"
	}
	if p.Server {
		return s + " server"
	}
	return s
}

// textMax bounds what peers and systems say.
const textMax = 200

func clip(s string) string {
	if len(s) <= textMax {
		return s
	}
	return s[:textMax] + "…"
}

type groupKey struct {
	t     entity.Type
	state msg.ConnState
}

// group adds a connection to the sum of its kind.
func (x *glance) group(t entity.Type, s *connection.ConnStats, d delta) {
	k := groupKey{t, s.State}
	g := x.groups[k]
	if g == nil {
		if len(x.groups) >= GroupsMax {
			return
		}
		if x.groups == nil {
			x.groups = map[groupKey]*group{}
		}
		g = &group{Peer: t.String(), State: s.State.String()}
		if t == 0 {
			g.Peer = "not known yet"
		}
		x.groups[k] = g
	}
	g.Conns++
	g.Sent += d.sent
	g.Received += d.received
	g.Bytes += d.bytes
	g.Held += s.Held
	g.Faults += s.Faults
}

func (x *glance) groupList() []group {
	out := make([]group, 0, len(x.groups))
	for _, g := range x.groups {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.State, b.State))
	})
	return out
}
