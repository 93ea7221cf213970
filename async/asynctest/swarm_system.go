package asynctest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// swarm is one random system.
type swarm struct {
	*Cluster
	cfg      *SwarmConfig
	result   *SwarmResult
	rnd      *rand.Rand
	kind     string // of policies
	servers  int    // nodes below it are servers, if kind has servers
	nodes    int    // without the stranger
	edges    [][2]int
	lossy    bool
	largest  int
	sent     int
	windows  time.Duration
	deaths   bool // nodes crash, connections are marked down
	same     bool // address after a restart
	stranger bool // one node more, which lacks a feature
	slow     bool // dispatchers hold messages, take their time, or stand still
	panics   bool // dispatchers panic
	auth     *testAuth
	clocks   swarmClocks
	alike    swarmAlike
	unlike   swarmUnlike
	share    swarmShare
	active   []activeFault
	// panicAccept is the node whose next HandleAccept panics.
	panicAccept *Node
	coverage    map[Cover]int
}

// plan draws what the system is.
func (s *swarm) plan() (net simnet.Config) {
	rnd := s.rnd
	s.kind = []string{"peer", "peer reuse", "stateful", "stateless", "registered"}[rnd.IntN(5)]
	s.lossy = s.kind == "stateless" || s.kind == "registered"
	if s.unlike.on {
		s.kind, s.lossy = s.unlike.client+"/"+s.unlike.server, s.unlike.lossy()
	}
	s.nodes = 2 + rnd.IntN(5)
	s.servers = 1 + rnd.IntN(s.nodes-1)
	s.largest = []int{100, 100, 100, 2_000, 2_000, 2_000, 20_000, 100_000}[rnd.IntN(8)]
	s.windows = []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second}[rnd.IntN(3)]
	net = simnet.Config{Window: max([]int{2000, 16 << 10, 256 << 10}[rnd.IntN(3)], s.largest/2),
		ShortWrites: rnd.IntN(20)}
	net.Asleep = rnd.IntN(4) // 0: workers are never lent
	switch rnd.IntN(4) {
	case 0:
		net.Link.Latency = simnet.Fixed(time.Millisecond)
	case 1:
		net.Link.Latency = simnet.LogNormal(500*time.Microsecond, 1.2)
	case 2:
		net.Link.Latency = simnet.Exponential(10*time.Microsecond, 5*time.Millisecond)
	}
	if rnd.IntN(4) == 0 {
		net.Link.Bandwidth = 5 << 20
	}
	s.deaths, s.same = rnd.IntN(2) == 0, rnd.IntN(2) == 0
	s.stranger, s.slow, s.panics = rnd.IntN(8) == 0, rnd.IntN(4) == 0, rnd.IntN(6) == 0
	if rnd.IntN(3) == 0 {
		s.auth = &testAuth{mode: 1 + uint32(rnd.IntN(2)), rounds: rnd.IntN(3), refusals: rnd.IntN(2) == 0}
		if s.auth.mode == auth.ModeSecure && rnd.IntN(2) == 0 {
			s.auth.rekey = 64 + uint64(rnd.IntN(200))
		}
	}
	if s.cfg.SlowAuth {
		if s.auth == nil { // without a draw: the system is the same but for that
			s.auth = &testAuth{mode: 1, rounds: 1}
		}
		s.auth.slow = true
	}
	topology := s.connect()
	s.result.System = fmt.Sprintf("%s, %s of %d nodes, %d servers, at most %d bytes, deaths %v, same address %v, "+
		"slow %v, "+
		"panics %v, auth %+v, wrong clocks %v",
		s.kind, topology, s.nodes, s.servers, s.largest, s.deaths, s.same, s.slow, s.panics, s.auth, s.clocks.wrong)
	if s.unlike.bound {
		s.result.System += fmt.Sprintf(", clients callable, servers call %v", s.unlike.back)
	}
	if s.share != (swarmShare{}) {
		s.result.System += fmt.Sprintf(", each connection %d messages and %d bytes", s.share.messages, s.share.bytes)
	}
	if s.alike.size > 0 {
		s.result.System += fmt.Sprintf(", messages all of %d bytes", s.alike.size)
	}
	return net
}

// connect draws who talks to whom.
func (s *swarm) connect() (topology string) {
	edge := func(a, b int) { s.edges = append(s.edges, [2]int{a, b}, [2]int{b, a}) }
	if s.hasServers() {
		for client := s.servers; client < s.nodes; client++ {
			for i, k := 0, 1+s.rnd.IntN(s.servers); i < k; i++ {
				s.edges = append(s.edges, [2]int{client, (client + i) % s.servers})
				if s.unlike.back {
					s.edges = append(s.edges, [2]int{(client + i) % s.servers, client})
				}
			}
		}
		return "clients"
	}
	topology = []string{"mesh", "ring", "star", "random graph"}[s.rnd.IntN(4)]
	for i := 1; i < s.nodes; i++ {
		switch topology {
		case "mesh":
			for j := range i {
				edge(i, j)
			}
		case "ring":
			edge(i-1, i)
		case "star":
			edge(0, i)
		default:
			edge(s.rnd.IntN(i), i)
		}
	}
	if topology == "ring" && s.nodes > 2 {
		edge(s.nodes-1, 0)
	}
	return topology
}

