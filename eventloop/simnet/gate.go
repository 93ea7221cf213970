package simnet

import "slices"

// Gate keeps packets until its owner lets them go, one by one and in any order:
// what is stalled goes on when its rule is lifted, what a gate holds does not. It
// decides which of several handshakes wins.
type Gate struct {
	name  string
	pipes []*pipe
}

// NewGate makes a gate that holds nothing; its Hold is for rules to return. The
// name is for Netstat.
func NewGate(name string) *Gate { return &Gate{name: name} }

// Hold is the verdict that keeps the packet, and all that follow on this direction
// of its connection, until the gate releases it. A RST is lost,
// unless it answers data.
func (g *Gate) Hold() Verdict { return Verdict{act: actHold, gate: g} }

// Held are the packets that the gate holds, at most one of each direction of a
// connection, in the order of their coming.
func (g *Gate) Held() []Packet {
	g.clean()
	all := make([]Packet, 0, len(g.pipes))
	for _, p := range g.pipes {
		pk := p.stall.held[0].describe()
		pk.Data = slices.Clone(pk.Data)
		all = append(all, pk)
	}
	return all
}

// Release lets packet i of Held go, without asking the rules again. Those behind
// it are asked about as if they were sent now.
func (g *Gate) Release(i int) {
	g.clean()
	p := g.pipes[i]
	g.pipes = slices.Delete(g.pipes, i, i+1)
	p.release(g)
}

// ReleaseAll lets all go that are held now, in the order of their coming.
func (g *Gate) ReleaseAll() {
	g.clean()
	pipes := g.pipes
	g.pipes = nil
	for _, p := range pipes {
		p.release(g)
	}
}

// clean forgets connections that have ended.
func (g *Gate) clean() {
	g.pipes = slices.DeleteFunc(g.pipes, func(p *pipe) bool { return p.stall == nil || p.stall.owner != any(g) })
}
