package simulate

import (
	"errors"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// The fan-in: node 0 is a server that takes some time for every message and works
// on a few at a time; all others send to it as fast as their queues take it.
const (
	fanInActive   = 10 * time.Second
	fanInAtOnce   = 16              // messages that the server works on
	fanInBytes    = 64 << 10        // and bytes
	fanInQueue    = 8               // messages that a client's queue takes
	fanInTotal    = 5_000           // messages of all clients, about
	fanInLargest  = 8 << 10         // bytes of a message
	fanInWork     = 8 * time.Second // of the server, spread over all messages
	fanInAgain    = 100 * time.Millisecond
	typeFanIn     = 0x611
	fanInPriority = 4 // kinds of priorities
)

type fanIn struct {
	w        *world
	messages *dispatch.Throttle
	bytes    *dispatch.Throttle
	todo     []int // by node, messages to send
	left     int   // of all
	waiting  []bool
	full     int // times a queue was full
	most     int64
}

func newFanIn(w *world) scenario { return &fanIn{w: w} }

func (s *fanIn) options() asynctest.Options {
	s.messages, s.bytes = dispatch.NewThrottle(fanInAtOnce), dispatch.NewThrottle(fanInBytes)
	return asynctest.Options{
		Network: simnet.Config{Window: 16 << 10},
		Name: func(i int) entity.Name {
			if i == 0 {
				return entity.OSD(0)
			}
			return entity.Client(int64(i))
		},
		Client: func(i int) bool { return i > 0 },
		Config: func(i int, cfg *async.Config) {
			if i > 0 {
				cfg.SendQueueMessages = fanInQueue
			}
		},
		Setup: func(n *asynctest.Node) {
			if n.Index > 0 {
				n.SetDefaultPolicy(msg.LosslessClient())
				return
			}
			p := msg.StatefulServer()
			p.ThrottleMessages, p.ThrottleBytes = s.messages, s.bytes
			n.SetDefaultPolicy(p)
		},
	}
}

func (s *fanIn) active() time.Duration { return fanInActive }

func (s *fanIn) faults() (int, []faultKind) { return 20 + s.w.cfg.Nodes/20, allFaults }

func (s *fanIn) begin() {
	n := s.w.cfg.Nodes
	s.todo, s.waiting = make([]int, n), make([]bool, n)
	for i := 1; i < n; i++ {
		s.todo[i] = max(1, fanInTotal/(n-1))
		s.left += s.todo[i]
		s.w.net.After(time.Duration(s.w.rnd.Int64N(int64(time.Second))), func() { s.fill(i) })
	}
	s.w.faults.victim = func() int { return 1 + s.w.faults.rnd.IntN(n-1) } // the server's work is not to be lost
	s.w.ended = func(from, _ int, _ msg.Connection, _ error) {
		if from > 0 && s.waiting[from] {
			s.waiting[from] = false
			s.w.net.After(0, func() { s.fill(from) })
		}
	}
}

// fill sends until the queue is full.
func (s *fanIn) fill(i int) {
	for s.todo[i] > 0 && !s.w.c.Nodes[i].Down {
		data := make([]byte, s.w.rnd.IntN(1+s.w.rnd.IntN(fanInLargest)))
		priority := []uint8{0, msg.PriorityLow, msg.PriorityHigh, 20}[s.w.rnd.IntN(fanInPriority)]
		switch err := s.w.send(i, 0, typeFanIn, priority, data); {
		case err == nil:
			s.todo[i]--
			s.left--
		case errors.Is(err, msg.ErrQueueFull):
			s.full++
			s.waiting[i] = true
			return
		default: // its connection was closed just now
			s.w.net.After(fanInAgain, func() { s.fill(i) })
			return
		}
	}
}

// message: the server is at work on it, and holds it meanwhile.
func (s *fanIn) message(n *asynctest.Node, _ header, m *msg.Message) {
	m.Hold()
	held := s.messages.Stats().Held
	if s.most = max(s.most, held); held > fanInAtOnce+1 {
		s.w.violated("R1", "%d messages in dispatch, at most %d may be", held, fanInAtOnce)
	}
	if b := s.bytes.Stats().Held; b > fanInBytes+fanInLargest+headerLen {
		s.w.violated("R1", "%d bytes in dispatch, at most %d may be", b, fanInBytes)
	}
	work := fanInWork * fanInAtOnce / fanInTotal // for one message, since so many are worked on at once
	s.w.net.After(time.Duration(s.w.rnd.Int64N(int64(2*work))), m.Release)
}

func (s *fanIn) restarted(i int) {
	s.waiting[i] = false
	s.fill(i)
}

func (s *fanIn) done() bool { return !s.w.busy && s.left == 0 }

func (s *fanIn) check() {
	if m, b := s.messages.Stats().Held, s.bytes.Stats().Held; m != 0 || b != 0 {
		s.w.violated("R1", "%d messages and %d bytes are held by nobody", m, b)
	}
	s.w.note("clients found their queue full %d times; the server had at most %d messages at once", s.full, s.most)
}