func newSwarm(tb TB, seed uint64, cfg *SwarmConfig, result *SwarmResult) *swarm {
	s := &swarm{cfg: cfg, result: result, rnd: newRand(seed, 77), coverage: result.Coverage}
	s.clocks.draw(seed)
	s.alike.draw(seed)
	s.unlike.draw(seed)
	s.share.draw(seed)
	net := s.plan()
	throttle, messages, octets := s.rnd.IntN(3), s.rnd.IntN(3), s.rnd.IntN(4)
	keepalive := s.rnd.IntN(2) == 0
	width := 1 + s.rnd.IntN(4)
	n := s.nodes
	if s.stranger {
		n++
	}
	s.Cluster = NewCluster(tb, Options{
		Seed: seed, N: n, Workers: 1 + s.rnd.IntN(3), Network: net, SameNonce: s.same, History: true,
		Name: func(i int) entity.Name {
			if i >= s.nodes || s.hasServers() && i >= s.servers {
				return entity.Client(int64(i + 1))
			}
			return entity.OSD(int64(i))
		},
		Client: func(i int) bool { return i >= s.nodes || s.hasServers() && i >= s.servers && !s.unlike.bound },
		Config: func(i int, cfg *async.Config) {
			cfg.IdleTimeout = time.Minute // how long half-open connections live
			cfg.DispatchWidth, cfg.Logger = width, s.cfg.Logger
			if throttle == 0 {
				cfg.DispatchThrottleBytes = 10_000
			}
			if keepalive {
				cfg.KeepaliveInterval = 5 * time.Second
			}
			if s.auth != nil {
				cfg.AuthClient, cfg.AuthServer = testClient{s.auth}, &testServer{testAuth: s.auth}
				cfg.RekeyUnits = s.auth.rekey
			}
			if (s.cfg.Compress || seed%16 == 7) && i%3 != 2 {
				cfg.Compression = async.Compression{Algorithms: []string{"zlib"}, MinSize: 100, WithSecure: true}
			}
			cfg.Observe = func(st session.State, tag frame.Tag) { s.observe(i, st, tag) }
		},
		Setup: func(n *Node) {
			p := s.policy(n.Index)
			if messages == 0 {
				t := dispatch.NewThrottle(3)
				p.ThrottleMessages, n.Throttles = t, append(n.Throttles, t)
			}
			if octets == 0 {
				t := dispatch.NewThrottle(3000)
				p.ThrottleBytes, n.Throttles = t, append(n.Throttles, t)
			}
			s.share.set(&p)
			if s.stranger {
				if p.FeaturesRequired = 1; n.Index == s.nodes {
					p.FeaturesRequired, p.FeaturesSupported = 0, msg.FeatureMsgAddr2
				}
			}
			n.SetDefaultPolicy(p)
			n.AddDispatcherTail(&panicker{s, n})
		},
		Dispatch: s.dispatch, Blocking: s.slow,
	})
	if cfg.Trace != nil {
		s.Net.TraceTo(cfg.Trace)
	}
	result.Nodes = s.nodes
	s.History.Promises = Promises{Lossless: !s.lossy, Quiet: 2 * time.Minute, Attempts: 100, Effort: true}
	s.History.Backoff, s.History.MaxBackoff = 200*time.Millisecond, 15*time.Second
	if s.clocks.wrong {
		s.History.Quiet *= slowestClock
		s.History.Backoff, s.History.MaxBackoff = s.History.Backoff/fastestClock, s.History.MaxBackoff/fastestClock
		s.startClocks()
	}
	return s
}

// panicker panics when it is told of a connection, if that is planned.
type panicker struct {
	s *swarm
	n *Node
}

// Dispatch implements msg.Dispatcher.
func (p *panicker) Dispatch(*msg.Message) bool { return false }

// HandleAccept implements msg.AcceptHandler.
func (p *panicker) HandleAccept(msg.Connection) {
	if p.s.panicAccept == p.n && p.s.History.Healed == 0 {
		p.s.panicAccept = nil
		p.s.PlanPanic()
		panic("asynctest: a planned panic")
	}
}

// dispatch is what the users of the messengers do with a message.
func (s *swarm) dispatch(n *Node, m *msg.Message) {
	conn := m.Connection()
	if s.slow && s.rnd.IntN(4) == 0 {
		m.Hold()
		s.Net.After(s.duration()/4, m.Release)
	} else {
		m.Release()
	}
	// Servers talk too.
	if s.hasServers() && n.Index < s.servers && s.sent < s.cfg.Messages && s.rnd.IntN(2) == 0 {
		if to := int(conn.PeerName().Num) - 1; to >= s.servers && to < s.nodes &&
			s.SendOn(conn, n.Index, to, s.size(), s.priority()) == nil {
			s.sent++
		}
	}
	if s.slow && s.rnd.IntN(8) == 0 {
		n.Sleep(s.duration() / 4)
	}
	if s.panics && s.History.Healed == 0 && s.rnd.IntN(30) == 0 {
		s.PlanPanic()
		s.strike("panic", n.Index)
		panic("asynctest: a planned panic")
	}
}

func (s *swarm) hasServers() bool { return s.kind != "peer" && s.kind != "peer reuse" }

func (s *swarm) policy(i int) msg.Policy {
	server := i < s.servers
	switch {
	case s.unlike.on && server:
		return s.unlike.servers
	case s.unlike.on:
		return s.unlike.clients
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

func (s *swarm) size() int {
	if s.alike.size > 0 {
		return s.alike.size
	}
	return s.rnd.IntN(1 + s.rnd.IntN(s.largest))
}

func (s *swarm) priority() uint8 {
	return []uint8{0, 0, 0, 10, 63, msg.PriorityLow, msg.PriorityHigh, msg.PriorityHighest}[s.rnd.IntN(8)]
}

// duration is up to a window, most often much less.
func (s *swarm) duration() time.Duration {
	return time.Duration(s.rnd.Int64N(int64(s.windows))) >> s.rnd.IntN(6)
}
