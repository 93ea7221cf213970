package demo

import (
	"bytes"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// pushesMax is how many pushes an OSD has in flight to one peer.
const pushesMax = 4

// push is an object on its way to a replica.
type push struct {
	to    int
	start time.Duration
	size  int
}

// clusterSide is an OSD as the dispatcher of its cluster messenger: replication,
// heartbeats and recovery.
type clusterSide struct{ o *osd }

// from returns the session that m came by and checks its number.
func (s clusterSide) from(m *msg.Message) (payload, *peer, bool) {
	o := s.o
	p, err := decode(m)
	if err != nil {
		o.d.oracle.Failed("%s: %v from %s", o.name, err, m.Source())
		return p, nil, false
	}
	from, ok := m.Connection().Value().(*peer)
	if !ok {
		o.d.oracle.Failed("%s: %s came by an unknown connection %v", o.name, m.Source(), m.Connection())
		return p, nil, false
	}
	from.in.Received(m.Connection(), m.Priority, p.Seq)
	return p, from, true
}

// CanFastDispatch implements msg.FastDispatcher: heartbeats wait for nobody.
func (s clusterSide) CanFastDispatch(m *msg.Message) bool {
	return m.Type == typePing || m.Type == typePong
}

// FastDispatch implements msg.FastDispatcher.
func (s clusterSide) FastDispatch(m *msg.Message) {
	d := s.o.d
	if p, from, ok := s.from(m); ok {
		if m.Type == typePing {
			s.o.answer(from.back, newMessage(typePong, prioHeartbeat, m.TID, payload{Gen: p.Gen}, nil, nil))
		} else {
			d.meters[heartbeat].add(d.now()-time.Duration(p.Gen), m.PayloadLen())
		}
	}
	m.Release()
}

// Dispatch implements msg.Dispatcher.
func (s clusterSide) Dispatch(m *msg.Message) bool {
	s.o.hurt.stall.pass()
	p, from, ok := s.from(m)
	if !ok {
		return true
	}
	o := s.o
	switch m.Type {
	case typeReplicate:
		o.replicate(m, p)
		o.answer(from.back,
			newMessage(typeReplicated, prioNormal, m.TID, payload{Object: p.Object, Gen: p.Gen}, nil, nil))
	case typeReplicated:
		o.replicated(m.TID)
	case typePush:
		o.pushed(m, p)
		o.answer(from.back,
			newMessage(typePushed, prioRecovery, m.TID, payload{Object: p.Object, Gen: p.Gen}, nil, nil))
	case typePushed:
		o.endOfPush(m.TID)
	default:
		return false
	}
	m.Release()
	return true
}

// replicate applies a write that the primary has.
func (o *osd) replicate(m *msg.Message, p payload) {
	x := newObject(p.Gen, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	if was := o.objects[p.Object].gen; p.Gen != was+1 {
		o.d.oracle.Failed("%s: copy of object %d gen %d on gen %d", o.name, p.Object, p.Gen, was)
	}
	o.objects[p.Object] = x
}

// replicated is a replica's answer.
func (o *osd) replicated(tid uint64) {
	o.mu.Lock()
	w := o.writes[tid]
	if w == nil {
		o.mu.Unlock()
		o.d.oracle.Failed("%s: answer to replication %d, which is not under way", o.name, tid)
		return
	}
	w.left--
	done := w.left == 0
	if done {
		delete(o.writes, tid)
	}
	o.mu.Unlock()
	o.d.meters[replication].add(o.d.now()-w.start, w.bytes)
	if done {
		w.finish()
	}
}

// recover pushes the next object to every replica. Replicas begin without the
// cold objects; once they have all, recovery goes on as a scrub.
func (o *osd) recover() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.replicas {
		if o.pushing[r] >= pushesMax || len(o.own) == 0 {
			continue
		}
		id := o.own[o.cursor[r]%len(o.own)]
		o.cursor[r]++
		x := o.objects[id]
		o.lastTID++
		m := newMessage(typePush, prioRecovery, o.lastTID, payload{Object: id, Gen: x.gen}, x.header(), x.data())
		if err := o.peers[r].send(m); err != nil {
			m.Release()
			o.d.oracle.Failed("%s: push to osd.%d: %v", o.name, r, err)
			continue
		}
		o.pushing[r]++
		o.pushes[o.lastTID] = push{to: r, start: o.d.now(), size: len(x.body)}
	}
}

// pushed takes or compares a pushed object. A push has the lowest priority, so
// the write it tells of has arrived before it.
func (o *osd) pushed(m *msg.Message, p payload) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x, have := o.objects[p.Object]
	switch {
	case !have && isCold(p.Object):
		o.objects[p.Object] = newObject(p.Gen, m)
	case x.gen < p.Gen:
		o.d.oracle.Failed("%s: push of object %d gen %d overtook its writes, have gen %d",
			o.name, p.Object, p.Gen, x.gen)
	case x.gen == p.Gen && !(bytes.Equal(x.header(), m.Middle) && bytes.Equal(x.data(), m.Data)):
		o.d.oracle.Failed("%s: object %d gen %d differs from the primary's", o.name, p.Object, p.Gen)
	}
}

func (o *osd) endOfPush(tid uint64) {
	o.mu.Lock()
	x, ok := o.pushes[tid]
	delete(o.pushes, tid)
	if ok {
		o.pushing[x.to]--
	}
	o.mu.Unlock()
	if !ok {
		o.d.oracle.Failed("%s: answer to push %d, which is not under way", o.name, tid)
		return
	}
	o.d.meters[recovery].add(o.d.now()-x.start, x.size)
}

// beat sends a heartbeat to every peer.
func (o *osd) beat() {
	for _, l := range o.peers {
		if l == nil {
			continue
		}
		m := newMessage(typePing, prioHeartbeat, 0, payload{Gen: uint64(o.d.now())}, nil, nil)
		if err := l.send(m); err != nil {
			m.Release()
			o.d.oracle.Failed("%s: heartbeat to %v: %v", o.name, l.conn, err)
		}
	}
}

// HandleReset implements msg.ResetHandler. A LosslessPeer session never ends.
func (s clusterSide) HandleReset(c msg.Connection, reason error) bool {
	s.o.d.oracle.Failed("%s: reset of %v: %v", s.o.name, c, reason)
	return true
}

// HandleRemoteReset implements msg.RemoteResetHandler.
func (s clusterSide) HandleRemoteReset(c msg.Connection) {
	s.o.d.oracle.Failed("%s: remote reset of %v", s.o.name, c)
}

// HandleUndeliverable implements msg.UndeliverableHandler.
func (s clusterSide) HandleUndeliverable(c msg.Connection, m *msg.Message, reason error) {
	s.o.d.undeliverable(s.o.name, c, m, reason)
}
