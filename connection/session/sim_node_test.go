package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// simNode is a messenger in small: its sessions, the registry and the Env.
type simNode struct {
	w        *world
	name     string
	addr     entity.Addr
	alias    entity.Addr // another of its own
	listens  bool        // others can call it
	up       bool
	bufs     Buffers
	cfg      Config
	policy   msg.Policy // for all peers
	gseq     uint64
	rng      *rand.Rand
	client   auth.Client
	server   auth.Server
	conns    []*simConn
	reg      entity.Index[*simConn]
	globalID uint64
	got      []uint64 // ids of delivered messages
	learned  []entity.Addr
	verdicts []Action
	ids      int
	window   int  // bytes in flight that a write may leave
	limit    int  // of Fill
	hold     bool // arbitrate nothing
	later    bool // run no step of the authentication
}

type nodeOption func(*simNode)

func (w *world) node(i int, policy msg.Policy, opts ...nodeOption) *simNode {
	n := &simNode{
		w: w, name: string(rune('A' + len(w.nodes))), up: true, listens: true, policy: policy,
		addr:   entity.Addr{Type: entity.AddrMsgr2, Nonce: uint32(i), AddrPort: addrPort(i)},
		rng:    rand.New(rand.NewPCG(uint64(i), 7)),
		client: auth.NoneClient{Name: entity.AuthName{Type: entity.TypeOSD, ID: fmt.Sprint(i)}},
		server: &auth.NoneServer{}, window: 1 << 20, limit: 64 << 10,
	}
	n.cfg = Config{Self: entity.OSD(int64(i)), MaxBackoff: time.Second, Compression: simCompression}.WithDefaults()
	for _, o := range opts {
		o(n)
	}
	w.nodes = append(w.nodes, n)
	return n
}

// clientOnly makes a node that nobody can call.
func clientOnly(n *simNode) {
	n.listens = false
	n.addr.Type = entity.AddrAny
	n.addr.AddrPort = addrPort(int(n.addr.Nonce))
}

func (n *simNode) vec() entity.AddrVec {
	a := n.addr
	if !n.listens {
		a.AddrPort = netipPort0(a.AddrPort)
	}
	return entity.AddrVec{a}
}

// The Env of n's sessions.

func (n *simNode) Addrs() entity.AddrVec   { return n.vec() }
func (n *simNode) LearnAddr(a entity.Addr) { n.learned = append(n.learned, a) }
func (n *simNode) GlobalID() uint64        { return n.globalID }
func (n *simNode) LearnGlobalID(id uint64) { n.globalID = id }
func (n *simNode) Owns(a entity.Addr, _ netip.Addr) bool {
	return n.vec().Contains(a) || n.alias != (entity.Addr{}) && n.alias.Matches(a)
}
func (n *simNode) PolicyFor(entity.Type) msg.Policy { return n.policy }
func (n *simNode) Rand64() uint64                   { return n.rng.Uint64() }
func (n *simNode) AuthClient() auth.Client          { return n.client }
func (n *simNode) AuthServer() auth.Server          { return n.server }
func (n *simNode) NextGlobalSeq(atLeast uint64) uint64 {
	n.gseq = max(n.gseq, atLeast) + 1
	return n.gseq
}

// simConn is the shell of one session, and its gate.
type simConn struct {
	n       *simNode
	s       *Session
	id      int
	key     entity.AddrVec // in the registry
	end     *wireEnd
	pending *frame.Batch
	stash   []byte

	asked    entity.AddrVec // of any nonce: what was dialled
	events   []string
	faults   []error
	failed   []*msg.ConnectError
	refused  []error // what an accepted peer was told
	rejected []*msg.RejectedError
	changed  []*msg.Message
	absent   int
	alive    int // keepalives and their answers
	ready    int
	resets   int
	remote   int
	got      []uint64 // ids, in this connection
	done     map[uint64]error
	closed   bool
	marked   bool // by MarkDown
	held     bool // gate: refuse
	waiting  bool // gate: a message waits
	admitted int  // gate: not yet given back
}

func (n *simNode) newConn() *simConn {
	n.ids++
	c := &simConn{n: n, id: n.ids, done: map[uint64]error{}}
	n.conns = append(n.conns, c)
	return c
}

func (c *simConn) String() string { return fmt.Sprintf("%s%d", c.n.name, c.id) }

// connectTo makes a connection to the peer, or returns the one there is.
func (n *simNode) connectTo(p *simNode) *simConn {
	return n.connectToAddrs(p.vec())
}

