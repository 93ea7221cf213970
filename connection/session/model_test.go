package session

import (
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sentMsg is what the model knows of a message.
type sentMsg struct {
	id   uint64
	from *simConn
	prio uint8
}

// model drives two nodes at random and keeps account of what may be true.
type model struct {
	t    *rapid.T
	w    *world
	p    pairing
	a, b *simNode
	ids  uint64
	sent map[uint64]*sentMsg
	all  map[*simConn]bool
	// disturbed: somebody restarted or marked down, so a session may be lost.
	disturbed bool
	restarts  int
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, w: &world{t: t}, sent: map[uint64]*sentMsg{}, all: map[*simConn]bool{}}
	m.p = rapid.SampledFrom(pairings).Draw(t, "pairing")
	i, j := 1, 2
	if rapid.Bool().Draw(t, "swap") {
		i, j = 2, 1
	}
	var opts []nodeOption
	if m.p.server.Server || m.p.name == "default" {
		opts = append(opts, clientOnly)
	}
	m.a, m.b = m.w.node(i, m.p.client, opts...), m.w.node(j, m.p.server)
	for _, n := range m.w.nodes {
		n.cfg.KeepaliveInterval, n.cfg.KeepaliveTimeout = 2*time.Second, time.Second
		n.window = rapid.SampledFrom([]int{1 << 20, 300, 40}).Draw(t, "window")
		n.limit = rapid.SampledFrom([]int{1 << 20, 1000}).Draw(t, "limit")
	}
	return m
}

func (m *model) someNode(t *rapid.T) *simNode {
	return m.w.nodes[rapid.IntRange(0, 1).Draw(t, "node")]
}

// conn is the connection of n to the other, made if n may and make is set.
func (m *model) conn(n *simNode, make bool) *simConn {
	o := m.w.other(n)
	if c := n.to(o); c != nil {
		return c
	}
	if !make || !o.listens || n.policy.Server {
		return nil
	}
	return n.connectTo(o)
}

func (m *model) send(t *rapid.T) {
	n := m.someNode(t)
	c := m.conn(n, true)
	if c == nil {
		return
	}
	prio := rapid.SampledFrom([]uint8{127, 127, 64, 255}).Draw(t, "prio")
	size := rapid.SampledFrom([]int{0, 10, 500, 3000}).Draw(t, "size")
	m.ids++
	m.sent[m.ids] = &sentMsg{m.ids, c, prio}
	c.sendMsg(message(m.ids, prio, size, size/3, size/2))
}

func (m *model) network(t *rapid.T) {
	ms := m.w.moves()
	if len(ms) == 0 {
		return
	}
	mv := ms[rapid.IntRange(0, len(ms)-1).Draw(t, "move")]
	if mv.kind != moveDeliver {
		m.w.do(mv)
		return
	}
	if rapid.Bool().Draw(t, "all") {
		m.w.deliverAll(mv.end)
		return
	}
	m.w.deliver(mv.end, rapid.IntRange(1, len(mv.end.in[0])).Draw(t, "n"))
}

// wire picks one that is up.
func (m *model) wire(t *rapid.T) *wire {
	var up []*wire
	for _, x := range m.w.wires {
		if x.state == wireUp {
			up = append(up, x)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[rapid.IntRange(0, len(up)-1).Draw(t, "wire")]
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"send": m.send, "send2": m.send,
		"network": m.network, "network2": m.network, "network3": m.network, "network4": m.network,
		"settle": func(t *rapid.T) {
			m.w.run(m.w.now+time.Duration(rapid.IntRange(0, 1000).Draw(t, "ms"))*time.Millisecond, 20000)
		},
		"cut": func(t *rapid.T) {
			if x := m.wire(t); x != nil {
				m.w.cut(x)
			}
		},
		"cutOneWay": func(t *rapid.T) {
			if x := m.wire(t); x != nil {
				m.w.cutOneWay(x.ends[rapid.IntRange(0, 1).Draw(t, "side")])
			}
		},
		"partition": func(t *rapid.T) {
			if x := m.wire(t); x != nil {
				e := x.ends[rapid.IntRange(0, 1).Draw(t, "side")]
				e.deaf, e.in, e.inBytes = true, nil, 0
				e.peer().conn.flushAll()
			}
		},
		"advance": func(t *rapid.T) {
			m.w.advance(m.w.now + time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms"))*time.Millisecond)
		},
		"throttle": func(t *rapid.T) {
			for _, c := range m.someNode(t).open() {
				if c.held {
					c.release()
				} else {
					c.held = true
				}
			}
		},
		"keepalive": func(t *rapid.T) {
			if c := m.conn(m.someNode(t), false); c != nil {
				c.s.Keepalive(m.w.now)
				c.settle()
			}
		},
		"markDown": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
				return
			}
			if c := m.conn(m.someNode(t), false); c != nil {
				m.disturbed = true
				c.markDown()
			}
		},
		"restart": func(t *rapid.T) {
			if m.restarts >= 2 || rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
				return
			}
			m.disturbed = true
			m.restarts++
			n := m.someNode(t)
			for _, c := range n.conns {
				m.all[c] = true
			}
			n.restart(n.addr.Nonce + uint32(rapid.IntRange(0, 1).Draw(t, "nonce")*100))
		},
		"": func(t *rapid.T) { m.invariants() },
	}
}

// flushAll writes into a deaf wire, where there is always room.
func (c *simConn) flushAll() {
	if c != nil {
		c.flush()
	}
}

