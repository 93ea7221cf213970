package threadpipe

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// told are messages whose senders have been told the end, and which are still on the
// account. good and bad say how it was.
type told struct {
	ended     connection.Ended
	good, bad uint64
}

// perform tells user code, and takes what has had its end off the account; without mu.
func (p *Pipe) perform(w *work) {
	if len(w.list) == 0 {
		return
	}
	p.tell(w)
	p.mu.Lock()
	p.settle(w)
	p.mu.Unlock()
}

// settle takes messages off the account whose senders have been told; under mu.
func (p *Pipe) settle(w *work) {
	if w.told.good+w.told.bad == 0 {
		return
	}
	p.account.Give(w.told.ended)
	p.tellPressure()
	w.told = told{}
}

// tell tells user code; without mu. It is followed by settle.
func (p *Pipe) tell(w *work) {
	returned := false
	defer func() {
		if !returned {
			p.abandoned(w)
		}
	}()
	for w.done < len(w.list) {
		o := w.list[w.done]
		w.list[w.done] = session.Output{}
		w.done++
		switch o.Kind {
		case session.OutDeliver:
			p.deliver(o.Msg, w)
		case session.OutFinish:
			p.finish(o.Msg, o.Err, w)
		case session.OutConnected:
			p.m.chain.FastConnect(p)
		case session.OutAccepted:
			p.m.chain.FastAccept(p)
		case session.OutFault:
			p.m.chain.FastFault(p, o.Err)
		case session.OutRemoteReset:
			p.remoteReset()
		case session.OutClosed:
			p.reset(o.Err)
		case session.OutAbsent:
			p.absent()
		}
	}
	p.toldAll(w)
	returned = true
}

// remoteReset tells the user that the peer has lost the session.
func (p *Pipe) remoteReset() {
	defer p.fastResetTold() // though user code may end the goroutine
	p.m.chain.FastRemoteReset(p)
}

// reset tells the user that the pipe is over.
func (p *Pipe) reset(reason error) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.enqueueEvent(dispatch.KindReset, reason)
	}()
	p.m.chain.FastReset(p)
}

// toldAll is for what is done once for the whole list.
func (p *Pipe) toldAll(w *work) {
	w.list, w.done = w.list[:0], 0
	if n := w.told.good; n > 0 {
		p.counts.Delivered.Add(n)
	}
	if n := w.told.bad; n > 0 {
		p.counts.Undeliverable.Add(n)
	}
	if w.fastCount > 0 {
		p.counts.FastDispatched.Add(w.fastCount)
		w.fastCount = 0
	}
	p.adm.ReleaseDispatch(w.fast)
	w.fast = 0
	if len(w.items) > 0 {
		_ = p.m.queue.EnqueueBatch(w.items) // refused: discarded there, by Shutdown
		clear(w.items)
		w.items = w.items[:0]
	}
}

// abandoned: user code ended the goroutine. What is left is told on its way out.
func (p *Pipe) abandoned(w *work) {
	if w.inFast {
		p.fastDone(w)
	}
	p.tell(w)
	p.mu.Lock()
	p.settle(w)
	p.mu.Unlock()
}

// absent: the peer is away, and the session waits for it.
func (p *Pipe) absent() {
	limit := p.m.cfg.StandbyMax
	if old := p.m.reg.Left(p, limit); old != nil {
		old.giveUp(fmt.Errorf("%w, and more than %d peers are away", msg.ErrPeerAbsent, limit))
	}
}

func (p *Pipe) deliver(x *msg.Message, w *work) {
	if p.IsClosed() || p.era.Load() != w.era {
		p.counts.Discarded.Add(1)
		drop(x)
		return
	}
	w.fastSize, w.inFast = int64(x.PayloadLen()), true // x may be gone afterwards
	if p.m.chain.FastOwing(x) != dispatch.Unhandled {
		p.fastDone(w)
		return
	}
	w.inFast = false
	w.items = append(w.items, dispatch.Item{
		Kind: dispatch.KindMessage, Priority: x.Priority, Class: p.ID(), Msg: x, Conn: p,
	})
}

// fastDone: a message was fast dispatched.
func (p *Pipe) fastDone(w *work) {
	w.inFast = false
	p.adm.ReleasePolicy(w.fastSize)
	w.fast += w.fastSize
	w.fastCount++
}

// finish ends the sending of x.
func (p *Pipe) finish(x *msg.Message, err error, w *work) {
	if !msg.Intact(x) {
		p.changed(x)
	}
	if !w.told.ended.Add(x) { // before x is given back
		p.mu.Lock()
		p.account.Give(w.told.ended)
		p.mu.Unlock()
		w.told.ended = connection.Ended{}
		w.told.ended.Add(x)
	}
	if err == nil {
		w.told.good++
	} else {
		w.told.bad++
	}
	msg.NotifySent(p, x, err, p.userFailed)
	if err != nil {
		p.m.chain.Undeliverable(p, x, err)
	}
	(*msg.Recycler)(nil).Sent(x)
}

// userFailed is told of callbacks that did not return.
func (p *Pipe) userFailed(recovered any) { p.m.userPanicked(p, recovered, nil) }

// drop discards a received message.
func drop(x *msg.Message) {
	msg.TicketFor(x).Done()
	x.Release()
}
