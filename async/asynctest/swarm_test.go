package asynctest_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

var (
	swarmSeeds = flag.Int("swarm", 60, "how many seeds TestSwarm runs")
	swarmFirst = flag.Uint64("swarm-first", 0, "the first seed; 0: a random one")
)

// TestSwarm runs small random systems: nodes, policies, sizes, priorities, links
// and faults come from the seed. SWARM_SEED repeats a
// single one, SWARM_LOG shows the messengers' log.
func TestSwarm(t *testing.T) {
	first, n := *swarmFirst, *swarmSeeds
	if testing.Short() {
		n /= 4
	}
	if first == 0 {
		first = rand.Uint64() >> 1
	}
	if s := os.Getenv("SWARM_SEED"); s != "" {
		one, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, n = one, 1
	}
	for i := range n {
		seed := first + uint64(i)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { newSwarm(t, seed).run() })
		if t.Failed() {
			t.Fatalf("repeat with SWARM_SEED=%d", seed)
		}
	}
}

const (
	swarmMessages = 200
	swarmFaults   = 20
	bannerLen     = 26
)

// swarm is one random system.
type swarm struct {
	*asynctest.Cluster
	t       *testing.T
	rnd     *rand.Rand
	kind    string // of policies
	servers int    // nodes below it are servers, if kind has servers
	nodes   int
	lossy   bool
	largest int
	sent    int
	windows time.Duration
	deaths  bool // nodes crash, connections are marked down
	same    bool // address after a restart
}

func newSwarm(t *testing.T, seed uint64) *swarm {
	s := &swarm{t: t, rnd: rand.New(rand.NewPCG(seed, 77))}
	s.kind = []string{"peer", "peer reuse", "stateful", "stateless", "registered"}[s.rnd.IntN(5)]
	s.lossy = s.kind == "stateless" || s.kind == "registered"
	s.nodes = 2 + s.rnd.IntN(5)
	s.servers = 1 + s.rnd.IntN(s.nodes-1)
	s.largest = []int{100, 5_000, 100_000}[s.rnd.IntN(3)]
	s.windows = []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second}[s.rnd.IntN(3)]
	net := simnet.Config{Window: []int{2000, 16 << 10, 256 << 10}[s.rnd.IntN(3)], ShortWrites: s.rnd.IntN(20)}
	switch s.rnd.IntN(4) {
	case 0:
		net.Link.Latency = simnet.Fixed(time.Millisecond)
	case 1:
		net.Link.Latency = simnet.LogNormal(500*time.Microsecond, 1.2)
	case 2:
		net.Link.Latency = simnet.Exponential(10*time.Microsecond, 5*time.Millisecond)
	}
	if s.rnd.IntN(4) == 0 {
		net.Link.Bandwidth = 5 << 20
	}
	s.deaths, s.same = s.rnd.IntN(2) == 0, s.rnd.IntN(2) == 0
	throttle, messages := s.rnd.IntN(3), s.rnd.IntN(3)
	keepalive := s.rnd.IntN(2) == 0
	width := 1 + s.rnd.IntN(4)
	var logger *slog.Logger
	if os.Getenv("SWARM_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s.Cluster = asynctest.NewCluster(t, asynctest.Options{
		Seed: seed, N: s.nodes, Workers: 1 + s.rnd.IntN(3), Network: net, SameNonce: s.same,
		Name: func(i int) entity.Name {
			if s.hasServers() && i >= s.servers {
				return entity.Client(int64(i + 1))
			}
			return entity.OSD(int64(i))
		},
		Client: func(i int) bool { return s.hasServers() && i >= s.servers },
		Config: func(_ int, cfg *async.Config) {
			cfg.DispatchWidth, cfg.Logger = width, logger
			if throttle == 0 {
				cfg.DispatchThrottleBytes = 10_000
			}
			if keepalive {
				cfg.KeepaliveInterval = 2 * time.Second
			}
		},
		Setup: func(n *asynctest.Node) {
			p := s.policy(n.Index)
			if messages == 0 {
				p.ThrottleMessages = dispatch.NewThrottle(3)
			}
			n.SetDefaultPolicy(p)
		},
		Dispatch: func(n *asynctest.Node, m *msg.Message) {
			conn := m.Connection()
			m.Release()
			// Servers talk too.
			if s.hasServers() && n.Index < s.servers && s.sent < swarmMessages && s.rnd.IntN(2) == 0 {
				if to := int(conn.PeerName().Num) - 1; to >= s.servers && to < s.nodes && s.SendOn(conn, n.Index, to, s.size(), s.priority()) == nil {
					s.sent++
				}
			}
		},
	})
	return s
}

