package threadpipe

import (
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// loopback is the messenger's connection to itself: a thread of its own hands messages
// over. The thread begins with the first Send, and ends with the messenger.
type loopback struct {
	connection.Loopback
	m       *Messenger
	wake    waker
	started bool        // guarded by Loopback, which calls Wake under its lock
	over    atomic.Bool // the thread ends when it looks next
}

func newLoopback(m *Messenger) *loopback {
	l := &loopback{m: m, wake: m.net.newWaker()}
	l.Init(m.lastID.Add(1), loopbackOwner{l}, &connection.LoopbackConfig{
		Conn: l, Clock: m.clock, Limits: &m.sendLimits, MayWait: mayWait,
		DefaultPriority: func() uint8 { return uint8(m.defaultPrio.Load()) },
	})
	return l
}

// close ends the loopback connection and its thread.
func (l *loopback) close(reason error) {
	defer l.wake.wake()
	defer l.over.Store(true)
	l.Close(reason)
}

// run is the thread of local delivery. Should user code end it, another one takes its
// place.
func (l *loopback) run() {
	returned := false
	defer func() {
		if !returned {
			l.m.spawn(l.run)
		}
	}()
	for !l.over.Load() {
		l.Deliver()
		l.wake.wait(-1)
	}
	l.Deliver()
	l.wake.close()
	returned = true
}

// loopbackOwner implements connection.LoopbackOwner.
type loopbackOwner struct{ *loopback }

func (l loopbackOwner) Wake() error {
	if !l.started {
		l.started = true
		l.m.spawn(l.run)
	}
	l.wake.wake()
	return nil
}

func (l loopbackOwner) Dispatch(d *msg.Message) (over bool) {
	c, prio := l.m.countsOf(l.ID()), d.Priority
	c.Delivered.Add(1)
	if l.m.chain.FastOwing(d) != dispatch.Unhandled {
		c.FastDispatched.Add(1)
		return true
	}
	_ = l.m.queue.Enqueue(dispatch.Item{Kind: dispatch.KindMessage, Priority: prio, Class: l.ID(),
		Msg: d, Conn: l.loopback})
	return false
}

func (l loopbackOwner) EndOfBatch()             {}
func (l loopbackOwner) Discard()                { l.m.queue.Discard(l.ID(), true) }
func (l loopbackOwner) UserPanic(recovered any) { l.m.userPanicked(l.loopback, recovered, nil) }

func (l loopbackOwner) Undeliverable(x *msg.Message, err error) {
	l.m.countsOf(l.ID()).Undeliverable.Add(1)
	l.m.chain.Undeliverable(l.loopback, x, err)
}

func (l loopbackOwner) Self() connection.Self {
	name := l.m.cfg.Name
	return connection.Self{Name: name, Addrs: l.m.Addrs(), Policy: l.m.PolicyFor(name.Type)}
}
