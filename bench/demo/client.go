package demo

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// objectsPerClient is how many objects a client owns, and writes.
const objectsPerClient = 8

// clientDepth is how many operations a busy client has in flight; a quiet one
// has one now and then.
const clientDepth = 4

// client writes its own objects and reads anybody's. It has no goroutine: an
// answer begins the next operation.
type client struct {
	d    *demo
	id   int
	name string

	mu      sync.Mutex
	m       *async.Messenger
	links   []*link // by OSD
	dead    bool    // it was killed
	rng     *rand.Rand
	ops     map[uint64]clientOp
	lastTID uint64
	first   uint32 // of its objects
	writing [objectsPerClient]bool
	gens    [objectsPerClient]uint64
	quiet   bool
	next    time.Duration // when a quiet client begins an operation
}

type clientOp struct {
	write  bool
	object uint32
	gen    uint64 // of a write; the least a read must return
	start  time.Duration
	size   int
}

func newClient(d *demo, id int) (*client, error) {
	c := &client{
		d: d, id: id, name: entity.Client(int64(id)).String(), quiet: id >= d.cfg.Clients,
		first: uint32(id * objectsPerClient), rng: rand.New(rand.NewPCG(d.cfg.Seed, uint64(id))),
	}
	return c, c.live()
}

// live begins a life of the client: a messenger, and a session with every OSD.
func (c *client) live() error {
	d := c.d
	m, err := d.messenger(entity.Client(int64(c.id)), nil)
	if err != nil {
		return err
	}
	m.SetDefaultPolicy(msg.LosslessClient())
	m.AddDispatcherTail(c)
	if err := m.Start(); err != nil {
		return err
	}
	epoch := d.lives[c.id].Load()
	var links []*link
	for _, o := range d.osds {
		conn, err := m.ConnectTo(entity.TypeOSD, o.pub.Addrs())
		if err != nil {
			return err
		}
		l := &link{conn: conn, out: d.oracle.Stream(c.name, o.name, "public", epoch, false)}
		conn.SetValue(&peer{in: d.oracle.Stream(o.name, c.name, "public", epoch, false), back: l})
		links = append(links, l)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m, c.links, c.ops, c.dead = m, links, map[uint64]clientOp{}, false
	return nil
}

// begin fills a busy client's depth.
func (c *client) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.quiet {
		for len(c.ops) < clientDepth && c.startLocked() {
		}
	}
}

// tick begins an operation of a quiet client when its time has come.
func (c *client) tick(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quiet && now >= c.next && len(c.ops) == 0 {
		c.next = now + time.Duration(50+c.rng.IntN(100))*time.Millisecond
		c.startLocked()
	}
}

// startLocked begins one operation.
func (c *client) startLocked() bool {
	d := c.d
	if c.dead || d.stopping.Load() {
		return false
	}
	c.lastTID++
	var op clientOp
	var m *msg.Message
	if k := c.rng.IntN(objectsPerClient); c.rng.IntN(2) == 0 && !c.writing[k] {
		c.writing[k] = true
		c.gens[k]++
		op = clientOp{write: true, object: c.first + uint32(k), gen: c.gens[k]}
		header, data := d.contents.body(op.object, op.gen)
		op.size = len(data)
		m = newMessage(typeWrite, prioNormal, c.lastTID, payload{Object: op.object, Gen: op.gen}, header, data)
	} else {
		op = clientOp{object: uint32(c.rng.IntN(d.cfg.Conns * objectsPerClient))}
		op.gen = d.acked[op.object].Load()
		m = newMessage(typeRead, prioNormal, c.lastTID, payload{Object: op.object}, nil, nil)
	}
	op.start = d.now()
	c.ops[c.lastTID] = op
	if err := c.links[d.primaryOf(op.object)].send(m); err != nil {
		m.Release()
		delete(c.ops, c.lastTID)
		d.oracle.Failed("%s: send: %v", c.name, err)
		return false
	}
	return true
}

// Dispatch implements msg.Dispatcher.
func (c *client) Dispatch(m *msg.Message) bool {
	d := c.d
	p, err := decode(m)
	if err != nil {
		d.oracle.Failed("%s: %v from %s", c.name, err, m.Source())
		return true
	}
	m.Connection().Value().(*peer).in.Received(m.Connection(), m.Priority, p.Seq)
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		m.Release()
		return true
	}
	op, ok := c.ops[m.TID]
	delete(c.ops, m.TID)
	if ok && op.write {
		c.writing[op.object-c.first] = false
	}
	c.mu.Unlock()
	switch {
	case !ok || op.object != p.Object || op.write != (m.Type == typeWriteReply):
		d.oracle.Failed("%s: answer %#x tid %d object %d to %+v", c.name, m.Type, m.TID, p.Object, op)
	case op.write:
		if p.Gen != op.gen {
			d.oracle.Failed("%s: wrote object %d gen %d, answer says %d", c.name, op.object, op.gen, p.Gen)
		}
		d.acked[op.object].Store(op.gen)
		d.meters[clientWrite].add(d.now()-op.start, op.size)
	default:
		d.meters[clientRead].add(d.now()-op.start, len(m.Data))
		if p.Gen < op.gen {
			d.oracle.Lost(1, "%s: read object %d gen %d, gen %d was acknowledged", c.name, op.object, p.Gen, op.gen)
		}
		if p.Gen > 0 && !d.contents.is(p.Object, p.Gen, m.Middle, m.Data) {
			d.oracle.Failed("%s: object %d gen %d has a wrong content", c.name, p.Object, p.Gen)
		}
	}
	m.Release()
	c.begin()
	return true
}

// inFlight is the number of operations without an answer.
func (c *client) inFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ops)
}

// HandleReset implements msg.ResetHandler. A lossless session never ends.
func (c *client) HandleReset(conn msg.Connection, reason error) bool {
	if !c.isDead() {
		c.d.oracle.Failed("%s: reset of %v: %v", c.name, conn, reason)
	}
	return true
}

// HandleRemoteReset implements msg.RemoteResetHandler.
func (c *client) HandleRemoteReset(conn msg.Connection) {
	c.d.oracle.Failed("%s: remote reset of %v", c.name, conn)
}

// HandleUndeliverable implements msg.UndeliverableHandler.
func (c *client) HandleUndeliverable(conn msg.Connection, m *msg.Message, reason error) {
	if !c.isDead() {
		c.d.undeliverable(c.name, conn, m, reason)
	}
}