func (s *swarm) hasServers() bool { return s.kind != "peer" && s.kind != "peer reuse" }

func (s *swarm) policy(i int) msg.Policy {
	server := i < s.servers
	switch {
	case s.kind == "peer":
		return msg.LosslessPeer()
	case s.kind == "peer reuse":
		return msg.LosslessPeerReuse()
	case s.kind == "stateful" && server:
		return msg.StatefulServer()
	case s.kind == "stateful":
		return msg.LosslessClient()
	case s.kind == "stateless" && server:
		return msg.StatelessServer()
	case server:
		return msg.StatelessRegisteredServer()
	}
	return msg.LossyClient()
}

func (s *swarm) size() int { return s.rnd.IntN(1 + s.rnd.IntN(s.largest)) }

func (s *swarm) priority() uint8 {
	return []uint8{0, 0, 0, 10, 63, msg.PriorityLow, msg.PriorityHigh, msg.PriorityHighest}[s.rnd.IntN(8)]
}

// duration is up to a window, most often much less.
func (s *swarm) duration() time.Duration {
	return time.Duration(s.rnd.Int64N(int64(s.windows))) >> s.rnd.IntN(6)
}

func (s *swarm) run() {
	s.t.Logf("%s, %d nodes, %d servers, at most %d bytes, deaths %v, same address %v", s.kind, s.nodes, s.servers, s.largest, s.deaths, s.same)
	for i := 0; s.sent < swarmMessages || i < swarmFaults*10; i++ {
		if i > 100*swarmMessages {
			s.t.Fatalf("seed: only %d messages could be sent", s.sent)
		}
		if s.sent < swarmMessages {
			s.send()
		}
		if i%10 == 9 {
			s.fault()
		}
		s.Run(s.duration() / 10)
	}
	s.Net.LiftAll()
	for i, n := range s.Nodes {
		if n.Down {
			s.restart(i)
		}
	}
	if s.lossy {
		s.Run(10 * time.Minute)
		s.CheckPrefix()
	} else {
		s.Until("everything", s.Complete)
		s.CheckExactlyOnce()
	}
	s.roundUp()
	s.Run(50 * time.Minute) // a half-open connection lives for 15
	s.Until("the end of all handshakes", func() bool {
		for _, n := range s.Nodes {
			if n.Stats().Handshakes > 0 {
				return false // an idle connection may be coming back just now
			}
		}
		return true
	})
	s.CheckEnded()
	s.CheckNothingHeld()
}

// roundUp checks that everybody can talk to everybody again. What is sent to a peer
// that lost its session may be lost, so it is sent again now and then.
func (s *swarm) roundUp() {
	for from := range s.nodes {
		for to := range s.nodes {
			if from == to || s.hasServers() && (from < s.servers || to >= s.servers) {
				continue
			}
			front := fmt.Sprintf("%d to %d", from, to)
			tries := 0
			var again func()
			arrived := func() bool {
				for _, e := range s.Nodes[to].Events {
					if e.Front == front {
						return true
					}
				}
				return false
			}
			again = func() {
				if tries++; arrived() || tries > 100 {
					return
				}
				_ = s.Nodes[from].SendTo(&msg.Message{Type: 9, Front: []byte(front)}, s.Nodes[to].Name().Type, s.Nodes[to].Addrs())
				s.Net.After(20*time.Second, again)
			}
			again()
			s.Until("a message from "+front, arrived)
		}
	}
}

// send sends one message, or a burst, between two random nodes.
func (s *swarm) send() {
	from, to := s.pair()
	if from == to || s.Nodes[from].Down {
		return
	}
	for range 1 + s.rnd.IntN(4)*s.rnd.IntN(4) {
		if s.Send(from, to, s.size(), s.priority()) == nil {
			s.sent++
		}
	}
}

