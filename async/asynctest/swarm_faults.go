package asynctest

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// die ends a session, a process or a machine, or brings one back.
func (s *swarm) die() {
	i := s.rnd.IntN(s.nodes)
	switch from, to := s.pair(); {
	case s.Nodes[i].Down:
		s.strike("restart", i)
		s.restart(i)
	case s.rnd.IntN(3) == 0:
		if from != to && !s.Nodes[from].Down {
			s.strike("mark down", from, to)
			s.MarkDown(from, to)
		}
	case s.rnd.IntN(2) == 0:
		s.strike("crash", s.all()...)
		s.Crash(i)
	default:
		s.strike("kill", s.all()...)
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
			s.MarkDownAddrs(n.Index, i, old)
		}
	}
}

// all are the nodes.
func (s *swarm) all() (nodes []int) {
	for i := range s.nodes {
		nodes = append(nodes, i)
	}
	return nodes
}

// fault breaks something, most often for a limited time.
func (s *swarm) fault() {
	if s.clocks.wrong && s.clocks.rnd.IntN(8) == 0 {
		s.breakClock()
	}
	if s.alike.size > 0 && s.alike.rnd.IntN(3) == 0 {
		s.flipAlike(s.duration())
	}
	if s.deaths && s.rnd.IntN(6) == 0 {
		s.die()
		return
	}
	d := s.duration()
	switch s.rnd.IntN(4) {
	case 0:
		s.breakHost(d)
	case 1:
		s.breakHandshake(d)
	default:
		s.breakStream(d)
	}
}

// breakHost breaks what concerns all connections of a host.
func (s *swarm) breakHost(d time.Duration) {
	i, j := s.pair()
	a, b := s.Nodes[i].Host, s.Nodes[j].Host
	switch s.rnd.IntN(8) {
	case 6:
		if n := s.Nodes[i]; s.slow && !n.Down {
			s.enforce("stuck", d, i)
			s.Stick(i)
			s.Net.After(d, func() {
				if s.Nodes[i] == n {
					s.Free(i)
				}
			})
		}
	case 0:
		s.addFor(d, "partition", simnet.Partition([]string{a.Name()}, []string{b.Name()}), i, j)
	case 1:
		s.addFor(d, "one way", simnet.OneWay(a.Name(), b.Name()), i, j)
	case 2:
		s.addFor(d, "isolate", simnet.Isolate(a.Name()), s.all()...)
	case 3:
		s.addFor(d, "refuse", func(p *simnet.Packet) simnet.Verdict {
			if p.Kind == simnet.Syn && p.To == a.Name() {
				return simnet.Refuse()
			}
			return simnet.Pass()
		}, s.all()...)
	case 4:
		s.addFor(d, "late", func(p *simnet.Packet) simnet.Verdict {
			if p.To != a.Name() {
				return simnet.Pass()
			}
			return simnet.Deliver(d / 3)
		}, i)
	case 5:
		s.strike("cut a node", s.all()...)
		s.Cut(i)
	default:
		s.strike("keepalive", i, j)
		if n := s.Nodes[i]; !n.Down {
			if conn := n.Lookup(s.Nodes[j].Addrs()); conn != nil {
				conn.SendKeepalive()
			}
		}
	}
}

