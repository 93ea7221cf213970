package playground

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// state tells what there is now, and what has happened since the last one.
func (r *run) state() reply {
	out := reply{"type": "state", "at": r.play.Now(), "seed": r.seedText(), "textDone": r.play.Done()}
	fresh := r.fresh
	if fresh {
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
	nodes := r.lookAtNodes(c, fresh)
	sessions := r.sessions(c)
	frames, more := r.watch.marks()
	for _, m := range frames {
		if s := sessions[pairOf(m.a, m.b)]; m.held && s != nil {
			s.cut = true
		}
	}
	for _, p := range barred(c.Net.Rules()) {
		if s := sessions[p]; s != nil {
			s.cut = true
		}
	}
	out["events_total"], out["sent"], out["deliveries"] = c.Net.Events(), sent, arrived
	out["faults_made"], out["unsent"], out["more"] = r.play.Faults(), r.play.Unsent(), more
	out["events"], out["faults"] = r.events(), r.rules(c)
	out[large] = r.encode(nodes, sessions, frames)
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

// nodeState is a node for the eye.
type nodeState struct {
	state string // up, paused, dead, stuck
	queue waiting
	held  int64 // bytes, by the dispatch throttle
	skew  time.Duration
	got   int           // messages, in this life
	out   map[uint8]int // messages that its sessions hold, by priority
}

// waiting is what waits for a node's dispatcher, by band of priorities.
type waiting [dispatch.Bands]int

// waits are the priorities that a band is drawn as.
var waits = [dispatch.Bands]uint8{dispatch.BandEvents: msg.PriorityHighest, dispatch.BandHigh: msg.PriorityHigh,
	dispatch.BandNormal: msg.PriorityDefault, dispatch.BandWeighted: msg.PriorityLow}

func waitingAt(n *asynctest.Node) (w waiting) {
	for i, b := range n.Snapshot().Bands {
		w[i] = b.Len
	}
	return w
}

// fewNodes are as many as are asked each time for all that they have counted, which takes a
// while. Of more, one in four is.
const fewNodes = 16

// lookAtNodes brings what is known of the nodes up to date.
func (r *run) lookAtNodes(c *asynctest.Cluster, all bool) []nodeState {
	if r.nodes == nil {
		r.nodes = make([]nodeState, len(c.Nodes))
	}
	r.looks++
	for i, n := range c.Nodes {
		s := &r.nodes[i]
		was := s.state
		s.state, s.got = "up", n.Received
		s.skew = n.Host.Clock().Wall().Sub(epoch) - c.Net.Now()
		clear(s.out)
		switch {
		case n.Down:
			s.state, s.queue, s.held = "dead", waiting{}, 0
			continue
		case n.Host.Paused():
			s.state = "paused"
		case n.Stuck():
			s.state = "stuck"
		}
		if all || len(c.Nodes) <= fewNodes || s.state != was || s.state != "up" || i%4 == r.looks%4 {
			stats := n.Stats()
			if s.held, s.queue = stats.DispatchBytes, (waiting{}); stats.Queue.Len > 0 {
				s.queue = waitingAt(n)
			}
		}
	}
	for k, f := range r.watch.flows {
		if s := &r.nodes[k.From]; f.sent > f.ended {
			if s.out == nil {
				s.out = map[uint8]int{}
			}
			s.out[k.Priority] += f.sent - f.ended
		}
	}
	return r.nodes
}

// stateNames are short names of states, in the order in which they count where two ends
// differ.
var stateNames = map[msg.ConnState]string{
	msg.StateConnecting: "connecting", msg.StateReady: "ready", msg.StateBackoff: "backoff",
	msg.StateStandby: "standby", msg.StateClosed: "closed",
}

// sessionState is what there is between two nodes.
type sessionState struct {
	state string // connecting, ready, backoff, standby, closed
	// By the one that comes first in the text and the other: messages that were written and
	// are kept until they are acknowledged, and those that wait to be written.
	kept, queued [2]int
	cut          bool // something holds packets of theirs, or would
}

// pair are two nodes, the smaller index first.
type pair [2]int

func pairOf(a, b int) pair { return pair{min(a, b), max(a, b)} }

// sessions are what there is between nodes.
func (r *run) sessions(c *asynctest.Cluster) map[pair]*sessionState {
	all := make(map[pair]*sessionState, 4*len(c.Nodes))
	get := func(a, b int) *sessionState {
		s := all[pairOf(a, b)]
		if s == nil {
			s = &sessionState{}
			all[pairOf(a, b)] = s
		}
		return s
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
			j, known := r.watch.addrs[addrs[0].AddrPort.Addr()]
			state := conn.State()
			if !known || j == i || state == msg.StateClosed {
				continue
			}
			s, name := get(i, j), stateNames[state]
			if s.state == "" || s.state == "ready" || name == "connecting" {
				s.state = name
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
			s.queued[side] += queued
			s.kept[side] += held - queued
		}
	}
	for _, s := range all {
		if s.state == "" {
			s.state = "closed"
		}
	}
	return all
}

// barred are the pairs of nodes between which rules let nothing pass, by the names that
// scenarios give them: stall 0 1, partition [0 1] [2 3].
func barred(rules []string) (all []pair) {
	numbers := func(text string) (nodes []int) {
		for _, w := range strings.Fields(strings.Trim(text, "[] ")) {
			if n, err := strconv.Atoi(w); err == nil {
				nodes = append(nodes, n)
			}
		}
		return nodes
	}
	for _, rule := range rules {
		kind, rest, _ := strings.Cut(rule, " ")
		a, b, _ := strings.Cut(rest, " ")
		switch kind {
		case "stall":
		case "partition":
			a, b, _ = strings.Cut(rest, "] [")
		default:
			continue
		}
		for _, x := range numbers(a) {
			for _, y := range numbers(b) {
				all = append(all, pairOf(x, y))
			}
		}
	}
	return all
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
		case verb == "run", verb == "at":
			continue // the clock shows it
		case verb == "fault:":
			n.Text, n.Kind = strings.TrimPrefix(n.Text, "fault: "), "fault"
		case verb == "until", strings.HasSuffix(verb, ":"):
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
