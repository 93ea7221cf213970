package simulate

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// flow is what the oracle knows of a flow.
type flow struct {
	flowKey
	to       int
	lossy    bool
	sent     uint64
	ended    uint64 // told by Notify
	failed   uint64 // of them with an error, failure is the last
	failure  error
	lifeTo   uint32 // the receiver's life when the connection began
	lifeLast uint32 // and when the last message arrived
	last     uint64 // number that arrived last
	arrived  uint64
	skipped  []uint64 // numbers that something behind them has overtaken
	tainted  bool     // an end of it was closed by hand
}

// nodeWatch is what the oracle knows of a node's present life.
type nodeWatch struct {
	life  uint32
	down  bool
	open  int // sendings without an end
	conns map[uint64]*connWatch
	told  uint64 // callbacks of establishment
}

// connWatch is what the oracle knows of a connection.
type connWatch struct {
	peerLife uint32 // when the connection began: one that is older than the peer may lose its session
	ready    int    // times it was told of its establishment
	resets   int
	closed   bool // by its owner
	flows    []*flow
}

// oracle knows what was sent and judges what arrives, and every callback.
type oracle struct {
	w       *world
	flows   map[flowKey]*flow
	order   []*flow
	nodes   []nodeWatch
	open    int // sendings of running nodes without an end
	sent    uint64
	arrived uint64
}

func newOracle(w *world, nodes int) *oracle {
	return &oracle{w: w, flows: map[flowKey]*flow{}, nodes: make([]nodeWatch, nodes)}
}

// born begins a life of a node.
func (o *oracle) born(i int) {
	n := &o.nodes[i]
	*n = nodeWatch{life: n.life + 1, conns: map[uint64]*connWatch{}}
}

// died ends it: nobody waits for what the node has sent.
func (o *oracle) died(i int) {
	n := &o.nodes[i]
	o.open -= n.open
	n.open, n.down = 0, true
}

// conn is what is known of a connection between two nodes, created when needed.
func (o *oracle) conn(i, peer int, c msg.Connection) *connWatch {
	n := &o.nodes[i]
	w := n.conns[c.ID()]
	if w == nil {
		w = &connWatch{}
		if peer >= 0 && peer < len(o.nodes) {
			w.peerLife = o.nodes[peer].life
		}
		n.conns[c.ID()] = w
	}
	return w
}

// peerOf is the node at the other end of a connection that is established: nodes
// are named by their numbers.
func peerOf(c msg.Connection) int { return int(c.PeerName().Num) }

// parcel is a message on its way, with all that belongs to it.
type parcel struct {
	msg.Message
	o     *oracle
	f     *flow
	num   uint64
	ended bool
	front [headerLen]byte
}

// send numbers a message and sends it.
func (o *oracle) send(conn msg.Connection, from, to int, typ uint16, priority uint8, data []byte) error {
	if priority == 0 {
		priority = msg.PriorityDefault
	}
	n := &o.nodes[from]
	k := flowKey{uint32(from), n.life, conn.ID(), priority}
	f := o.flows[k]
	if f == nil {
		c := o.conn(from, to, conn)
		f = &flow{flowKey: k, to: to, lossy: conn.Policy().Lossy, lifeTo: c.peerLife, lifeLast: c.peerLife}
		c.flows = append(c.flows, f)
		o.flows[k] = f
		o.order = append(o.order, f)
	}
	p := &parcel{o: o, f: f, num: f.sent + 1}
	h := header{flowKey: k, to: uint32(to), num: p.num, crc: checksum(typ, data)}
	h.put(p.front[:])
	p.Type, p.Priority, p.Front, p.Data, p.Notify = typ, priority, p.front[:], data, p
	f.sent++
	n.open++
	o.open++
	if err := conn.Send(&p.Message); err != nil {
		f.sent--
		n.open--
		o.open--
		return err
	}
	o.sent++
	return nil
}

// MessageSent implements msg.Notifier.
func (p *parcel) MessageSent(c msg.Connection, _ *msg.Message, err error) {
	o, f := p.o, p.f
	if p.ended {
		o.w.violated("C4", "%v: number %d has ended twice, now with %v", f, p.num, err)
		return
	}
	p.ended = true
	n := &o.nodes[f.from]
	if n.life != f.life || n.down {
		return
	}
	n.open--
	o.open--
	f.ended++
	if err != nil {
		f.failed++
		f.failure = err
	}
	if o.w.ended != nil {
		o.w.ended(int(f.from), f.to, c, err)
	}
}