func (n *simNode) connectToAddrs(v entity.AddrVec) *simConn {
	if c, ok := n.reg.Lookup(v); ok {
		return c
	}
	c := n.newConn()
	c.s = NewConnector(&n.cfg, n, c, nil, nil, Peer{Type: entity.TypeOSD, Addrs: v, Policy: n.policy})
	c.s.SetBuffers(&n.bufs)
	if v.Msgr2().AnyNonce {
		c.asked = v
	}
	c.register(v)
	c.s.Start(n.w.now)
	c.settle()
	return c
}

// register puts c in under v, and no more under what it had.
func (c *simConn) register(v entity.AddrVec) {
	c.unregister()
	c.key = v
	c.n.reg.Put(v, c)
}

func (c *simConn) unregister() {
	c.n.reg.Remove(c.key, c)
	c.key = nil
}

// Admit and Abandon are the Gate.
func (c *simConn) Admit(int64) bool {
	if c.held {
		c.waiting = true
		return false
	}
	c.admitted++
	return true
}

func (c *simConn) Abandon(int64) {
	if c.waiting {
		c.waiting = false
		return
	}
	c.admitted--
	if c.admitted < 0 {
		c.n.w.failf("%s: gate given back twice", c)
	}
}

// release opens the gate.
func (c *simConn) release() {
	c.held = false
	if c.waiting {
		c.waiting = false
		c.admitted++
		c.s.Resume(c.n.w.now)
		c.settle()
		c.unstash()
	}
}

func (c *simConn) stuck() bool { return c.s.Paused() }

func (c *simConn) feed(b []byte) {
	now := c.n.w.now
	for {
		end := c.end
		if end == nil {
			return
		}
		if len(b) > 0 && !c.s.Paused() {
			n := c.s.HandleBytes(now, b)
			if n < len(b) && c.s.stream.up && !c.s.Paused() {
				c.n.w.failf("%s: took %d of %d bytes", c, n, len(b))
			}
			b = b[n:]
		}
		if c.s.Paused() {
			c.stash = append(c.stash, b...)
			b = nil
		}
		c.settle()
		if len(b) == 0 || c.end != end {
			return
		}
	}
}

func (c *simConn) unstash() {
	if c.s.Paused() || c.end == nil {
		return
	}
	b := c.stash
	c.stash = nil
	if len(b) > 0 {
		c.feed(b)
	}
}

// letGo forgets what belongs to the transport.
func (c *simConn) letGo() {
	e := c.end
	c.end, c.stash = nil, nil
	if c.pending != nil {
		c.pending = nil
	}
	if e != nil {
		e.closed()
	}
}

// settle carries out the outputs, and then writes.
func (c *simConn) settle() {
	w := c.n.w
	arbitrate, authenticate := false, false
	for {
		o, ok := c.s.NextOutput()
		if !ok {
			break
		}
		if c.closed && o.Kind != OutFinish {
			w.failf("%s: %s after Closed", c, o)
		}
		switch o.Kind {
		case OutDeliver:
			c.deliver(o.Msg)
		case OutFinish:
			c.finish(o.Msg, o.Err)
		case OutArbitrate:
			arbitrate = true
		case OutAuthenticate:
			authenticate = true
		default:
			w.logf("%s: %s", c, o)
			c.carryOut(o)
		}
	}
	if err := c.s.invariants(); err != nil {
		w.failf("%s: %v", c, err)
	}
	if arbitrate && !c.n.hold {
		c.n.arbitrate(c)
	}
	if authenticate && !c.n.later {
		c.runStep(c.s.AuthStep())
	}
	c.flush()
}

// runStep runs a step of the authentication here and now.
func (c *simConn) runStep(step *AuthStep) {
	if step != nil && step.Run() {
		c.s.HandleStep(c.n.w.now)
		c.settle()
		c.unstash()
	}
}

