package asynctest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// swarm is one random system.
type swarm struct {
	*Cluster
	cfg     *SwarmConfig
	result  *SwarmResult
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

func newSwarm(tb TB, seed uint64, cfg *SwarmConfig, result *SwarmResult) *swarm {
	s := &swarm{cfg: cfg, result: result, rnd: newRand(seed, 77)}
	s.kind = []string{"peer", "peer reuse", "stateful", "stateless", "registered"}[s.rnd.IntN(5)]
	s.lossy = s.kind == "stateless" || s.kind == "registered"
	s.nodes = 2 + s.rnd.IntN(5)
	s.servers = 1 + s.rnd.IntN(s.nodes-1)
	s.largest = []int{100, 100, 100, 2_000, 2_000, 2_000, 20_000, 100_000}[s.rnd.IntN(8)]
	s.windows = []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second}[s.rnd.IntN(3)]
	net := simnet.Config{Window: max([]int{2000, 16 << 10, 256 << 10}[s.rnd.IntN(3)], s.largest/2), ShortWrites: s.rnd.IntN(20)}
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
	s.Cluster = NewCluster(tb, Options{
		Seed: seed, N: s.nodes, Workers: 1 + s.rnd.IntN(3), Network: net, SameNonce: s.same, History: true,
		Name: func(i int) entity.Name {
			if s.hasServers() && i >= s.servers {
				return entity.Client(int64(i + 1))
			}
			return entity.OSD(int64(i))
		},
		Client: func(i int) bool { return s.hasServers() && i >= s.servers },
		Config: func(_ int, cfg *async.Config) {
			cfg.IdleTimeout = time.Minute // how long half-open connections live
			cfg.DispatchWidth, cfg.Logger = width, s.cfg.Logger
			if throttle == 0 {
				cfg.DispatchThrottleBytes = 10_000
			}
			if keepalive {
				cfg.KeepaliveInterval = 5 * time.Second
			}
		},
		Setup: func(n *Node) {
			p := s.policy(n.Index)
			if messages == 0 {
				p.ThrottleMessages = dispatch.NewThrottle(3)
				n.Throttles = append(n.Throttles, p.ThrottleMessages.(*dispatch.Throttle))
			}
			n.SetDefaultPolicy(p)
		},
		Dispatch: func(n *Node, m *msg.Message) {
			conn := m.Connection()
			m.Release()
			// Servers talk too.
			if s.hasServers() && n.Index < s.servers && s.sent < s.cfg.Messages && s.rnd.IntN(2) == 0 {
				if to := int(conn.PeerName().Num) - 1; to >= s.servers && to < s.nodes && s.SendOn(conn, n.Index, to, s.size(), s.priority()) == nil {
					s.sent++
				}
			}
		},
	})
	if cfg.Trace != nil {
		s.Net.TraceTo(cfg.Trace)
	}
	result.Nodes = s.nodes
	s.History.Promises = Promises{Lossless: !s.lossy, Quiet: 2 * time.Minute, Attempts: 100}
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
	s.result.System = fmt.Sprintf("%s, %d nodes, %d servers, at most %d bytes, deaths %v, same address %v", s.kind, s.nodes, s.servers, s.largest, s.deaths, s.same)
	for i := 0; s.sent < s.cfg.Messages || i < s.cfg.Faults*10; i++ {
		if i > 100*s.cfg.Messages {
			s.tb.Fatalf("seed: only %d messages could be sent", s.sent)
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
	s.CheckPromises()
}

// rest runs until nothing is to be done any more, and if ended is set, the sending
// of all messages has ended. An idle connection may be coming back just then, so it
// is asked a few times.
func (s *swarm) rest(ended bool) {
	for quiet, i := 0, 0; quiet < 3; i++ {
		if i == int(patience/time.Second) {
			s.tb.Fatalf("asynctest: no rest after %v\n%s%s%s", patience, s.ledger.missing(8), s.state(), s.Net.Netstat())
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
		if n := s.Nodes[a.From]; ended && n.life == a.Life && a.ended < a.sent {
			return false
		}
	}
	return s.lossy || s.Complete()
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
