package asynctest

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

func (s *swarm) run() {
	s.greet()
	for i := 0; s.sent < s.cfg.Messages || s.result.NumFaults() < s.cfg.Faults; i++ {
		if i > 100*s.cfg.Messages {
			s.tb.Fatalf("asynctest: only %d messages could be sent, %d faults made", s.sent, s.result.NumFaults())
		}
		if s.sent < s.cfg.Messages {
			s.send()
		}
		if i%10 == 9 {
			s.fault()
		}
		s.Run(s.duration() / 10)
	}
	s.Healed()
	for i, n := range s.Nodes {
		if n.Down {
			s.restart(i)
		}
	}
	s.rest(false)
	s.roundUp() // which ends what waited for peers that have forgotten
	s.rest(true)
	for _, n := range s.Nodes[:s.nodes] {
		s.report(n.unsettled())
	}
	if s.stranger {
		if n := s.Nodes[s.nodes].Count("connect"); n != 0 {
			s.tb.Fatalf("asynctest: the stranger, which lacks a feature, was let in %d times", n)
		}
	}
	if a := s.auth; a != nil {
		s.result.AuthSteps = a.steps
		if a.open != 0 && !s.deaths && !s.stranger { // who died closes nothing, and strangers go on trying
			s.tb.Fatalf("asynctest: %d exchanges of the authentication were not closed", a.open)
		}
	}
	defer func() { s.result.Costs = s.History.costs }()
	s.CheckPromises()
}

// rest runs until nothing is to be done any more, and if ended is set, the sending
// of all messages has ended. An idle connection may be coming back just then, so it
// is asked a few times.
func (s *swarm) rest(ended bool) {
	for quiet, i := 0, 0; quiet < 3; i++ {
		if i == int(patience/time.Second) {
			s.tb.Fatalf("asynctest: no rest after %v\n%s%s%s",
				patience, s.ledger.missing(8), s.state(), s.Net.Netstat())
		}
		s.Run(time.Second)
		if quiet++; !s.atRest(ended) {
			quiet = 0
		}
	}
}

func (s *swarm) atRest(ended bool) bool {
	for _, n := range s.Nodes {
		if st := n.Stats(); st.Handshakes > 0 || st.DispatchBytes > 0 || st.Queue.Len > 0 {
			return false
		}
	}
	for _, a := range s.ledger.order {
		if n := s.Nodes[a.From]; ended && n.life == a.Life && a.Ended < a.Sent {
			return false
		}
	}
	return s.lossy || !ended && s.unlike.waits() || s.Complete()
}

// roundUp checks that everybody can talk to everybody again. What is sent to a peer
// that lost its session may be lost, so it is sent again now and then.
func (s *swarm) roundUp() {
	for _, e := range s.edges {
		s.greeting(e[0], e[1])
	}
}

// greeting sends until one message has arrived.
func (s *swarm) greeting(from, to int) {
	front := fmt.Sprintf("%d to %d", from, to)
	arrived := func() bool {
		for _, e := range s.Nodes[to].Events {
			if e.Front == front {
				return true
			}
		}
		return false
	}
	tries := 0
	var again func()
	again = func() {
		if tries++; arrived() || tries > 100 {
			return
		}
		_ = s.Nodes[from].SendTo(&msg.Message{Type: 9, Front: []byte(front)},
			s.Nodes[to].Name().Type, s.Nodes[to].Addrs())
		s.Net.After(20*time.Second, again)
	}
	again()
	s.Until("a message from "+front, arrived)
}

// send sends one message, or a burst, between two random nodes.
func (s *swarm) send() {
	from, to := s.pair()
	if s.Nodes[from].Down {
		return
	}
	if from < s.servers && s.rnd.IntN(40) == 0 {
		to = from // to itself
	}
	for range 1 + s.rnd.IntN(4)*s.rnd.IntN(4) {
		if s.Send(from, to, s.size(), s.priority()) == nil {
			s.sent++
		}
	}
}

// pair is a node and a node that it connects to.
func (s *swarm) pair() (from, to int) {
	e := s.edges[s.rnd.IntN(len(s.edges))]
	return e[0], e[1]
}

// greet has the stranger call somebody, who will not talk to it.
func (s *swarm) greet() {
	if !s.stranger {
		return
	}
	n, to := s.Nodes[s.nodes], s.Nodes[s.rnd.IntN(s.servers)]
	if err := n.SendTo(&msg.Message{Type: 9, Front: []byte("hello")}, to.Name().Type, to.Addrs()); err != nil {
		s.tb.Fatalf("asynctest: %v", err)
	}
}