// breakStream breaks single connections.
func (s *swarm) breakStream(d time.Duration) {
	conns := s.Net.Conns()
	switch s.rnd.IntN(8) {
	case 6:
		// Half-open: one end is gone, and the other does not know.
		if len(conns) > 0 {
			c := conns[s.rnd.IntN(len(conns))]
			s.strike("half open", s.byHost[c.From], s.byHost[c.To])
			s.Forget(c, s.byHost[[]string{c.From, c.To}[s.rnd.IntN(2)]])
		}
	case 0:
		s.addFor(d, "reset", simnet.Once(func(*simnet.Packet) simnet.Verdict { return simnet.Reset() }), s.all()...)
	case 1:
		at := int64(s.rnd.IntN(1 + s.rnd.IntN(2000)))
		s.addFor(d, "cut", simnet.Once(simnet.CutAt(at, s.rnd.IntN(2) == 0, nil)), s.all()...)
	case 2:
		bit := s.rnd.IntN(1 << 20)
		s.addFor(d, "flip", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if p.Kind != simnet.Data || p.Offset < bannerLen {
				return simnet.Pass() // nothing protects the banner
			}
			return simnet.Flip(bit)
		}), s.all()...)
	case 3:
		// The next message of the handshake, or of anything, is the last.
		k, whole := s.rnd.IntN(12), s.rnd.IntN(2)
		s.addFor(d, "cut a packet", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if k--; k > 0 || p.Kind != simnet.Data {
				return simnet.Pass()
			}
			return simnet.Cut(len(p.Data) * whole)
		}), s.all()...)
	case 4:
		if len(conns) > 0 {
			c := conns[s.rnd.IntN(len(conns))]
			s.strike("kill connection", s.byHost[c.From], s.byHost[c.To])
			s.Reset(c)
		}
	case 5:
		if len(conns) > 0 {
			c := conns[s.rnd.IntN(len(conns))]
			s.addFor(d, "stall connection", simnet.StallConn(c.ID), s.byHost[c.From], s.byHost[c.To])
		}
	default:
		if len(conns) > 0 {
			c := conns[s.rnd.IntN(len(conns))]
			s.addFor(d, "late connection", func(p *simnet.Packet) simnet.Verdict {
				if p.Conn != c.ID {
					return simnet.Pass()
				}
				return simnet.Deliver(d)
			}, s.byHost[c.From], s.byHost[c.To])
		}
	}
}

// breakHandshake has connection attempts meet each other, or trouble.
func (s *swarm) breakHandshake(d time.Duration) {
	i, j := s.pair()
	a, b := s.Nodes[i].Host.Name(), s.Nodes[j].Host.Name()
	between := func(p *simnet.Packet) bool { return p.From == a && p.To == b || p.From == b && p.To == a }
	// HELLO and AUTH are common; what comes behind them is what is interesting.
	tag := frame.Tag(7 + s.rnd.IntN(10))
	switch s.rnd.IntN(9) {
	case 6:
		s.crossing(min(i, j), max(i, j), d)
	case 7:
		s.orphan(i, j, d)
	case 8:
		s.halfMade(i, j, d)
	case 0:
		// One side cannot reach the other, and counts its attempts; then the other calls.
		d = max(d, time.Second)
		s.enforce("uneven", d, i, j)
		s.AddFor(d, "uneven", func(p *simnet.Packet) simnet.Verdict {
			if p.Kind == simnet.Syn && p.From == a && p.To == b {
				return simnet.Refuse()
			}
			return simnet.Pass()
		})
		s.Sever(i, j)
		s.post(i, j)
		s.Net.After(d*3/4, func() { s.post(j, i) })
	case 1:
		// Both call at the same moment, come as far as some byte, wait there for
		// each other, and go on together.
		s.enforce("race", d, i, j)
		at := int64([]int{0, 26, 100, 150, 200, 300, 400, 600}[s.rnd.IntN(8)])
		s.Sever(i, j)
		if s.rnd.IntN(4) > 0 {
			s.AddFor(d, "hold", func(p *simnet.Packet) simnet.Verdict {
				if p.Kind == simnet.Data && p.Offset >= at && p.Offset < 2000 && between(p) {
					return simnet.Stall()
				}
				return simnet.Pass()
			})
		}
		s.post(i, j)
		s.post(j, i)
	case 2:
		whole := s.rnd.IntN(2)
		s.addFor(d, "cut at a tag", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if p.Kind == simnet.Data && s.tap.saw(tag) {
				return simnet.Cut(whole * len(p.Data))
			}
			return simnet.Pass()
		}), s.all()...)
		s.Cut(i)
	case 3:
		var held uint64
		var fromDialer bool
		s.addFor(d, "hold a tag", func(p *simnet.Packet) simnet.Verdict {
			if held == 0 && p.Kind == simnet.Data && s.tap.saw(tag) {
				held, fromDialer = p.Conn, p.FromDialer
			}
			if held != 0 && p.Conn == held && p.FromDialer == fromDialer {
				return simnet.Stall()
			}
			return simnet.Pass()
		}, s.all()...)
		s.Cut(i)
	default:
		// The answer is lost, and the caller does not notice at once.
		s.addFor(d, "half made", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if p.Kind == simnet.Data && !p.FromDialer && between(p) &&
				(s.tap.saw(frame.TagServerIdent) || s.tap.saw(frame.TagSessionReconnectOK)) {
				return simnet.Reset()
			}
			return simnet.Pass()
		}), i, j)
		s.Cut(i)
	}
}

