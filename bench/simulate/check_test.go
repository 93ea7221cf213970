package simulate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// saboteur is a scenario that does something wrong at its tenth message, and at the
// end of the busy time.
type saboteur struct {
	scenario
	w       *world
	seen    int
	never   bool // done
	onTenth func(w *world, n *asynctest.Node, m *msg.Message)
	atEnd   func(w *world)
}

func (s *saboteur) message(n *asynctest.Node, h header, m *msg.Message) {
	if s.seen++; s.seen == 10 && s.onTenth != nil {
		s.onTenth(s.w, n, m)
	}
	s.scenario.message(n, h, m)
}

func (s *saboteur) done() bool {
	if s.scenario.done() && s.atEnd != nil {
		s.atEnd(s.w)
		s.atEnd = nil
	}
	return s.scenario.done() && !s.never
}

// Each check can fail.
func TestChecksFail(t *testing.T) {
	arriveAgain := func(w *world, n *asynctest.Node, m *msg.Message) { w.oracle.arrive(n.Index, m) }
	firstFlow := func(w *world) *flow { return w.oracle.order[0] }
	for _, c := range []struct {
		letter   string
		scenario string
		onTenth  func(w *world, n *asynctest.Node, m *msg.Message)
		atEnd    func(w *world)
	}{
		{letter: "L2", onTenth: arriveAgain},
		{letter: "B1", onTenth: func(w *world, n *asynctest.Node, m *msg.Message) {
			m.Data[0] ^= 1
			w.oracle.arrive(n.Index, m)
			m.Data[0] ^= 1
		}},
		{letter: "B1", onTenth: func(w *world, n *asynctest.Node, m *msg.Message) {
			w.oracle.arrive((n.Index+1)%len(w.c.Nodes), m)
		}},
		{letter: "C1", onTenth: func(w *world, n *asynctest.Node, m *msg.Message) {
			w.oracle.conn(n.Index, 0, m.Connection()).Callbacks = promise.Callbacks{}
			w.oracle.arrive(n.Index, m)
		}},
		{letter: "C1", atEnd: func(w *world) { w.oracle.nodes[1].told++ }},
		{letter: "C2", onTenth: func(w *world, n *asynctest.Node, m *msg.Message) {
			w.oracle.conn(n.Index, 0, m.Connection()).MarkDown()
			ear{w.oracle, n}.HandleReset(m.Connection(), errors.New("no reason"))
		}},
		{letter: "C3", onTenth: func(w *world, n *asynctest.Node, m *msg.Message) {
			w.oracle.conn(n.Index, 0, m.Connection()).Reset()
			w.oracle.arrive(n.Index, m)
		}},
		{letter: "L1", atEnd: func(w *world) { f := firstFlow(w); f.End(f.Send(), nil) }},
		{letter: "L1", atEnd: func(w *world) { firstFlow(w).Arrive(1, promise.Receiver{}) }},
		{letter: "C4", atEnd: func(w *world) { firstFlow(w).Send() }},
		{letter: "C4", scenario: "store", atEnd: func(w *world) {
			i := slices.IndexFunc(w.oracle.order, func(f *flow) bool { return f.lossy })
			f := w.oracle.order[i]
			f.End(f.Send(), nil)
		}},
		{letter: "Y1", scenario: "store", onTenth: func(w *world, n *asynctest.Node, m *msg.Message) {
			var h header
			h.parse(m)
			f := w.oracle.flows[h.flowKey]
			f.lossy = true
			f.Send()
			h.num = f.Send()
			h.put(m.Front)
			w.oracle.arrive(n.Index, m)
		}},
		{letter: "V1", atEnd: func(w *world) { w.s.(*saboteur).never = true }},
		{letter: "V2", atEnd: func(w *world) {
			w.net.After(calm+rest/2, func() {
				w.c.Cut(0)
				_ = w.send(0, 1, typeCompare, 0, make([]byte, 8))
			})
		}},
		{letter: "R1", scenario: "fan-in",
			atEnd: func(w *world) { w.s.(*saboteur).scenario.(*fanIn).messages.Take(1) }},
		{letter: "app", scenario: "store",
			atEnd: func(w *world) { w.s.(*saboteur).scenario.(*store).acked[0] += 1000 }},
		{letter: "app", atEnd: func(w *world) { w.s.(*saboteur).scenario.(*gossip).knows[1] = 0 }},
		{letter: "app", scenario: "storm",
			atEnd: func(w *world) { w.s.(*saboteur).scenario.(*storm).longest = stormBack + 1 }},
		{letter: "sim", onTenth: func(w *world, _ *asynctest.Node, _ *msg.Message) {
			w.net.Add("broken", func(*simnet.Packet) simnet.Verdict { panic("a rule") })
		}},
	} {
		t.Run(c.letter+" "+c.scenario, func(t *testing.T) {
			k := kindOf("gossip")
			if c.scenario != "" {
				k = kindOf(c.scenario)
			}
			w := newWorld(Config{Nodes: 5, Seed: 3, Faults: Faults{Given: true}})
			w.run(&saboteur{scenario: k.make(w), w: w, onTenth: c.onTenth, atEnd: c.atEnd})
			require.Positive(t, w.result.Violations)
			for _, v := range w.result.Violated {
				if strings.HasPrefix(v, c.letter+" ") {
					return
				}
			}
			t.Fatalf("%s was broken, and these were found: %q", c.letter, w.result.Violated)
		})
	}
}
