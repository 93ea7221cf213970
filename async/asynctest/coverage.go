package asynctest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// Cover is something that a run has reached: a frame with that tag was handled in
// that state of a session while that fault was in force at its node, or had just
// struck it; "" is no fault at all.
type Cover struct {
	State session.State
	Tag   frame.Tag
	Fault string
}

func (c Cover) String() string { return fmt.Sprintf("%v %v %q", c.State, c.Tag, c.Fault) }

// Coverage counts what was reached.
type Coverage map[Cover]int

// Add adds what another run has reached.
func (c Coverage) Add(other Coverage) {
	for k, n := range other {
		c[k] += n
	}
}

// Pair is a state and a tag that may arrive in it.
type Pair struct {
	State session.State
	Tag   frame.Tag
}

// unreachable are pairs of the state table that no run of ours can reach, and why.
var unreachable = map[Pair]string{
	{session.StateSessionReconnecting, frame.TagSessionRetryGlobal}: "a messenger draws a higher global_seq for " +
		"each attempt, and does not read from those that it gave up",
}

// Reachable are the pairs that the state table of the session allows, without
// those that cannot be reached.
func Reachable() (pairs []Pair) {
	for _, st := range session.States() {
		for tag := range 256 {
			p := Pair{st, frame.Tag(tag)}
			if session.Allowed(st, p.Tag) && unreachable[p] == "" {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

// Missed are the reachable pairs that were never hit.
func (c Coverage) Missed() (missed []Pair) {
	hit := map[Pair]bool{}
	for k := range c {
		hit[Pair{k.State, k.Tag}] = true
	}
	for _, p := range Reachable() {
		if !hit[p] {
			missed = append(missed, p)
		}
	}
	return missed
}

// String is a table: for each pair how often it was hit, and by which faults.
func (c Coverage) String() string {
	var b strings.Builder
	for _, p := range Reachable() {
		n := 0
		var faults []string
		for k, hits := range c {
			if k.State == p.State && k.Tag == p.Tag {
				n += hits
				if k.Fault != "" {
					faults = append(faults, k.Fault)
				}
			}
		}
		slices.Sort(faults)
		fmt.Fprintf(&b, "%-22v %-22v %9d %2d faults: %s\n", p.State, p.Tag, n, len(faults), strings.Join(faults, ", "))
	}
	return b.String()
}
