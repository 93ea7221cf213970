package async

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// loopback is the messenger's connection to itself, on one worker.
type loopback struct {
	connection.Loopback
	m     *Messenger
	w     eventloop.Worker
	items []dispatch.Item // of the batch; the worker's
}

func newLoopback(m *Messenger, id uint64) *loopback {
	l := &loopback{m: m, w: m.cfg.Stack.Pick()}
	l.Init(id, loopbackOwner{l}, &connection.LoopbackConfig{
		Conn: l, Clock: m.cfg.Clock, Limits: &m.shared.Options.Send, MayWait: mayWait,
		DefaultPriority: func() uint8 { return uint8(m.defaultPrio.Load()) },
	})
	return l
}

// loopbackOwner implements connection.LoopbackOwner, and eventloop.Task.
type loopbackOwner struct{ *loopback }

func (l loopbackOwner) Wake() error { return l.w.Post(l) }
func (l loopbackOwner) Run()        { l.Deliver() }

func (l loopbackOwner) Dispatch(d *msg.Message) (over bool) {
	l.m.shared.Stats[l.w.ID()].Delivered.Add(1)
	prio := d.Priority // d may be gone afterwards
	if l.m.chain.FastOwing(d) != dispatch.Unhandled {
		return true
	}
	l.items = append(l.items,
		dispatch.Item{Kind: dispatch.KindMessage, Priority: prio, Class: l.ID(), Msg: d, Conn: l.loopback})
	return false
}

func (l loopbackOwner) EndOfBatch() {
	if len(l.items) > 0 {
		_ = l.m.queue.EnqueueBatch(l.items) // refused: discarded there, by Shutdown
		clear(l.items)
		l.items = l.items[:0]
	}
}

func (l loopbackOwner) Discard() {
	l.m.queue.Discard(l.ID(), true)
	reason := msg.ErrMarkedDown
	if l.IsClosed() {
		reason = msg.ErrShutdown
	}
	l.m.tellClosed(l.loopback, reason)
}
func (l loopbackOwner) Undeliverable(x *msg.Message, err error) {
	l.m.undeliverable(l.loopback, x, err)
}
func (l loopbackOwner) UserPanic(recovered any) { l.m.userPanicked(l.loopback, recovered, nil) }

func (l loopbackOwner) Self() connection.Self {
	name := l.m.cfg.Name
	return connection.Self{Name: name, Addrs: l.m.Addrs(), Policy: l.m.PolicyFor(name.Type)}
}