// invariants hold at any time.
func (m *model) invariants() {
	m.w.agree()
	for _, n := range m.w.nodes {
		open := map[string]int{}
		for _, c := range n.conns {
			m.all[c] = true
			if !c.closed && c.key != nil {
				open[c.key.Key()]++
			}
		}
		for k, x := range open { // one connection per peer
			if x != 1 {
				m.w.failf("%s has %d connections to %q", n.name, x, k)
			}
		}
	}
	for c := range m.all {
		m.checkDelivered(c)
		for id, err := range c.done { // L4, C4
			if err == nil && !m.p.lossy && !m.delivered(id) {
				m.w.failf("%s: message %d is said to be delivered and was not", c, id)
			}
			if err != nil && !c.closed && c.remote == 0 {
				m.w.failf("%s: message %d lost silently: %v", c, id, err)
			}
			if err != nil && !m.disturbed && !m.p.lossy {
				m.w.failf("%s: message %d lost: %v", c, id, err)
			}
		}
		if c.resets > 1 || !m.disturbed && !m.p.lossy && c.resets+c.remote > 0 && c.ready > 0 {
			m.w.failf("%s: %d resets, %d remote resets", c, c.resets, c.remote)
		}
	}
}

// checkDelivered: within a connection no id twice, and the order of sending
// within a priority (L1, L2, Y1).
func (m *model) checkDelivered(c *simConn) {
	last := map[uint8]uint64{}
	for _, id := range c.got {
		s := m.sent[id]
		if s == nil {
			m.w.failf("%s: message %d was never sent", c, id)
		}
		if id <= last[s.prio] {
			m.w.failf("%s: message %d after %d, priority %d: %v", c, id, last[s.prio], s.prio, c.got)
		}
		last[s.prio] = id
	}
}

func (m *model) delivered(id uint64) bool {
	for _, n := range m.w.nodes {
		for _, x := range n.got {
			if x == id {
				return true
			}
		}
	}
	return false
}

// quiesce heals everything and checks what must then be true in bounded time and
// with bounded attempts (V1, V2).
func (m *model) quiesce() {
	w := m.w
	for _, n := range w.nodes {
		n.window, n.limit = 1<<20, 1<<20
		for _, c := range n.conns {
			c.release()
			c.flush()
			if !c.closed && c.key != nil && !c.key.Equal(w.other(n).vec()) {
				c.markDown() // the incarnation it was meant for is gone
			}
		}
	}
	dialed := w.dialed
	w.run(w.now+40*time.Second, 20000)
	for _, n := range w.nodes {
		if c := n.to(w.other(n)); c != nil && c.s.State() == StateStandby {
			c.s.Keepalive(w.now)
			c.settle()
		}
	}
	w.run(w.now+40*time.Second, 20000)
	m.invariants()
	if w.dialed-dialed > 40 {
		w.failf("%d attempts after everything had healed", w.dialed-dialed)
	}
	for _, n := range w.nodes {
		for _, c := range n.conns {
			if c.admitted != 0 || c.waiting {
				w.failf("%s: gate holds %d", c, c.admitted)
			}
		}
		c, o := n.to(w.other(n)), w.other(n).to(n)
		if c == nil || o == nil {
			continue
		}
		if !c.isReady() && c.s.State() != StateStandby {
			w.failf("%s is %s, 80 s after everything had healed", c, c.s.State())
		}
		if c.s.Pending()+c.s.Unacked() > 0 {
			w.failf("%s: %d messages queued, %d unacknowledged", c, c.s.Pending(), c.s.Unacked())
		}
	}
	m.probe()
	if m.p.lossy {
		m.lossyPrefixes()
		return
	}
	if m.disturbed {
		return
	}
	count := map[uint64]int{}
	for _, n := range w.nodes {
		for _, id := range n.got {
			count[id]++
		}
	}
	for id, s := range m.sent {
		if count[id] != 1 {
			w.failf("message %d of %s was delivered %d times", id, s.from, count[id])
		}
	}
}

// probe: whatever happened, the sessions that there are now work (C4, V1).
func (m *model) probe() {
	var probes []uint64
	for _, n := range m.w.nodes {
		c := m.conn(n, true)
		if c == nil || m.w.other(n).to(n) == nil && n.policy.Server {
			continue
		}
		m.ids++
		m.sent[m.ids] = &sentMsg{m.ids, c, 127}
		c.sendMsg(message(m.ids, 127, 10, 0, 0))
		m.w.run(m.w.now+40*time.Second, 20000)
		probes = append(probes, m.ids)
	}
	for _, id := range probes {
		c := m.sent[id].from
		if err, ok := c.done[id]; m.p.lossy && ok && err != nil && c.closed || c.remote > 0 && err != nil {
			continue // the first use of a connection may find out that it is dead
		}
		if o := m.w.other(c.n); !m.delivered(id) && o.to(c.n) != nil {
			m.w.failf("%s: message %d, sent after everything had healed, did not arrive", c, id)
		}
	}
	m.invariants()
}

// lossyPrefixes: of one connection, what arrived is a prefix of each priority (Y1).
func (m *model) lossyPrefixes() {
	type class struct {
		c    *simConn
		prio uint8
	}
	sent := map[class][]uint64{}
	for _, s := range m.sent {
		k := class{s.from, s.prio}
		sent[k] = append(sent[k], s.id)
	}
	for k, ids := range sent {
		sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
		missing := uint64(0)
		for _, id := range ids {
			switch d := m.delivered(id); {
			case !d && missing == 0:
				missing = id
			case d && missing != 0:
				m.w.failf("%s: message %d arrived and %d before it did not", k.c, id, missing)
			}
		}
	}
}

// TestModel does random things to two nodes. rapid prints the seed of a failure
// (-rapid.seed repeats it) and finds a short list of actions.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(m.actions())
		m.quiesce()
	})
}
