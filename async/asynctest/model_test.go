package asynctest_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"pgregory.net/rapid"
)

// model is what must be true of a cluster, said in the simplest way: for each pair
// of nodes a list of what was sent and a list of what arrived. It knows no
// connection, session or acknowledgement.
type model struct {
	c     *asynctest.Cluster
	n     int
	ways  map[way]*wayModel
	stuck map[int]bool
	same  bool
}

// way is from one node to another, at one priority.
type way struct {
	from, to int
	priority uint8
}

// wayModel is one way since the last time that its ends lost a session.
type wayModel struct {
	sent, got int
	disturbed bool // a session was lost: what was under way then may be too, or come again
}

func newModel(t *rapid.T) *model {
	m := &model{ways: map[way]*wayModel{}, stuck: map[int]bool{}, n: rapid.IntRange(2, 4).Draw(t, "nodes")}
	policies := []func() msg.Policy{msg.LosslessPeer, msg.LosslessPeerReuse, msg.DefaultPolicy}
	policy := rapid.SampledFrom(policies).Draw(t, "policy")()
	policy.ConnThrottleMessages = rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "messages of a connection")
	m.same = rapid.Bool().Draw(t, "same address")
	window := rapid.SampledFrom([]int{500, 64 << 10}).Draw(t, "window")
	throttle := rapid.SampledFrom([]int64{0, 2000}).Draw(t, "throttle")
	m.c = asynctest.NewCluster(t, asynctest.Options{
		Seed: rapid.Uint64().Draw(t, "seed"), N: m.n, Policy: policy, SameNonce: m.same, History: true,
		Network: simnet.Config{Window: window, ShortWrites: 5, Asleep: 2},
		Config: func(_ int, cfg *async.Config) {
			cfg.DispatchThrottleBytes = throttle
			cfg.KeepaliveInterval, cfg.IdleTimeout = 5*time.Second, time.Minute
		},
		Dispatch: func(n *asynctest.Node, x *msg.Message) {
			m.arrived(n.Index, x)
			x.Release()
		},
	})
	m.c.History.Lossless = true
	return m
}

// arrived checks a message against what the model expects next.
func (m *model) arrived(to int, x *msg.Message) {
	from := int(binary.LittleEndian.Uint32(x.Front))
	w := m.ways[way{from, to, x.Priority}]
	if w == nil {
		panic(fmt.Sprintf("node %d got something that node %d never sent", to, from))
	}
	w.got++
	if !w.disturbed && w.got > w.sent {
		panic(fmt.Sprintf("node %d got %d of %d messages of node %d", to, w.got, w.sent, from))
	}
}

// disturb: two nodes lost their sessions.
func (m *model) disturb(a, b int) {
	for k, w := range m.ways {
		if k.from == a && k.to == b || k.from == b && k.to == a {
			w.disturbed = true
		}
	}
}

func (m *model) node(t *rapid.T) int { return rapid.IntRange(0, m.n-1).Draw(t, "node") }

func (m *model) pair(t *rapid.T) (a, b int) {
	a = m.node(t)
	return a, (a + rapid.IntRange(1, m.n-1).Draw(t, "other")) % m.n
}

func (m *model) Send(t *rapid.T) {
	a, b := m.pair(t)
	k := way{a, b, rapid.SampledFrom([]uint8{63, 127, 255}).Draw(t, "priority")}
	size := rapid.SampledFrom([]int{0, 100, 3000}).Draw(t, "size")
	if m.c.Nodes[a].Down || m.c.Nodes[b].Down {
		t.Skip("down")
	}
	if m.ways[k] == nil {
		m.ways[k] = &wayModel{}
		// A way that begins after a loss has the same doubts as the others.
		m.ways[k].disturbed = m.c.History.IsTainted(a, b)
	}
	if err := m.c.Send(a, b, size, k.priority); err != nil {
		t.Fatalf("send: %v", err)
	}
	m.ways[k].sent++
}

func (m *model) Cut(t *rapid.T) { m.c.Cut(m.node(t)) }

func (m *model) CutAt(t *rapid.T) {
	at := int64(rapid.IntRange(0, 1500).Draw(t, "byte"))
	m.c.Add("cut", simnet.Once(simnet.CutAt(at, rapid.Bool().Draw(t, "dialer"), nil)))
}

func (m *model) Partition(t *rapid.T) {
	a, b := m.pair(t)
	m.c.Partition([]int{a}, []int{b})
}

func (m *model) Stall(t *rapid.T) {
	if conns := m.c.Net.Conns(); len(conns) > 0 {
		m.c.Add("stall", simnet.StallConn(rapid.SampledFrom(conns).Draw(t, "conn").ID))
	}
}

func (m *model) Heal(*rapid.T) { m.c.LiftAll() }

func (m *model) Restart(t *rapid.T) {
	i := m.node(t)
	old := m.c.Nodes[i].Addrs()
	for j := range m.n {
		m.disturb(i, j)
	}
	if rapid.Bool().Draw(t, "power") {
		m.c.Crash(i)
	} else {
		m.c.Kill(i)
	}
	m.c.Restart(i)
	delete(m.stuck, i)
	for j, n := range m.c.Nodes {
		if !m.same && j != i { // as a map of the cluster would tell
			m.c.MarkDownAddrs(n.Index, i, old)
		}
	}
}

func (m *model) MarkDown(t *rapid.T) {
	a, b := m.pair(t)
	m.disturb(a, b)
	m.c.MarkDown(a, b)
}

func (m *model) Advance(t *rapid.T) {
	m.c.Run(time.Duration(rapid.SampledFrom([]int{1, 10, 100, 1000, 20_000_000}).Draw(t, "µs")) * time.Microsecond)
}

func (m *model) Stick(t *rapid.T) {
	i := m.node(t)
	m.c.Stick(i)
	m.stuck[i] = true
}

func (m *model) Free(*rapid.T) {
	for i := range m.stuck {
		m.c.Free(i)
		delete(m.stuck, i)
	}
}

// Quiesce heals all and waits: what the model expects has arrived.
func (m *model) Quiesce(t *rapid.T) {
	m.Free(t)
	m.c.LiftAll()
	m.c.Until("everything", m.c.Complete)
	for k, w := range m.ways {
		if !w.disturbed && w.got != w.sent {
			t.Fatalf("%v: %d of %d arrived", k, w.got, w.sent)
		}
	}
	m.c.Run(time.Second)
}

// TestModel drives clusters at random and compares them with the model; rapid
// shrinks what fails to the shortest list of actions.
func TestModel(t *testing.T) {
	// The same runs each time; -rapid.seed asks for others.
	if f := flag.Lookup("rapid.seed"); f.Value.String() == "0" {
		_ = f.Value.Set("1") // it is a number
	}
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"Send": m.Send, "Send again": m.Send, "Cut": m.Cut, "CutAt": m.CutAt, "Partition": m.Partition,
			"Stall": m.Stall, "Heal": m.Heal, "Restart": m.Restart, "MarkDown": m.MarkDown,
			"Advance": m.Advance, "Advance more": m.Advance, "Stick": m.Stick, "Free": m.Free, "Quiesce": m.Quiesce,
		})
		m.Quiesce(t)
		if bad := m.c.History.Violations(); len(bad) > 0 {
			t.Fatalf("%q", bad)
		}
	})
}
