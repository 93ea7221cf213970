package asynctest

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// activeFault is a fault in force.
type activeFault struct {
	what  string
	nodes uint64 // bits
	until time.Duration
}

// echo is how long a fault that is over at once counts as the cause of what follows.
const echo = 5 * time.Millisecond

// strike notes that something was broken at these nodes.
func (s *swarm) strike(what string, nodes ...int) { s.enforce(what, echo, nodes...) }

func (s *swarm) enforce(what string, d time.Duration, nodes ...int) {
	s.result.Faults[what]++
	f := activeFault{what: what, until: s.Net.Now() + max(d, echo)}
	for _, i := range nodes {
		f.nodes |= 1 << i
	}
	s.active = append(s.active, f)
}

// addFor puts a rule into force, which concerns these nodes.
func (s *swarm) addFor(d time.Duration, what string, rule simnet.Rule, nodes ...int) {
	s.enforce(what, d, nodes...)
	s.AddFor(d, what, rule)
}

// observe counts what was reached.
func (s *swarm) observe(i int, st session.State, tag frame.Tag) {
	if s.Cluster == nil {
		return
	}
	now, any := s.Net.Now(), false
	for k := 0; k < len(s.active); k++ {
		switch f := s.active[k]; {
		case f.until < now:
			s.active = append(s.active[:k], s.active[k+1:]...)
			k--
		case f.nodes>>i&1 == 1:
			any = true
			s.coverage[Cover{st, tag, f.what}]++
		}
	}
	if !any {
		s.coverage[Cover{st, tag, ""}]++
	}
}
