package asynctest

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// die ends a session, a process or a machine, or brings one back.
func (s *swarm) die() {
	i := s.rnd.IntN(s.nodes)
	switch from, to := s.pair(); {
	case s.Nodes[i].Down:
		s.count("restart")
		s.restart(i)
	case s.rnd.IntN(3) == 0:
		if from != to && !s.Nodes[from].Down {
			s.count("mark down")
			s.MarkDown(from, to)
		}
	case s.rnd.IntN(2) == 0:
		s.count("crash")
		s.Crash(i)
	default:
		s.count("kill")
		s.Kill(i)
	}
}

// restart brings a node back; if it has a new address the others are told that the
// old one is no more, as a map of the cluster would.
func (s *swarm) restart(i int) {
	old := s.Nodes[i].Addrs()
	s.Restart(i)
	for _, n := range s.Nodes {
		if !n.Down && !s.same && n.Index != i {
			s.markDown(n.Index, i, old)
		}
	}
}

// fault breaks something, most often for a limited time.
func (s *swarm) fault() {
	d := s.duration()
	a := s.Nodes[s.rnd.IntN(s.nodes)].Host
	b := s.Nodes[s.rnd.IntN(s.nodes)].Host
	conns := s.Net.Conns()
	if s.deaths && s.rnd.IntN(6) == 0 {
		s.die()
		return
	}
	switch what := s.rnd.IntN(11); what {
	case 0:
		s.addFor(d, "partition", simnet.Partition([]string{a.Name()}, []string{b.Name()}))
	case 1:
		s.addFor(d, "one way", simnet.OneWay(a.Name(), b.Name()))
	case 2:
		s.addFor(d, "isolate", simnet.Isolate(a.Name()))
	case 3:
		s.addFor(d, "reset", simnet.Once(func(*simnet.Packet) simnet.Verdict { return simnet.Reset() }))
	case 4:
		at := int64(s.rnd.IntN(1 + s.rnd.IntN(2000)))
		s.addFor(d, "cut", simnet.Once(simnet.CutAt(at, s.rnd.IntN(2) == 0, nil)))
	case 5:
		s.addFor(d, "refuse", func(p *simnet.Packet) simnet.Verdict {
			if p.Kind == simnet.Syn && p.To == a.Name() {
				return simnet.Refuse()
			}
			return simnet.Pass()
		})
	case 6:
		bit := s.rnd.IntN(1 << 20)
		s.addFor(d, "flip", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if p.Kind != simnet.Data || p.Offset < bannerLen {
				return simnet.Pass() // nothing protects the banner
			}
			return simnet.Flip(bit)
		}))
	case 7:
		s.addFor(d, "late", func(p *simnet.Packet) simnet.Verdict {
			if p.To != a.Name() {
				return simnet.Pass()
			}
			return simnet.Deliver(d / 3)
		})
	case 8:
		s.count("cut a node")
		s.Cut(s.rnd.IntN(s.nodes))
	case 9:
		// The next message of the handshake, or of anything, is the last.
		k := s.rnd.IntN(12)
		s.addFor(d, "cut a packet", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if k--; k > 0 || p.Kind != simnet.Data {
				return simnet.Pass()
			}
			return simnet.Cut(len(p.Data) * s.bias())
		}))
	default:
		if len(conns) > 0 {
			c := conns[s.rnd.IntN(len(conns))]
			if s.rnd.IntN(2) == 0 {
				s.count("kill connection")
				c.Kill()
			} else {
				s.addFor(d, "stall connection", simnet.StallConn(c.ID))
			}
		}
	}
}

// bias is 0 or 1.
func (s *swarm) bias() int { return s.rnd.IntN(2) }

// count notes that something was broken.
func (s *swarm) count(what string) { s.result.Faults[what]++ }

func (s *swarm) addFor(d time.Duration, what string, rule simnet.Rule) {
	s.count(what)
	s.AddFor(d, what, rule)
}
