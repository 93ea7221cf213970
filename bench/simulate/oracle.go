package simulate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// flow is what the oracle knows of a flow.
type flow struct {
	flowKey
	promise.Delivery
	to      int
	lossy   bool
	lifeTo  uint32 // the receiver's life when the connection began
	tainted bool   // an end of it was closed by hand
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
	promise.Callbacks
	peerLife uint32 // when the connection began: one that is older than the peer may lose its session
	flows    []*flow
}

// oracle knows what was sent, and feeds the judges of package promise with what arrives
// and with every callback.
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

// violated tells of what the judges found about something.
func (o *oracle) violated(broken []promise.Breach, format string, args ...any) {
	for _, b := range broken {
		o.w.violated(b.Letter, "%s: %s", fmt.Sprintf(format, args...), b.What)
	}
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
		f = &flow{flowKey: k, to: to, lossy: conn.Policy().Lossy, lifeTo: c.peerLife}
		c.flows = append(c.flows, f)
		o.flows[k] = f
		o.order = append(o.order, f)
	}
	p := &parcel{o: o, f: f, num: f.Send()}
	h := header{flowKey: k, to: uint32(to), num: p.num, crc: checksum(typ, data)}
	h.put(p.front[:])
	p.Type, p.Priority, p.Front, p.Data, p.Notify = typ, priority, p.front[:], data, p
	n.open++
	o.open++
	if err := conn.Send(&p.Message); err != nil {
		f.Unsend()
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
	if twice := f.End(p.num, err); twice != nil {
		o.violated(twice, "%v", f)
		return
	}
	n := &o.nodes[f.from]
	if n.life != f.life || n.down {
		return
	}
	n.open--
	o.open--
	o.conn(int(f.from), f.to, c).Ended(err)
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
	if !ok || f == nil {
		o.w.violated("B1", "node %d: a message of %d bytes that nobody sent so: %v number %d",
			i, m.PayloadLen(), h.flowKey, h.num)
		return h, false
	}
	if f.to != i || h.to != uint32(i) {
		o.w.violated("B1", "%v: sent to node %d, arrived at %d", f, f.to, i)
		return h, false
	}
	o.arrived++
	n := &o.nodes[i]
	if n.down {
		o.w.violated("C3", "%v: arrived at node %d, which is down", f, i)
	}
	conn := m.Connection()
	if broken := o.conn(i, int(h.from), conn).Deliver(false, m.ReceivedAt()); broken != nil {
		o.violated(broken, "%v: number %d arrived", f, h.num)
	}
	if broken := f.Arrive(h.num, promise.Receiver{Life: n.life, Conn: conn.ID()}); broken != nil {
		o.violated(broken, "%v", f)
	}
	return h, h.num > 0 && h.num <= f.Sent
}

// close notes that a node closes one of its connections by MarkDown.
func (o *oracle) close(i int, c msg.Connection) {
	w := o.conn(i, peerOf(c), c)
	w.MarkDown()
	for _, f := range w.flows {
		f.tainted = true
	}
}

// unended lists flows whose sender waits for the end of something, at most so many.
func (o *oracle) unended(most int) (list string) {
	for _, f := range o.order {
		if n := &o.nodes[f.from]; n.life == f.life && !n.down && f.Ended < f.Sent && most > 0 {
			most--
			list += fmt.Sprintf("; %v to node %d: sent %d, ended %d, arrived %d", f, f.to, f.Sent, f.Ended, f.Arrived)
		}
	}
	return list
}

// settle judges each flow when the network has come to rest.
func (o *oracle) settle() {
	for _, f := range o.order {
		if f.lossy {
			o.violated(f.Prefix(), "%v to node %d", f, f.to)
		}
		sender := &o.nodes[f.from]
		if sender.down || sender.life != f.life {
			continue // its sender took with it what was left
		}
		o.violated(f.Unended(), "%v to node %d", f, f.to)
		if f.tainted || o.nodes[f.to].down || o.nodes[f.to].life != f.lifeTo {
			continue // what an end took with it may be lost
		}
		if !f.lossy {
			o.violated(f.ExactlyOnce(), "%v to node %d", f, f.to)
		} else if lost := f.Lost(); len(lost) > 0 {
			o.w.violated("C4", "%v to node %d: %d sent, %d arrived, and no reset", f, f.to, f.Sent, f.Arrived)
		}
	}
	for _, n := range o.w.c.Nodes {
		if n.Down {
			continue
		}
		conns := o.nodes[n.Index].conns
		for _, id := range slices.Sorted(maps.Keys(conns)) {
			o.violated(conns[id].Settle(), "%v: connection %d", n.Name(), id)
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
	if e.o.nodes[e.node.Index].down {
		e.o.w.violated("C3", "%v: %s of connection %d after its end", e.node.Name(), what, c.ID())
	}
	return e.o.conn(e.node.Index, peerOf(c), c)
}

// told enters what the user of a connection was told.
func (e ear) told(c msg.Connection, what string, err error, broken []promise.Breach) {
	if broken == nil {
		return
	}
	if err != nil {
		what = fmt.Sprintf("%s (%v)", what, err)
	}
	e.o.violated(broken, "%v: %s of connection %d", e.node.Name(), what, c.ID())
}

// Dispatch implements msg.Dispatcher; messages are the Recorder's.
func (ear) Dispatch(*msg.Message) bool { return false }

func (e ear) ready(c msg.Connection) { e.watch(c, "ready").Ready(e.node.Host.Clock().Now()) }

func (e ear) established(c msg.Connection, what string) {
	e.told(c, what, nil, e.watch(c, what).Told())
	e.o.nodes[e.node.Index].told++
	e.o.w.result.Sessions++
}

// HandleFastConnect implements msg.FastConnectHandler.
func (e ear) HandleFastConnect(c msg.Connection) { e.ready(c) }

// HandleFastAccept implements msg.FastAcceptHandler.
func (e ear) HandleFastAccept(c msg.Connection) { e.ready(c) }

// HandleConnect implements msg.ConnectHandler.
func (e ear) HandleConnect(c msg.Connection) { e.established(c, "connect") }

// HandleAccept implements msg.AcceptHandler.
func (e ear) HandleAccept(c msg.Connection) { e.established(c, "accept") }

// HandleFault implements msg.FaultHandler.
func (e ear) HandleFault(c msg.Connection, err error) {
	e.told(c, "fault", err, e.watch(c, "fault").Fault())
}

// HandleFastReset implements msg.FastResetHandler.
func (e ear) HandleFastReset(c msg.Connection) {
	e.told(c, "fast reset", nil, e.watch(c, "fast reset").FastReset())
}

// HandleFastRemoteReset implements msg.FastRemoteResetHandler.
func (e ear) HandleFastRemoteReset(c msg.Connection) {
	e.told(c, "fast remote reset", nil, e.watch(c, "fast remote reset").FastRemoteReset())
}

// HandleReset implements msg.ResetHandler.
func (e ear) HandleReset(c msg.Connection, reason error) bool {
	w := e.watch(c, "reset")
	e.told(c, "reset", reason, w.Reset())
	for _, f := range w.flows {
		f.Excuse()
	}
	if f := e.o.w.reset; f != nil {
		f(e.node.Index, c)
	}
	return false
}

// HandleRemoteReset implements msg.RemoteResetHandler.
func (e ear) HandleRemoteReset(c msg.Connection) {
	e.told(c, "remote reset", nil, e.watch(c, "remote reset").RemoteReset())
}

func (f *flow) String() string { return fmt.Sprint(f.flowKey) }
