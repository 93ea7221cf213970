package playground

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// nodeState is a node for the eye.
type nodeState struct {
	Name  string         `json:"name"`
	State string         `json:"state"` // up, paused, dead, stuck
	Queue map[string]int `json:"queue"` // messages that wait for its dispatcher
	Out   map[string]int `json:"out"`   // messages that its sessions hold, by priority
	Held  int64          `json:"held"`  // bytes, by the dispatch throttle
	Skew  time.Duration  `json:"skew"`  // of its time of day
	Got   int            `json:"got"`   // messages, in this life
}

// sessionState is what there is between two nodes, of which a comes first in the text.
type sessionState struct {
	A     string `json:"a"`
	B     string `json:"b"`
	State string `json:"state"` // connecting, ready, backoff, standby, closed
	// By a and by b: messages that were written and are kept until they are acknowledged,
	// and those that wait to be written.
	Kept   [2]int `json:"kept"`
	Queued [2]int `json:"queued"`
	Cut    bool   `json:"cut,omitempty"` // something holds packets of theirs
}

// state tells what there is now, and what has happened since the last one.
func (r *run) state() reply {
	out := reply{"type": "state", "at": r.play.Now(), "seed": r.seedText(), "textDone": r.play.Done()}
	if r.fresh {
		out["fresh"], r.fresh = true, false
	}
	if end, known := r.play.Length(); known {
		out["end"] = end
	}
	c := r.play.Cluster()
	if c == nil {
		out["ended"], out["violation"] = "violation", reply{"message": r.play.Err().Error(), "at": 0}
		return out
	}
	r.watch.read()
	sent, arrived := c.Tracked()
	nodes := r.nodes(c)
	sessions := r.sessions(c, nodes)
	frames, more := r.watch.marks()
	barred(sessions, frames)
	all := make([]sessionState, 0, len(sessions))
	for _, s := range sessions {
		all = append(all, *s)
	}
	place := make(map[string]int, len(r.names))
	for i, name := range r.names {
		place[name] = i
	}
	slices.SortFunc(all, func(x, y sessionState) int {
		return cmp.Or(place[x.A]-place[y.A], place[x.B]-place[y.B])
	})
	out["events_total"], out["sent"], out["deliveries"] = c.Net.Events(), sent, arrived
	out["faults_made"], out["unsent"] = r.play.Faults(), r.play.Unsent()
	out["nodes"], out["sessions"], out["frames"], out["more"] = nodes, all, frames, more
	out["events"], out["faults"] = r.events(), r.rules(c)
	switch err := r.play.Err(); {
	case err != nil:
		out["ended"], out["violation"] = "violation", r.violation(err)
	case r.limit != "":
		out["ended"], out["limit"] = "limit", r.limit
	}
	return out
}

// epoch is the time of day at the beginning (simnet.Config.Epoch).
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func (r *run) nodes(c *asynctest.Cluster) []nodeState {
	all := make([]nodeState, len(c.Nodes))
	for i, n := range c.Nodes {
		s := &all[i]
		*s = nodeState{Name: r.names[i], State: "up", Queue: map[string]int{}, Out: map[string]int{}, Got: n.Received}
		s.Skew = n.Host.Clock().Wall().Sub(epoch) - c.Net.Now()
		switch {
		case n.Down:
			s.State = "dead"
			continue
		case n.Host.Paused():
			s.State = "paused"
		case n.Stuck():
			s.State = "stuck"
		}
		stats := n.Stats()
		if s.Held = stats.DispatchBytes; stats.Queue.Len > 0 {
			s.Queue[""] = stats.Queue.Len
		}
	}
	for k, f := range r.watch.flows {
		if f.sent > f.ended {
			all[k.From].Out[strconv.Itoa(int(k.Priority))] += f.sent - f.ended
		}
	}
	return all
}

