package simulate

import (
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// The storm: all nodes have a session with node 0, and talk to it now and then. It
// dies, or its network does, and when it is there again all of them come back.
const (
	stormRounds = 3
	stormRound  = 60 * time.Second // of which the server is away for up to a third
	stormTalk   = 4 * time.Second
	// stormBack is how long after the server's return everybody is there again:
	// the longest backoff, a handshake, and a dial that got no answer.
	stormBack = 40 * time.Second
	stormWide = 100 * time.Millisecond // in which arrivals are counted together

	typeAsk    = 0x621
	typeAnswer = 0x622
)

type storm struct {
	w       *world
	back    []bool // by node: heard from the server since its return
	missing int    // nodes that are not back
	since   time.Duration
	away    bool
	rounds  int
	strikes int
	longest time.Duration // until all were back
	window  time.Duration // the one counted now
	arrived int           // in it
	peak    int
}

func newStorm(w *world) scenario { return &storm{w: w} }

func (s *storm) options() asynctest.Options {
	return asynctest.Options{
		Network: simnet.Config{Link: simnet.LinkConfig{Latency: simnet.LogNormal(time.Millisecond, 0.5)}},
		Name: func(i int) entity.Name {
			if i == 0 {
				return entity.OSD(0)
			}
			return entity.Client(int64(i))
		},
		Client: func(i int) bool { return i > 0 },
		Config: func(_ int, cfg *async.Config) {
			cfg.KeepaliveInterval, cfg.KeepaliveTimeout = 2*time.Second, 6*time.Second
		},
		Setup: func(n *asynctest.Node) {
			if n.Index > 0 {
				n.SetDefaultPolicy(msg.LosslessClient())
			} else {
				n.SetDefaultPolicy(msg.StatefulServer())
			}
		},
	}
}

func (s *storm) active() time.Duration { return stormRounds * stormRound }

// faults: besides the storms themselves there are none, unless they are asked for;
// then there is no bound for coming back.
func (s *storm) faults() (int, []faultKind) {
	return 0, []faultKind{faultKill, faultCut, faultLate, faultFlip}
}

func (s *storm) begin() {
	s.back = make([]bool, s.w.cfg.Nodes)
	s.lose()
	s.found()
	for i := 1; i < len(s.back); i++ {
		s.w.every(i, stormTalk, func() bool { return !s.done() }, func() {
			_ = s.w.send(i, 0, typeAsk, 0, le.AppendUint64(nil, uint64(s.rounds)))
		})
	}
	for r := range stormRounds {
		at := time.Duration(r)*stormRound + stormRound/12
		s.w.net.After(at, s.strike)
	}
}

// lose: nobody is there.
func (s *storm) lose() {
	clear(s.back)
	s.missing, s.away = len(s.back)-1, true
}

// found: the server is there again, and from now on the time counts.
func (s *storm) found() {
	s.away, s.since = false, s.w.now()
	s.rounds++
}

// strike takes the server away for a while.
func (s *storm) strike() {
	if s.missing > 0 && s.alone() {
		s.w.violated("app", "%d nodes are still away when the server goes again", s.missing)
	}
	rnd := s.w.rnd
	d := time.Duration(rnd.Int64N(int64(stormRound / 3)))
	s.lose()
	s.strikes++
	s.w.faults.happened++
	switch rnd.IntN(3) {
	case 0:
		wall := s.w.c.Isolate(0)
		s.w.net.After(d, func() {
			// What was under way arrives now; whoever is silent has not come back.
			wall.Lift()
			s.found()
		})
		return
	case 1:
		s.w.crash(0, true)
	default:
		s.w.crash(0, false)
	}
	s.w.net.After(d, func() {
		s.w.restart(0)
		s.found()
	})
}

func (s *storm) message(n *asynctest.Node, h header, m *msg.Message) {
	if n.Index == 0 {
		_ = s.w.oracle.send(m.Connection(), 0, int(h.from), typeAnswer, 0, slices.Clone(m.Data)) // m is released
	} else if i := n.Index; !s.back[i] && !s.away {
		s.back[i] = true
		s.missing--
		s.count()
	}
	m.Release()
}

// count counts a node that is back.
func (s *storm) count() {
	if w := s.w.now() / stormWide; w != s.window {
		s.window, s.arrived = w, 0
	}
	s.arrived++
	s.peak = max(s.peak, s.arrived)
	if s.missing > 0 {
		return
	}
	s.longest = max(s.longest, s.w.now()-s.since)
}

func (s *storm) done() bool { return !s.w.busy && s.missing == 0 }

// alone says that nothing else keeps the nodes from coming back.
func (s *storm) alone() bool { return s.w.faults.happened == s.strikes }

func (s *storm) check() {
	if s.longest > stormBack && s.alone() {
		s.w.violated("app", "the last node was back %v after the server, the bound is %v", s.longest, stormBack)
	}
	s.w.note("the server was lost %d times; all %d nodes were back at most %v after it, at most %d of them within %v",
		stormRounds, len(s.back)-1, s.longest.Round(time.Millisecond), s.peak, stormWide)
}