// pair is a node and a node that it may connect to, or itself.
func (s *swarm) pair() (from, to int) {
	if s.hasServers() {
		return s.servers + s.rnd.IntN(s.nodes-s.servers), s.rnd.IntN(s.servers)
	}
	return s.rnd.IntN(s.nodes), s.rnd.IntN(s.nodes)
}

// die ends a session, a process or a machine, or brings one back.
func (s *swarm) die() {
	i := s.rnd.IntN(s.nodes)
	switch from, to := s.pair(); {
	case s.Nodes[i].Down:
		s.restart(i)
	case s.rnd.IntN(3) == 0:
		if from != to && !s.Nodes[from].Down {
			s.MarkDown(from, to)
		}
	case s.rnd.IntN(2) == 0:
		s.Crash(i)
	default:
		s.Kill(i)
	}
}

// restart brings a node back; if it has a new address the others are told that the
// old one is no more, as a map of the cluster would.
func (s *swarm) restart(i int) {
	old := s.Nodes[i].Addrs()
	s.Restart(i)
	for _, n := range s.Nodes {
		if !n.Down && !s.same {
			n.Messenger.MarkDown(old)
		}
	}
}

// fault breaks something, most often for a limited time.
func (s *swarm) fault() {
	net, d := s.Net, s.duration()
	a := s.Nodes[s.rnd.IntN(s.nodes)].Host
	b := s.Nodes[s.rnd.IntN(s.nodes)].Host
	conns := net.Conns()
	if s.deaths && s.rnd.IntN(6) == 0 {
		s.die()
		return
	}
	switch what := s.rnd.IntN(11); what {
	case 0:
		net.AddFor(d, "partition", simnet.Partition([]string{a.Name()}, []string{b.Name()}))
	case 1:
		net.AddFor(d, "one way", simnet.OneWay(a.Name(), b.Name()))
	case 2:
		net.AddFor(d, "isolate", simnet.Isolate(a.Name()))
	case 3:
		net.AddFor(d, "reset", simnet.Once(func(*simnet.Packet) simnet.Verdict { return simnet.Reset() }))
	case 4:
		at := int64(s.rnd.IntN(1 + s.rnd.IntN(2000)))
		net.AddFor(d, "cut", simnet.Once(simnet.CutAt(at, s.rnd.IntN(2) == 0, nil)))
	case 5:
		net.AddFor(d, "refuse", func(p *simnet.Packet) simnet.Verdict {
			if p.Kind == simnet.Syn && p.To == a.Name() {
				return simnet.Refuse()
			}
			return simnet.Pass()
		})
	case 6:
		bit := s.rnd.IntN(1 << 20)
		net.AddFor(d, "flip", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if p.Kind != simnet.Data || p.Offset < bannerLen {
				return simnet.Pass() // nothing protects the banner
			}
			return simnet.Flip(bit)
		}))
	case 7:
		net.AddFor(d, "late", func(p *simnet.Packet) simnet.Verdict {
			if p.To != a.Name() {
				return simnet.Pass()
			}
			return simnet.Deliver(d / 3)
		})
	case 8:
		s.Cut(s.rnd.IntN(s.nodes))
	case 9:
		// The next message of the handshake, or of anything, is the last.
		k := s.rnd.IntN(12)
		net.AddFor(d, "cut a packet", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if k--; k > 0 || p.Kind != simnet.Data {
				return simnet.Pass()
			}
			return simnet.Cut(len(p.Data) * s.bias())
		}))
	default:
		if len(conns) > 0 {
			c := conns[s.rnd.IntN(len(conns))]
			if s.rnd.IntN(2) == 0 {
				c.Kill()
			} else {
				net.AddFor(d, fmt.Sprintf("stall conn %d", c.ID), simnet.StallConn(c.ID))
			}
		}
	}
}

// bias is 0 or 1.
func (s *swarm) bias() int { return s.rnd.IntN(2) }

// Whatever a seed has in it, it has it twice.
func TestSwarmIsDeterministic(t *testing.T) {
	first := rand.Uint64() >> 1
	for seed := first; seed < first+4; seed++ {
		a, b := newSwarm(t, seed), newSwarm(t, seed)
		a.run()
		b.run()
		if a.Net.Hash() != b.Net.Hash() {
			t.Fatalf("seed %d gives two traces", seed)
		}
	}
}