// stateNames are short names of states, in the order in which they count where two ends
// differ.
var stateNames = map[msg.ConnState]string{
	msg.StateConnecting: "connecting", msg.StateReady: "ready", msg.StateBackoff: "backoff",
	msg.StateStandby: "standby", msg.StateClosed: "closed",
}

// sessions are what there is between nodes, by their pairs.
func (r *run) sessions(c *asynctest.Cluster, nodes []nodeState) map[[2]int]*sessionState {
	all := map[[2]int]*sessionState{}
	get := func(a, b int) *sessionState {
		k := [2]int{min(a, b), max(a, b)}
		s := all[k]
		if s == nil {
			s = &sessionState{A: r.names[k[0]], B: r.names[k[1]]}
			all[k] = s
		}
		return s
	}
	byIP := make(map[netip.Addr]int, len(c.Nodes))
	for i, n := range c.Nodes {
		byIP[n.Host.Addr()] = i
	}
	for i, n := range c.Nodes {
		if n.Down {
			continue
		}
		for conn := range n.Connections() {
			addrs := conn.PeerAddrs()
			if len(addrs) == 0 {
				continue // it has accepted somebody, and does not know whom yet
			}
			j, known := byIP[addrs[0].AddrPort.Addr()]
			state := conn.State()
			if !known || j == i || state == msg.StateClosed {
				continue
			}
			s, name := get(i, j), stateNames[state]
			if s.State == "" || s.State == "ready" || name == "connecting" {
				s.State = name
			}
		}
	}
	for k, f := range r.watch.flows {
		if held := f.sent - f.ended; held > 0 && k.From != k.To {
			s := get(k.From, k.To)
			side := 0
			if k.From > k.To {
				side = 1
			}
			queued := min(held, max(f.sent-int(f.wired), 0))
			s.Queued[side] += queued
			s.Kept[side] += held - queued
		}
	}
	for _, s := range all {
		if s.State == "" {
			s.State = "closed"
		}
	}
	return all
}

// barred marks the sessions whose packets are held.
func barred(sessions map[[2]int]*sessionState, frames []*mark) {
	held := map[[2]string]bool{}
	for _, m := range frames {
		if m.Held {
			held[[2]string{m.A, m.B}], held[[2]string{m.B, m.A}] = true, true
		}
	}
	for _, s := range sessions {
		s.Cut = held[[2]string{s.A, s.B}]
	}
}

// rules are the names of the faults in force.
func (r *run) rules(c *asynctest.Cluster) []string {
	all := []string{}
	for _, name := range c.Net.Rules() {
		if name != "tap" && name != "dials" {
			all = append(all, r.named(name))
		}
	}
	return all
}

// named puts the names of nodes where the name of a rule has their numbers.
func (r *run) named(rule string) string {
	words := strings.Fields(rule)
	for i, w := range words {
		if n, err := strconv.Atoi(strings.Trim(w, "[]")); err == nil && n >= 0 && n < len(r.names) {
			words[i] = strings.Replace(w, strconv.Itoa(n), r.names[n], 1)
		}
	}
	return strings.Join(words, " ")
}

// events are the notes since the last state, in the order of time.
func (r *run) events() []note {
	log := r.play.Log()
	for ; r.logged < len(log); r.logged++ {
		when, text, _ := strings.Cut(log[r.logged], " ")
		n := note{Text: strings.TrimSpace(text), Kind: "act"}
		n.At, _ = time.ParseDuration(when)
		switch verb, _, _ := strings.Cut(n.Text, " "); {
		case verb == "fault:":
			n.Text, n.Kind = strings.TrimPrefix(n.Text, "fault: "), "fault"
		case verb == "run", verb == "at", verb == "until", strings.HasSuffix(verb, ":"):
			n.Kind = "note"
		}
		r.watch.note(n)
	}
	all := r.watch.told
	r.watch.told = nil
	slices.SortStableFunc(all, func(a, b note) int { return cmp.Compare(a.At, b.At) })
	if all = all[max(0, len(all)-EventsMax):]; all == nil {
		all = []note{}
	}
	return all
}
