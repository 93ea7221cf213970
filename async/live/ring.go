package live

import (
	"cmp"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// ring collects nodes and what they have with each other. It keeps its memory from look to look:
// ten thousand peers are ten thousand nodes, until they are folded.
type ring struct {
	nodes []ringNode
	index map[entity.Name]int32
	links []ringLink
	pairs map[[2]int32]int32
}

type ringNode struct {
	name           entity.Name
	here           bool
	conns, ready   int
	queue          [dispatch.Bands]int
	in             [dispatch.Bands]float64
	fast           float64
	held           int
	heldBytes      int64
	sent, received float64
	faults         uint64
}

// ringLink is between nodes a < b.
type ringLink struct {
	a, b                      int32
	conns, up, held           int
	ab, ba                    float64
	faults, resumed, replayed uint64
	cut                       bool
}

func (r *ring) reset() {
	if r.index == nil {
		r.index, r.pairs = map[entity.Name]int32{}, map[[2]int32]int32{}
	}
	clear(r.index)
	clear(r.pairs)
	r.nodes, r.links = r.nodes[:0], r.links[:0]
}

func (r *ring) at(name entity.Name, here bool) int32 {
	i, ok := r.index[name]
	if !ok {
		i = int32(len(r.nodes))
		r.index[name] = i
		r.nodes = append(r.nodes, ringNode{name: name})
	}
	r.nodes[i].here = r.nodes[i].here || here
	return i
}

// node is valid until the next one.
func (r *ring) node(name entity.Name, here bool) *ringNode { return &r.nodes[r.at(name, here)] }

// connection adds one of a node that is here. If its peer is here too, that end tells what it
// has sent; otherwise this one tells both.
func (r *ring) connection(here, peer entity.Name, s *connection.ConnStats, d delta, peerHere bool) {
	i, j := r.at(here, true), r.at(peer, peerHere)
	n := &r.nodes[i]
	n.conns++
	n.held += s.Held
	n.heldBytes += s.HeldBytes
	n.sent += d.sent
	n.received += d.received
	n.faults += s.Faults
	up := 0
	if s.Up {
		up = 1
	}
	n.ready += up
	if !peerHere {
		o := &r.nodes[j]
		o.conns++
		o.ready += up
		o.sent += d.received
		o.received += d.sent
		o.faults += s.Faults
	}
	if i == j {
		return
	}
	key := [2]int32{min(i, j), max(i, j)}
	k, ok := r.pairs[key]
	if !ok {
		k = int32(len(r.links))
		r.pairs[key] = k
		r.links = append(r.links, ringLink{a: key[0], b: key[1]})
	}
	l := &r.links[k]
	if !peerHere || i < j { // one end counts a session
		l.conns++
		l.up += up
		l.faults += s.Faults
		l.resumed += s.Resumed
	}
	l.held += s.Held
	l.replayed += s.Replayed
	l.cut = l.cut || d.cuts > 0
	out, in := &l.ab, &l.ba
	if i > j {
		out, in = in, out
	}
	*out += d.sent
	if !peerHere {
		*in += d.received
	}
}

// fold makes at most NodesMax nodes of all: types of which there are few are drawn one by one,
// of others the first ones are, and the rest is one node for each type. Which those are does
// not depend on what they do, so the ring stays as it is.
func (r *ring) fold(cfg *Config) ([]node, []link) {
	byType := map[entity.Type][]int32{}
	for i := range r.nodes {
		t := r.nodes[i].name.Type
		byType[t] = append(byType[t], int32(i))
	}
	types := make([]entity.Type, 0, len(byType))
	for t := range byType {
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b entity.Type) int {
		return cmp.Or(cmp.Compare(len(byType[a]), len(byType[b])), cmp.Compare(a, b))
	})
	types = types[:min(len(types), NodesMax)] // there are not so many
	left := NodesMax - len(types)             // beside one for each type
	var nodes []node
	target := make([]int32, len(r.nodes)) // in nodes
	for i := range target {
		target[i] = -1
	}
	for _, t := range types {
		all := byType[t]
		slices.SortFunc(all, func(a, b int32) int {
			x, y := &r.nodes[a], &r.nodes[b]
			if x.here != y.here {
				return map[bool]int{true: -1, false: 1}[x.here]
			}
			return cmp.Compare(x.name.Num, y.name.Num)
		})
		single := min(len(all), left+1)
		if single < len(all) {
			single-- // the last one is of the rest
		}
		left -= min(left, max(single-1, 0))
		for k, i := range all {
			if k <= single {
				n := node{Type: t.String(), Name: r.nodes[i].name.String()}
				if k == single {
					n.Name, n.Folded = t.String(), len(all)-single
				}
				nodes = append(nodes, n)
			}
			target[i] = int32(len(nodes) - 1)
			nodes[len(nodes)-1].add(&r.nodes[i])
		}
	}
	for i := range nodes {
		nodes[i].complete(cfg)
	}
	return nodes, r.foldLinks(nodes, target)
}

// add adds what is of one node to the one that is drawn.
func (n *node) add(r *ringNode) {
	n.Here = n.Here || r.here
	n.Conns += r.conns
	n.Ready += r.ready
	for i := range r.queue {
		n.Queue[i] += r.queue[i]
		n.In[i] += r.in[i]
	}
	n.Fast += r.fast
	n.Out += r.held
	n.OutBytes += r.heldBytes
	n.Sent += r.sent
	n.Received += r.received
	n.Faults += r.faults
}

// complete asks what was done to a node, and what may be.
func (n *node) complete(cfg *Config) {
	if n.Folded > 0 {
		return
	}
	if cfg.Condition != nil {
		n.Condition = cfg.Condition(n.Name)
	}
	for _, a := range cfg.Actions {
		if a.For(n.Name) {
			n.Can = append(n.Can, a.Name)
		}
	}
}

func (r *ring) foldLinks(nodes []node, target []int32) []link {
	links, index := []link{}, map[[2]int32]int{}
	for i := range r.links {
		l := &r.links[i]
		a, b, ab, ba := target[l.a], target[l.b], l.ab, l.ba
		if a < 0 || b < 0 || a == b {
			continue
		}
		if a > b {
			a, b, ab, ba = b, a, ba, ab
		}
		k, ok := index[[2]int32{a, b}]
		if !ok {
			k = len(links)
			index[[2]int32{a, b}] = k
			links = append(links, link{A: nodes[a].Name, B: nodes[b].Name})
		}
		x := &links[k]
		x.Conns += l.conns
		x.Up += l.up
		x.AB += ab
		x.BA += ba
		x.Held += l.held
		x.Faults += l.faults
		x.Resumed += l.resumed
		x.Replayed += l.replayed
		x.Cut = x.Cut || l.cut
	}
	return links
}