// crossing has the attempts of two nodes cross so that each accepts the other's:
// the answer to that of i, the smaller address, is lost, and what j asks for comes
// in only then.
func (s *swarm) crossing(i, j int, d time.Duration) {
	d = max(d, 20*time.Millisecond)
	a, b := s.Nodes[i].Host.Name(), s.Nodes[j].Host.Name()
	s.enforce("crossing", d, i, j)
	s.Sever(i, j)
	s.post(j, i)
	s.post(i, j)
	var held uint64
	f := s.Add("hold ident", func(p *simnet.Packet) simnet.Verdict {
		if held == 0 && p.Kind == simnet.Data && p.FromDialer && p.From == b && p.To == a &&
			(s.tap.saw(frame.TagClientIdent) || s.tap.saw(frame.TagSessionReconnect)) {
			held = p.Conn
		}
		if p.Conn == held && p.FromDialer {
			return simnet.Stall()
		}
		return simnet.Pass()
	})
	s.AddFor(d, "lose ident", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
		if p.Kind == simnet.Data && !p.FromDialer && p.From == b && p.To == a && s.tap.saw(frame.TagServerIdent) {
			s.Net.After(100*time.Microsecond, f.Lift)
			return simnet.Reset()
		}
		return simnet.Pass()
	}))
	s.Net.After(d, f.Lift)
}

// orphan has a node crash when it has told another one to wait for it.
func (s *swarm) orphan(i, j int, d time.Duration) {
	if !s.deaths {
		return
	}
	d = max(d, 50*time.Millisecond)
	a, b := s.Nodes[i].Host.Name(), s.Nodes[j].Host.Name()
	s.enforce("orphan", d, i, j)
	s.Sever(i, j)
	s.post(i, j)
	s.post(j, i)
	winner := ""
	s.AddFor(d, "hold winner", func(p *simnet.Packet) simnet.Verdict {
		if p.From != a && p.From != b || p.To != a && p.To != b || p.Kind != simnet.Data {
			return simnet.Pass()
		}
		if winner == "" && !p.FromDialer && s.tap.saw(frame.TagWait) {
			winner = p.From
			life := s.Nodes[s.byHost[winner]].life
			s.Net.After(10*time.Millisecond, func() {
				if n := s.Nodes[s.byHost[winner]]; !n.Down && n.life == life && s.History.Healed == 0 {
					s.Crash(n.Index)
				}
			})
		}
		if p.FromDialer && (p.Offset > 100 && winner == "" || p.From == winner) && p.From == min(a, b) {
			return simnet.Stall()
		}
		return simnet.Pass()
	})
}

// halfMade has a node accept a session whose other side does not hear of it, and
// lose its own side at once.
func (s *swarm) halfMade(i, j int, d time.Duration) {
	if !s.panics {
		return
	}
	d = max(d, 20*time.Millisecond)
	a, b := s.Nodes[i].Host.Name(), s.Nodes[j].Host.Name()
	s.enforce("half made and held", d, i, j)
	s.Sever(i, j)
	s.post(j, i)
	s.post(i, j)
	var held uint64
	f := s.Add("hold answer", func(p *simnet.Packet) simnet.Verdict {
		if held == 0 && p.Kind == simnet.Data && !p.FromDialer && p.From == b && p.To == a &&
			s.tap.saw(frame.TagServerIdent) {
			held = p.Conn
			s.panicAccept = s.Nodes[j]
		}
		if p.Conn == held && !p.FromDialer {
			return simnet.Stall()
		}
		return simnet.Pass()
	})
	s.Net.After(d, f.Lift)
}

// post sends one message, if the nodes can.
func (s *swarm) post(from, to int) {
	if !s.Nodes[from].Down && s.Send(from, to, s.size(), s.priority()) == nil {
		s.sent++
	}
}
