package simulate

import (
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// The gossip: rumours begin somewhere, a node that hears one for the first time
// tells it to some of its peers, and all the time nodes ask a peer for what they
// have missed. A node that dies has forgotten everything.
const (
	gossipPeers   = 10
	gossipFanout  = 4
	gossipRumours = 32
	gossipActive  = 20 * time.Second
	gossipCompare = 3 * time.Second

	typeRumour  = 0x601 // one byte: its number
	typeCompare = 0x602 // the rumours the sender knows, eight to a byte
)

type gossip struct {
	w      *world
	peers  [][]int
	knows  []rumours // by node
	stable []bool    // by rumour: its origin has not died since
	origin []int     // by rumour
	begun  int
	heard  [gossipRumours]int // how many nodes know a rumour
	uneven int                // rumours that some nodes know and others do not
}

// rumours is a set.
type rumours uint64

func newGossip(w *world) scenario { return &gossip{w: w} }

func (g *gossip) options() asynctest.Options {
	return asynctest.Options{
		Policy:  msg.LosslessPeer(),
		Network: simnet.Config{Link: simnet.LinkConfig{Latency: simnet.LogNormal(3*time.Millisecond, 0.7)}},
	}
}

func (g *gossip) active() time.Duration { return gossipActive }

func (g *gossip) faults() (int, []faultKind) { return 20 + g.w.cfg.Nodes/10, allFaults }

// begin chooses peers, a ring and random ones, and when rumours begin.
func (g *gossip) begin() {
	n, rnd := g.w.cfg.Nodes, g.w.rnd
	g.knows = make([]rumours, n)
	g.stable, g.origin = make([]bool, gossipRumours), make([]int, gossipRumours)
	for i := range n {
		peers := []int{(i + 1) % n}
		for len(peers) < min(gossipPeers, n-1) {
			if p := rnd.IntN(n); p != i && !slices.Contains(peers, p) {
				peers = append(peers, p)
			}
		}
		g.peers = append(g.peers, peers)
		g.live(i)
	}
	for r := range gossipRumours {
		g.w.net.After(time.Duration(rnd.Int64N(int64(gossipActive*3/4))), func() { g.start(r) })
	}
}

// live has a node compare what it knows with its peers, until everybody knows everything.
func (g *gossip) live(i int) {
	g.w.every(i, gossipCompare, func() bool { return !g.done() }, func() {
		_ = g.w.send(i, g.peers[i][g.w.rnd.IntN(len(g.peers[i]))], typeCompare, 0,
			le.AppendUint64(nil, uint64(g.knows[i])))
	})
}

// start begins a rumour at some node that runs.
func (g *gossip) start(r int) {
	i := g.w.rnd.IntN(g.w.cfg.Nodes)
	for g.w.c.Nodes[i].Down {
		i = (i + 1) % g.w.cfg.Nodes
	}
	g.begun++
	g.origin[r], g.stable[r] = i, true
	g.hear(i, r)
}

// hear has a node learn of a rumour, and pass it on if it is new.
func (g *gossip) hear(i, r int) {
	if g.knows[i]&(1<<r) != 0 {
		return
	}
	g.knows[i] |= 1 << r
	g.count(r, 1)
	for range gossipFanout {
		_ = g.w.send(i, g.peers[i][g.w.rnd.IntN(len(g.peers[i]))], typeRumour, 0, []byte{byte(r)})
	}
}

func (g *gossip) message(n *asynctest.Node, h header, m *msg.Message) {
	switch m.Type {
	case typeRumour:
		g.hear(n.Index, int(m.Data[0]))
	case typeCompare:
		theirs, mine := rumours(le.Uint64(m.Data)), g.knows[n.Index]
		for r := range gossipRumours {
			switch bit := rumours(1) << r; {
			case theirs&bit != 0 && mine&bit == 0:
				g.hear(n.Index, r)
			case theirs&bit == 0 && mine&bit != 0:
				_ = g.w.send(n.Index, int(h.from), typeRumour, 0, []byte{byte(r)})
			}
		}
	}
	m.Release()
}

// count notes that a node more, or less, knows a rumour.
func (g *gossip) count(r, d int) {
	uneven := func() int {
		if g.heard[r] > 0 && g.heard[r] < len(g.knows) {
			return 1
		}
		return 0
	}
	g.uneven -= uneven()
	g.heard[r] += d
	g.uneven += uneven()
}

// restarted: the new life knows nothing, and what the old one began may be forgotten.
func (g *gossip) restarted(i int) {
	for r := range gossipRumours {
		if g.knows[i]&(1<<r) != 0 {
			g.count(r, -1)
		}
		if g.origin[r] == i {
			g.stable[r] = false
		}
	}
	g.knows[i] = 0
	g.live(i)
}

// done: what anybody knows, all know.
func (g *gossip) done() bool { return !g.w.busy && g.uneven == 0 }

func (g *gossip) check() {
	var all rumours
	for _, k := range g.knows {
		all |= k
	}
	for i, k := range g.knows {
		if k != all {
			g.w.violated("app", "node %d knows the rumours %x, not %x", i, k, all)
		}
	}
	lost := 0
	for r := range gossipRumours {
		if all&(1<<r) != 0 {
			continue
		}
		lost++
		if g.stable[r] {
			g.w.violated("app", "rumour %d of node %d, which has lived on, is forgotten", r, g.origin[r])
		}
	}
	g.w.note("%d rumours, of which %d died with their origin", g.begun, lost)
}
