package simnet

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Fault is a rule in force.
type Fault struct {
	net    *Network
	name   string
	rule   Rule
	no     uint64 // in the order of their coming
	where  []Scope
	held   stallList // what it keeps from going on
	lifted bool
}

// Scope is a part of the network that a rule is about. It is asked about no other
// packets, which costs nothing then, however many rules there are. The zero value is a
// part where nothing is sent.
type Scope struct {
	host string
	s    *stream
}

// AtHost is what a host sends, and what is sent to it. The host may come later.
func AtHost(name string) Scope { return Scope{host: name} }

// AtConn is both directions of a connection that Network.Conns, or another method,
// returned.
func AtConn(c Conn) Scope { return Scope{s: c.s} }

// Add puts a rule behind the others. The first one that has an opinion decides.
// The name is for the trace. With scopes, the rule is asked about what is in one of them
// only, which must change nothing but what asking costs.
func (n *Network) Add(name string, rule Rule, where ...Scope) *Fault {
	n.note("fault", name)
	n.faults++
	f := &Fault{net: n, name: name, rule: rule, no: n.faults, where: where}
	n.rules = append(n.rules, f)
	f.each(func(list *[]*Fault) { *list = append(*list, f) })
	return f
}

// AddFor is Add for a limited time.
func (n *Network) AddFor(d time.Duration, name string, rule Rule, where ...Scope) *Fault {
	f := n.Add(name, rule, where...)
	n.After(d, f.Lift)
	return f
}

// each calls do for the lists of those who have to ask f, besides Network.rules.
func (f *Fault) each(do func(list *[]*Fault)) {
	if len(f.where) == 0 {
		do(&f.net.everywhere)
	}
	for i, w := range f.where {
		switch {
		case slices.Contains(f.where[:i], w):
		case w.s != nil:
			do(&w.s.rules)
		case w.host != "":
			do(&f.net.machine(w.host).rules)
		}
	}
}

// without is a copy of the list, which may be in use, without f.
func (f *Fault) without(list []*Fault) []*Fault {
	return slices.DeleteFunc(slices.Clone(list), func(other *Fault) bool { return other == f })
}

// Lift takes the rule out of force; what it stalled goes on. It may be repeated.
func (f *Fault) Lift() {
	if f.lifted {
		return
	}
	f.net.note("lift", f.name)
	f.net.rules = f.without(f.net.rules)
	f.end()
	resend(f.held.take())
}

// end has nobody ask f any more.
func (f *Fault) end() {
	f.lifted = true
	f.each(func(list *[]*Fault) { *list = f.without(*list) })
}

// Rules are the names of the rules in force, in their order.
func (n *Network) Rules() []string {
	names := make([]string, len(n.rules))
	for i, f := range n.rules {
		names[i] = f.name
	}
	return names
}

// LiftAll lifts all rules.
func (n *Network) LiftAll() {
	if len(n.rules) == 0 {
		return
	}
	n.note("lift", fmt.Sprintf("all %d", len(n.rules)))
	rules := n.rules
	n.rules = nil
	for _, f := range rules {
		f.end()
	}
	resend(heldBy(rules))
}

// Recheck tries all packets again that rules have stalled, for rules that have changed
// their mind.
func (n *Network) Recheck() { resend(heldBy(n.rules)) }

// heldBy takes what the rules hold, in the order in which it began.
func heldBy(rules []*Fault) (all []*stall) {
	for _, f := range rules {
		all = append(all, f.held.take()...)
	}
	slices.SortFunc(all, func(a, b *stall) int { return cmp.Compare(a.no, b.no) })
	return all
}

// judge asks the rules, and says which one had an opinion; nil: none.
func (n *Network) judge(pk *packet) (v Verdict, by *Fault) {
	s := pk.p.s
	lists := [...][]*Fault{n.everywhere, s.machines[0].rules, s.machines[1].rules, s.rules}
	f := nextFault(&lists)
	if f == nil {
		return v, nil
	}
	p := &n.asked
	if n.asking { // a rule has lifted another one
		p = new(Packet)
	}
	*p = pk.describe()
	was := n.asking
	n.asking = true
	for ; f != nil; f = nextFault(&lists) {
		if v = n.ask(f, p); v.act != actPass {
			by = f
			break
		}
	}
	n.asking = was
	return v, by
}

// nextFault takes the first rule of all lists, each of which is in order; nil: they are empty.
func nextFault(lists *[4][]*Fault) (f *Fault) {
	for _, l := range lists {
		if len(l) > 0 && (f == nil || l[0].no < f.no) {
			f = l[0]
		}
	}
	for i, l := range lists {
		if len(l) > 0 && l[0] == f { // a rule may be in several
			lists[i] = l[1:]
		}
	}
	return f
}