func (c *simConn) carryOut(o Output) {
	switch o.Kind {
	case OutFault:
		c.faults = append(c.faults, o.Err)
		return
	case OutConnectFailed:
		c.failed = append(c.failed, o.Err.(*msg.ConnectError))
		return
	case OutTurnedAway:
		c.refused = append(c.refused, o.Err)
		return
	case OutRejected:
		c.rejected = append(c.rejected, o.Err.(*msg.RejectedError))
		return
	case OutAddrs:
		if c.key != nil {
			c.register(append(c.asked.Clone(), c.s.PeerAddrs()...))
		}
		return
	case OutAbsent:
		c.absent++
		return
	case OutAdopted:
		return
	case OutChanged:
		c.changed = append(c.changed, o.Msg)
		return
	case OutKeepalive, OutKeepaliveAck:
		c.alive++
		return
	case OutDial:
		c.n.w.dial(c)
		return
	case OutCloseTransport:
		if c.end != nil {
			c.letGo()
		}
		return
	case OutConnected, OutAccepted:
		c.ready++
	case OutRemoteReset:
		c.remote++
	case OutClosed:
		c.closed = true
		c.unregister()
		if c.end != nil {
			c.n.w.failf("%s: closed with its transport", c)
		}
		if !c.marked && c.s.Announced() && !errors.Is(o.Err, ErrReplaced) {
			c.resets++
		}
	}
	c.events = append(c.events, o.Kind.String())
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// message is one whose payload proves what it is.
func message(id uint64, prio uint8, front, middle, data int) *msg.Message {
	m := msg.New(uint16(id), front+16)
	m.TID, m.Priority, m.Version = id, prio, 3
	fill(m.Front, id)
	m.Middle, m.Data = make([]byte, middle), make([]byte, data)
	fill(m.Middle, id+1)
	fill(m.Data, id+2)
	return m
}

func fill(b []byte, seed uint64) {
	if len(b) < 16 {
		for i := range b {
			b[i] = byte(seed) + byte(i)
		}
		return
	}
	binary.LittleEndian.PutUint64(b, seed)
	for i := 16; i < len(b); i++ {
		b[i] = byte(i*7) + byte(seed)
	}
	binary.LittleEndian.PutUint64(b[8:], crc64.Checksum(b[16:], crcTable))
}

func filled(b []byte, seed uint64) bool {
	if len(b) < 16 {
		for i := range b {
			if b[i] != byte(seed)+byte(i) {
				return false
			}
		}
		return true
	}
	return binary.LittleEndian.Uint64(b) == seed &&
		binary.LittleEndian.Uint64(b[8:]) == crc64.Checksum(b[16:], crcTable)
}

func (c *simConn) deliver(m *msg.Message) {
	id := m.TID
	c.n.w.logf("%s: Deliver %d seq %d", c, id, m.Seq())
	switch {
	case c.ready == 0:
		c.n.w.failf("%s: message %d before the session was ready", c, id)
	case !filled(m.Front, id) || !filled(m.Middle, id+1) || !filled(m.Data, id+2):
		c.n.w.failf("%s: message %d has wrong bytes", c, id)
	}
	c.got = append(c.got, id)
	c.n.got = append(c.n.got, id)
	c.admitted--
	m.Release()
}

func (c *simConn) finish(m *msg.Message, err error) {
	c.n.w.logf("%s: Finish %d %v", c, m.TID, err)
	if _, twice := c.done[m.TID]; twice {
		c.n.w.failf("%s: message %d finished twice", c, m.TID)
	}
	c.done[m.TID] = err
	(*msg.Recycler)(nil).Sent(m)
}

func (c *simConn) send(id uint64, prio uint8, size int) {
	c.sendMsg(message(id, prio, size, 0, 0))
}

func (c *simConn) sendMsg(m *msg.Message) {
	c.s.Send(c.n.w.now, m)
	c.settle()
}

func (c *simConn) markDown() {
	c.marked = true
	c.s.MarkDown(msg.ErrMarkedDown)
	c.settle()
}

// flush writes what there is, as far as the window of the wire allows. One call
// of Fill is one chunk in flight.
func (c *simConn) flush() {
	for c.end != nil && c.end.w.state == wireUp {
		room := c.n.window - c.end.peer().inBytes
		if room <= 0 {
			return
		}
		if c.pending == nil {
			c.pending = new(frame.Batch)
		}
		if c.pending.Len() == 0 {
			c.s.Fill(c.n.w.now, c.pending, c.n.limit)
			if c.pending.Len() == 0 {
				c.pending = nil
				if _, ok := c.s.PeekOutput(); ok { // Fill gave the connection up
					c.settle()
				}
				return
			}
		}
		b := c.pending.AppendTo(nil)
		n := min(len(b), room)
		p := c.end.peer()
		c.end.sent += n
		if !p.deaf && p.conn != nil {
			p.in = append(p.in, b[:n])
			p.inBytes += n
		}
		c.pending.Advance(n)
		c.s.Written(c.n.w.now, n)
		for { // Written finishes messages of lossy sessions
			o, ok := c.s.NextOutput()
			if !ok {
				break
			}
			if o.Kind != OutFinish {
				c.n.w.failf("%s: %s from Written", c, o)
			}
			c.finish(o.Msg, o.Err)
		}
	}
}
