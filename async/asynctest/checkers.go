package asynctest

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
)

// CheckExactlyOnce fails the test unless every tracked message has arrived exactly
// once, those of a flow (one connection and priority) in the order of sending, and
// every sender was told so. It is what lossless policies promise. Left out are flows
// between two nodes of which one crashed, or marked the other's connection down.
func (c *Cluster) CheckExactlyOnce() {
	c.tb.Helper()
	c.report(c.checkFlows(true))
}

// CheckPrefix fails the test unless what arrived of each flow is what was sent
// first: in order, nothing twice, no holes. It is what lossy policies promise; with
// lossless ones it holds at any moment.
func (c *Cluster) CheckPrefix() {
	c.tb.Helper()
	c.report(c.checkFlows(false))
}

// CheckEnded fails the test unless each tracked message that a running messenger
// accepted has had its end, good or bad (msg.Notifier). It is what every policy
// promises once the network is at rest.
func (c *Cluster) CheckEnded() {
	c.tb.Helper()
	faults := c.ledger.broken
	for _, a := range c.ledger.order {
		if n := c.Nodes[a.From]; !n.Down && n.life == a.Life {
			faults = a.report(faults, a.Unended())
		}
	}
	c.report(faults)
}

// CheckNothingHeld fails the test if a messenger that is at rest holds messages, to be
// dispatched or sent, shares of the dispatch throttle, or unfinished handshakes.
func (c *Cluster) CheckNothingHeld() {
	c.tb.Helper()
	var faults []string
	for _, n := range c.Nodes {
		if n.Down {
			continue
		}
		s := n.Stats()
		if s.DispatchBytes != 0 || s.Queue.Len != 0 || s.Handshakes != 0 {
			faults = append(faults, fmt.Sprintf("%v holds %d bytes of dispatch, %d in the queue, %d handshakes",
				n.Name(), s.DispatchBytes, s.Queue.Len, s.Handshakes))
		}
		faults = append(faults, n.unsettled()...)
	}
	if n, planned := c.panics(); n > planned {
		faults = append(faults, fmt.Sprintf("%d panics in callbacks, %d planned", n, planned))
	}
	c.report(faults)
}

// unsettled says which connections of a node hold something for sending.
func (n *Node) unsettled() (faults []string) {
	for conn := range n.Connections() {
		if messages, bytes := conn.SendQueue(); messages != 0 || bytes != 0 {
			faults = append(faults, fmt.Sprintf("%v holds %d messages, %d bytes, for sending on %v",
				n.Name(), messages, bytes, conn))
		}
	}
	if s := n.Stats(); len(faults) == 0 && s.SendBytes != 0 {
		faults = append(faults, fmt.Sprintf("%v holds %d bytes for sending, no connection does", n.Name(), s.SendBytes))
	}
	return faults
}

func (c *Cluster) checkFlows(all bool) (faults []string) {
	faults = append(faults, c.ledger.broken...)
	for _, a := range c.ledger.order {
		if c.ledger.isTainted(a.Flow) {
			continue
		}
		faults = a.report(faults, a.broken)
		if all {
			faults = a.report(faults, a.ExactlyOnce())
		} else {
			faults = a.report(faults, a.Prefix())
		}
	}
	return faults
}

func (a *account) report(faults []string, broken []promise.Breach) []string {
	for _, b := range broken {
		faults = append(faults, fmt.Sprintf("%v: %s", a.Flow, b.What))
	}
	return faults
}

func (c *Cluster) report(faults []string) {
	c.tb.Helper()
	if len(faults) == 0 {
		return
	}
	for i, f := range faults {
		if i == 10 {
			c.tb.Logf("... and %d more", len(faults)-i)
			break
		}
		c.tb.Log(f)
	}
	c.tb.Fatalf("asynctest: %d faults at %v (seed %d)", len(faults), c.Net.Now(), c.opt.Seed)
}