// arrive judges a message that a node's dispatcher got, and says whether the system
// should see it.
func (o *oracle) arrive(i int, m *msg.Message) (header, bool) {
	var h header
	ok := h.parse(m)
	f := o.flows[h.flowKey]
	if !ok || f == nil || h.num == 0 || h.num > f.sent {
		o.w.violated("B1", "node %d: a message of %d bytes that nobody sent so: %v number %d", i, m.PayloadLen(), h.flowKey, h.num)
		return h, false
	}
	if f.to != i || h.to != uint32(i) {
		o.w.violated("B1", "%v: sent to node %d, arrived at %d", f, f.to, i)
		return h, false
	}
	o.arrived++
	n := &o.nodes[i]
	switch c := o.conn(i, int(h.from), m.Connection()); {
	case n.down:
		o.w.violated("C3", "%v: arrived at node %d, which is down", f, i)
	case c.resets > 0 || c.closed:
		o.w.violated("C3", "%v: number %d arrived after the end of its connection", f, h.num)
	case c.ready == 0:
		o.w.violated("C1", "%v: number %d arrived before its connection was told of", f, h.num)
	}
	f.arrived++
	switch {
	case n.life != f.lifeLast: // the first that this life sees
		f.lifeLast = n.life
	case h.num == f.last+1:
	case h.num <= f.last:
		o.w.violated("L2", "%v: number %d arrived after number %d", f, h.num, f.last)
	case f.lossy:
		o.w.violated("Y1", "%v: number %d arrived after number %d", f, h.num, f.last)
	default:
		for k := f.last + 1; k < h.num; k++ {
			f.skipped = append(f.skipped, k)
		}
	}
	f.last = h.num
	return h, true
}

// close notes that a node closes one of its connections by MarkDown.
func (o *oracle) close(i int, c msg.Connection) {
	w := o.conn(i, peerOf(c), c)
	w.closed = true
	for _, f := range w.flows {
		f.tainted = true
	}
}

// unended lists flows whose sender waits for the end of something, at most so many.
func (o *oracle) unended(most int) (list string) {
	for _, f := range o.order {
		if n := &o.nodes[f.from]; n.life == f.life && !n.down && f.ended < f.sent && most > 0 {
			most--
			list += fmt.Sprintf("; %v to node %d: sent %d, ended %d, arrived %d", f, f.to, f.sent, f.ended, f.arrived)
		}
	}
	return list
}

// settle judges each flow when the network has come to rest.
func (o *oracle) settle() {
	for _, f := range o.order {
		sender := &o.nodes[f.from]
		if sender.down || sender.life != f.life {
			continue // its sender took with it what was left
		}
		if f.ended != f.sent {
			o.w.violated("C4", "%v to node %d: %d sent, %d have ended", f, f.to, f.sent, f.ended)
		}
		if f.tainted || o.nodes[f.to].down || o.nodes[f.to].life != f.lifeTo {
			continue // what an end took with it may be lost
		}
		if f.lossy {
			c := sender.conns[f.conn]
			if f.arrived < f.sent && (c == nil || c.resets == 0 && !c.closed) {
				o.w.violated("C4", "%v to node %d: %d sent, %d arrived, and no reset", f, f.to, f.sent, f.arrived)
			}
			continue
		}
		if f.failed > 0 {
			o.w.violated("L5", "%v to node %d: the sender was told of %d failures (%v), and both ends live", f, f.to, f.failed, f.failure)
		}
		if f.arrived < f.sent || len(f.skipped) > 0 {
			o.w.violated("L1", "%v to node %d: %d sent, %d arrived, %d of them delivered by what the sender was told", f, f.to, f.sent, f.arrived, f.ended-f.failed)
		}
	}
	for _, n := range o.w.c.Nodes {
		if n.Down {
			continue
		}
		s := n.Stats()
		if told := o.nodes[n.Index].told; told != s.Connected+s.Accepted {
			o.w.violated("C1", "%v: %d establishments were told, %d happened", n.Name(), told, s.Connected+s.Accepted)
		}
	}
}

// ear is the dispatcher through which the oracle hears the callbacks of a node.
type ear struct {
	o    *oracle
	node *asynctest.Node
}

func (e ear) watch(c msg.Connection, what string) *connWatch {
	n := &e.o.nodes[e.node.Index]
	w := e.o.conn(e.node.Index, peerOf(c), c)
	if n.down || w.resets > 0 {
		e.o.w.violated("C3", "%v: %s of connection %d after its end", e.node.Name(), what, c.ID())
	}
	return w
}

// Dispatch implements msg.Dispatcher; messages are the Recorder's.
func (ear) Dispatch(*msg.Message) bool { return false }

func (e ear) established(c msg.Connection, what string) {
	e.watch(c, what).ready++
	e.o.nodes[e.node.Index].told++
	e.o.w.result.Sessions++
}

// HandleConnect implements msg.ConnectHandler.
func (e ear) HandleConnect(c msg.Connection) { e.established(c, "connect") }

// HandleAccept implements msg.AcceptHandler.
func (e ear) HandleAccept(c msg.Connection) { e.established(c, "accept") }

// HandleReset implements msg.ResetHandler.
func (e ear) HandleReset(c msg.Connection, reason error) bool {
	w := e.watch(c, "reset")
	w.resets++
	if w.closed || w.resets > 1 {
		e.o.w.violated("C2", "%v: connection %d was reset (%v), %d times, closed before: %v", e.node.Name(), c.ID(), reason, w.resets, w.closed)
	}
	if f := e.o.w.reset; f != nil {
		f(e.node.Index, c)
	}
	return false
}

// HandleRemoteReset implements msg.RemoteResetHandler.
func (e ear) HandleRemoteReset(c msg.Connection) { e.watch(c, "remote reset") }

func (f *flow) String() string { return fmt.Sprint(f.flowKey) }
