package demo

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// The bounds of what clients may have in work at an OSD: messages and payload
// bytes. They are held until all replicas have a write, so they are reached.
const (
	publicMessagesMax = 8
	publicBytesMax    = 256 << 10
)

// osd keeps objects. Its public messenger is its dispatcher; the cluster
// messenger's is clusterSide.
type osd struct {
	d    *demo
	id   int
	pub  *async.Messenger
	clu  *async.Messenger
	name string

	hurt *hurt // what is done to it on purpose

	throttles [2]*dispatch.Throttle // of the clients: messages, bytes
	peers     []*link               // by id, nil for itself; constant once all are connected
	replicas  []int                 // of the objects it is the primary of

	mu      sync.Mutex
	objects map[uint32]object
	own     []uint32 // that it is the primary of, in the order of creation
	writes  map[uint64]*writeOp
	pushes  map[uint64]push
	cursor  []int // by peer, into own: what recovery looks at next
	pushing []int // by peer: pushes in flight
	lastTID uint64
}

// object is a generation of an object; body is never changed.
type object struct {
	gen  uint64
	body []byte // header and data
}

func (o object) header() []byte { return o.body[:objectHeaderLen] }
func (o object) data() []byte   { return o.body[objectHeaderLen:] }

func newObject(gen uint64, m *msg.Message) object {
	body := make([]byte, 0, len(m.Middle)+len(m.Data))
	return object{gen, append(append(body, m.Middle...), m.Data...)}
}

