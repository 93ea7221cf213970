package threadpipe

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// perform tells user code; without mu.
func (p *Pipe) perform(w *work) {
	m := p.m
	var good, bad uint64
	for i, o := range w.list {
		w.list[i] = session.Output{}
		switch o.Kind {
		case session.OutDeliver:
			p.deliver(o.Msg, w)
		case session.OutFinish:
			if o.Err == nil {
				good++
			} else {
				bad++
			}
			p.finish(o.Msg, o.Err)
		case session.OutConnected:
			m.chain.FastConnect(p)
		case session.OutAccepted:
			m.chain.FastAccept(p)
		}
	}
	w.list = w.list[:0]
	if good > 0 {
		p.counts.delivered.Add(good)
	}
	if bad > 0 {
		p.counts.undeliverable.Add(bad)
	}
	if w.fastCount > 0 {
		p.counts.fast.Add(w.fastCount)
		w.fastCount = 0
	}
	if w.fast > 0 && p.thr[dispatchStage] != nil {
		p.thr[dispatchStage].Release(w.fast)
	}
	w.fast = 0
	if len(w.items) > 0 {
		_ = m.queue.EnqueueBatch(w.items) // refused: discarded there, by Shutdown
		clear(w.items)
		w.items = w.items[:0]
	}
}

func (p *Pipe) deliver(x *msg.Message, w *work) {
	if p.isClosed.Load() || p.era.Load() != w.era {
		p.counts.drops.Add(1)
		drop(x)
		return
	}
	size := int64(x.PayloadLen()) // x may be gone afterwards
	if p.m.chain.FastOwing(x) == dispatch.Unhandled {
		w.items = append(w.items, dispatch.Item{
			Kind: dispatch.KindMessage, Priority: x.Priority, Class: p.id, Msg: x, Conn: p,
		})
		return
	}
	p.thr.release(dispatchStage, size)
	w.fast += size
	w.fastCount++
}

// finish ends the sending of x.
func (p *Pipe) finish(x *msg.Message, err error) {
	if r := msg.NotifySent(p, x, err); r != nil {
		p.m.userPanicked(p, r, nil)
	}
	if err != nil {
		p.m.chain.Undeliverable(p, x, err)
	}
	(*msg.Recycler)(nil).Sent(x)
}

// drop discards a received message.
func drop(x *msg.Message) {
	msg.TicketFor(x).Done()
	x.Release()
}
