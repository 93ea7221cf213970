package simnet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Netstat shows all sockets, one a line: host, state, ends, bytes unread here,
// bytes written that are not known to be read and how many of them are under way,
// and packets that are held and by what; and hosts that do not run, rules in force
// and breakpoints.
func (n *Network) Netstat() string {
	var b strings.Builder
	for _, h := range n.hosts {
		for _, l := range h.allListeners() {
			fmt.Fprintf(&b, "%-10s LISTEN      %s backlog %d\n", h.name, l.addr, len(l.backlog))
		}
		for e := h.sockets.first; e != nil; e = e.next {
			out := e.out()
			fmt.Fprintf(&b, "%-10s %-11s %s %s conn %d unread %d sent %d under way %d%s%s\n",
				h.name, e.stateName(), e.local(), e.remote(), e.s.id, e.in().arrived-e.in().read,
				out.sent()-out.granted, out.sent()-out.arrived, out.heldBy(), e.flags())
		}
		switch {
		case h.state == crashed:
			fmt.Fprintf(&b, "%-10s DOWN\n", h.name)
		case h.paused:
			fmt.Fprintf(&b, "%-10s PAUSED\n", h.name)
		}
	}
	for _, f := range n.rules {
		fmt.Fprintf(&b, "rule       %s\n", f.name)
	}
	for _, k := range n.breaks {
		fmt.Fprintf(&b, "break      %s: %s %v, %d stopped\n", k.name, k.host, k.op, len(k.hits))
	}
	return b.String()
}

// heldBy says what keeps packets from being sent.
func (p *pipe) heldBy() string {
	s := p.stall
	if s == nil {
		return ""
	}
	by := ""
	switch s.owner.(type) {
	case *Gate:
		by = "gate " + s.by
	case *Hit:
		by = "breakpoint " + s.by
	case *Fault:
		by = "rule " + s.by
	case *machine:
		by = "a host that is down"
	}
	return fmt.Sprintf(" held %d by %s", len(s.held), by)
}

func (e *endpoint) stateName() string {
	switch {
	case e.err != nil:
		return "RESET"
	case !e.established:
		return "SYN-SENT"
	case e.closed:
		return "CLOSING"
	case e.finSent && e.eof:
		return "FIN-BOTH"
	case e.finSent:
		return "FIN-SENT"
	case e.eof:
		return "CLOSE-WAIT"
	}
	return "ESTABLISHED"
}

func (e *endpoint) flags() (s string) {
	if e.withheld() {
		s = " read stopped"
	}
	switch {
	case e.t == nil:
		s += " unowned"
	case e.t.paused && e.t.full:
		s += " paused full"
	case e.t.paused:
		s += " paused"
	case e.t.full:
		s += " full"
	}
	return s
}

// Flight is a packet that was sent and has not arrived.
type Flight struct {
	Packet
	// Arrives is when it will, if nothing comes between; 0: it is held.
	Arrives time.Duration
	// HeldBy says what holds it, or holds one before it; empty: nothing.
	HeldBy string
}

// InFlight are the packets under way, in the order of their arrival, and then those
// that are held, by connection. Their Data are copies.
func (n *Network) InFlight() []Flight {
	var all []Flight
	n.EachInFlight(func(f *Flight) {
		all = append(all, *f)
		last := &all[len(all)-1]
		last.Data = slices.Clone(f.Data)
	})
	return all
}

// EachInFlight calls f with what InFlight gives, without copies: a Flight and its Data are
// valid during the call, in which f must not use the network.
func (n *Network) EachInFlight(f func(*Flight)) {
	type coming struct {
		key eventKey
		pk  *packet
	}
	var under []coming
	for _, k := range n.queue.keys() {
		if pk, ok := n.queue.slots[k.order&(1<<slotBits-1)].do.(*packet); ok && pk.epoch == pk.p.epoch {
			under = append(under, coming{k, pk})
		}
	}
	slices.SortFunc(under, func(a, b coming) int {
		if a.key.before(b.key) {
			return -1
		}
		return 1
	})
	for _, c := range under {
		f(&Flight{Packet: c.pk.describe(), Arrives: c.key.at})
	}
	for s := n.conns.first; s != nil; s = s.next {
		for i := range s.pipes {
			p := &s.pipes[i]
			if p.stall == nil {
				continue
			}
			by := strings.TrimPrefix(p.heldBy(), " ")
			for _, pk := range p.stall.held {
				f(&Flight{Packet: pk.describe(), HeldBy: by})
			}
		}
	}
}