func newOSD(d *demo, id int) (*osd, error) {
	o := &osd{
		d: d, id: id, name: entity.OSD(int64(id)).String(), objects: map[uint32]object{},
		writes: map[uint64]*writeOp{}, pushes: map[uint64]push{}, peers: make([]*link, d.cfg.OSDs),
		cursor: make([]int, d.cfg.OSDs), pushing: make([]int, d.cfg.OSDs),
	}
	for i := 1; i < min(d.cfg.Replicas, d.cfg.OSDs); i++ {
		o.replicas = append(o.replicas, (id+i)%d.cfg.OSDs)
	}
	o.hurt = newHurt(d)
	var err error
	if o.pub, err = d.messenger(entity.OSD(int64(id)), o.hurt.configure); err != nil {
		return nil, err
	}
	o.pub.SetDefaultPolicy(msg.StatefulServer())
	o.throttles = [2]*dispatch.Throttle{dispatch.NewThrottle(publicMessagesMax), dispatch.NewThrottle(publicBytesMax)}
	o.pub.SetPolicyThrottlers(entity.TypeClient, o.throttles[0], o.throttles[1])
	o.pub.SetPolicy(entity.TypeMgr, msg.StatelessServer())
	o.pub.AddDispatcherTail(o)

	if o.clu, err = d.messenger(entity.OSD(int64(id)), o.hurt.configure); err != nil {
		return nil, err
	}
	o.clu.SetDefaultPolicy(msg.LosslessPeer())
	o.clu.AddDispatcherTail(clusterSide{o})

	for _, m := range []*async.Messenger{o.pub, o.clu} {
		if err := m.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
			return nil, err
		}
		if err := m.Start(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// connect begins a session with every peer, as every peer does at the same time.
func (o *osd) connect() error {
	for _, p := range o.d.osds {
		if p == o {
			continue
		}
		c, err := o.clu.ConnectTo(entity.TypeOSD, p.clu.Addrs())
		if err != nil {
			return err
		}
		l := &link{conn: c, out: o.d.oracle.Stream(o.name, p.name, "cluster", 0, false)}
		c.SetValue(&peer{in: o.d.oracle.Stream(p.name, o.name, "cluster", 0, false), back: l})
		o.peers[p.id] = l
	}
	return nil
}

// writeOp is a client's write that replicas are told of. It holds the request
// and its share of the throttles.
type writeOp struct {
	o     *osd
	m     *msg.Message
	reply *link
	p     payload
	start time.Duration
	bytes int          // of the object; m may be gone once the last replica has answered
	left  int          // replicas that have not answered; under osd.mu
	refs  atomic.Int32 // the answer, and sendings whose end is not known
}

// MessageSent implements msg.Notifier for the messages to replicas, whose body
// is the request's: it may go when all of them have ended.
func (w *writeOp) MessageSent(_ msg.Connection, m *msg.Message, err error) {
	w.o.d.notifies.Add(-1)
	if err != nil && !w.o.d.closing.Load() {
		w.o.d.oracle.Failed("%s: replication of object %d gen %d undeliverable: %v", w.o.name, w.p.Object, w.p.Gen, err)
	}
	w.unref()
}

func (w *writeOp) unref() {
	switch n := w.refs.Add(-1); {
	case n == 0:
		w.m.Release()
	case n < 0:
		w.o.d.oracle.Failed("%s: a sending ended twice", w.o.name)
	}
}

// Dispatch implements msg.Dispatcher for the public messenger.
func (o *osd) Dispatch(m *msg.Message) bool {
	o.hurt.stall.pass()
	p, err := decode(m)
	if err != nil {
		o.d.oracle.Failed("%s: %v from %s", o.name, err, m.Source())
		return true
	}
	if o.d.stale(m.Source(), p.Epoch) {
		m.Release()
		return true
	}
	from := o.session(m, p)
	from.in.Received(m.Connection(), m.Priority, p.Seq)
	switch m.Type {
	case typeWrite:
		o.write(m, p, from)
		return true // released by the writeOp
	case typeRead:
		o.read(m, p, from)
	case typePoll:
		// An error means that the session is over: its promise covers that.
		if r := newMessage(typePolled, prioNormal, m.TID, payload{Gen: p.Gen}, nil, nil); from.back.send(r) != nil {
			r.Release()
		}
	default:
		return false
	}
	m.Release()
	return true
}

// session returns what belongs to the connection that m came by.
func (o *osd) session(m *msg.Message, p payload) *peer {
	c := m.Connection()
	if v, ok := c.Value().(*peer); ok {
		return v
	}
	from, lossy := c.PeerName().String(), c.Policy().Lossy
	back := p.Epoch
	if lossy {
		back = c.ID()
	}
	v := &peer{
		in:   o.d.oracle.Stream(from, o.name, "public", p.Epoch, lossy),
		back: &link{conn: c, out: o.d.oracle.Stream(o.name, from, "public", back, lossy)},
	}
	c.SetValue(v)
	return v
}

// answer sends a reply over a lossless session.
func (o *osd) answer(l *link, m *msg.Message) {
	if err := l.send(m); err != nil {
		m.Release()
		if l.out.lossy.Load() {
			return // who asked was killed
		}
		o.d.oracle.Failed("%s: answer to %v: %v", o.name, l.conn, err)
	}
}

// write applies a client's write and has it replicated.
func (o *osd) write(m *msg.Message, p payload, from *peer) {
	if len(m.Middle) != objectHeaderLen {
		o.d.oracle.Failed("%s: object %d with a header of %d bytes", o.name, p.Object, len(m.Middle))
		return
	}
	o.mu.Lock()
	if o.d.stale(m.Source(), p.Epoch) {
		o.mu.Unlock()
		m.Release()
		return
	}
	m.Hold()
	w := &writeOp{o: o, m: m, reply: from.back, p: p, start: o.d.now(), bytes: len(m.Data), left: len(o.replicas)}
	w.refs.Store(int32(1 + len(o.replicas)))
	o.d.notifies.Add(int64(len(o.replicas)))

	was, known := o.objects[p.Object]
	if p.Gen != was.gen+1 {
		o.d.oracle.Failed("%s: write of object %d gen %d on gen %d", o.name, p.Object, p.Gen, was.gen)
	}
	if !known {
		o.own = append(o.own, p.Object)
	}
	o.objects[p.Object] = newObject(p.Gen, m)
	o.lastTID++
	tid := o.lastTID
	if w.left > 0 {
		o.writes[tid] = w
	}
	// Sent under the lock, so that replicas see an object's generations in order.
	for _, r := range o.replicas {
		x := newMessage(typeReplicate, prioNormal, tid, payload{Object: p.Object, Gen: p.Gen}, m.Middle, m.Data)
		x.Notify = w
		if err := o.peers[r].send(x); err != nil {
			x.Release()
			o.d.oracle.Failed("%s: replicate to osd.%d: %v", o.name, r, err)
		}
	}
	done := w.left == 0
	o.mu.Unlock()
	if done {
		w.finish()
	}
}

// finish answers the client: all replicas have it.
func (w *writeOp) finish() {
	w.o.answer(w.reply,
		newMessage(typeWriteReply, prioNormal, w.m.TID, payload{Object: w.p.Object, Gen: w.p.Gen}, nil, nil))
	w.unref()
}

func (o *osd) read(m *msg.Message, p payload, from *peer) {
	o.mu.Lock()
	x := o.objects[p.Object]
	o.mu.Unlock()
	r := payload{Object: p.Object, Gen: x.gen}
	if x.gen == 0 {
		o.answer(from.back, newMessage(typeReadReply, prioNormal, m.TID, r, nil, nil))
		return
	}
	o.answer(from.back, newMessage(typeReadReply, prioNormal, m.TID, r, x.header(), x.data()))
}

// The public messenger's sessions with clients are lossless: they do not end.

// HandleReset implements msg.ResetHandler.
func (o *osd) HandleReset(c msg.Connection, reason error) bool {
	if !c.Policy().Lossy {
		o.d.oracle.Failed("%s: reset of %v: %v", o.name, c, reason)
	}
	return true
}

// HandleRemoteReset implements msg.RemoteResetHandler.
func (o *osd) HandleRemoteReset(c msg.Connection) {
	o.d.oracle.Failed("%s: remote reset of %v", o.name, c)
}

// HandleUndeliverable implements msg.UndeliverableHandler.
func (o *osd) HandleUndeliverable(c msg.Connection, m *msg.Message, reason error) {
	if p, ok := c.Value().(*peer); !c.Policy().Lossy && !(ok && p.back.out.lossy.Load()) {
		o.d.undeliverable(o.name, c, m, reason)
	}
}

// undeliverable is a broken promise unless the demo is over.
func (d *demo) undeliverable(who string, c msg.Connection, m *msg.Message, reason error) {
	if !d.closing.Load() {
		d.oracle.Failed("%s: message %#x on %v undeliverable: %v", who, m.Type, c, reason)
	}
}

// copyOf returns the copy of an object.
func (o *osd) copyOf(id uint32) (object, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x, ok := o.objects[id]
	if !ok {
		return x, fmt.Errorf("%s has no copy of object %d", o.name, id)
	}
	return x, nil
}
