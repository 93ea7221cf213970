package simnet

import (
	"fmt"
	"strings"
)

// Netstat shows all sockets, one a line: host, state, ends, bytes unread here,
// bytes written and not yet known to be read, and packets that a rule holds.
func (n *Network) Netstat() string {
	var b strings.Builder
	for _, h := range n.hosts {
		for _, l := range h.listeners {
			fmt.Fprintf(&b, "%-10s LISTEN      %s backlog %d\n", h.name, l.addr, len(l.backlog))
		}
		for _, e := range h.sockets {
			fmt.Fprintf(&b, "%-10s %-11s %s %s conn %d unread %d sent %d held %d%s\n", h.name, e.stateName(), e.local, e.remote,
				e.s.id, e.bytes, e.out.sent-e.out.granted, len(e.out.held), e.flags())
		}
		if h.state == crashed {
			fmt.Fprintf(&b, "%-10s DOWN\n", h.name)
		}
	}
	for _, f := range n.rules {
		fmt.Fprintf(&b, "rule       %s\n", f.name)
	}
	return b.String()
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

func (e *endpoint) flags() string {
	switch {
	case e.t == nil:
		return " unowned"
	case e.t.paused && e.t.full:
		return " paused full"
	case e.t.paused:
		return " paused"
	case e.t.full:
		return " full"
	}
	return ""
}
