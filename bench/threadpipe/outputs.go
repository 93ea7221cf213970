package threadpipe

import (
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// work is what user code is to be told, collected under mu and done without it.
type work struct {
	list  []session.Output
	era   uint32
	items []dispatch.Item
	// fast are the bytes of the messages that were fast dispatched, fastCount their
	// number.
	fast      int64
	fastCount uint64
}

// dropDeliveries forgets the messages of a session that was lost and returns their
// number.
func (w *work) dropDeliveries() (n uint64) {
	w.list = slices.DeleteFunc(w.list, func(o session.Output) bool {
		if o.Kind != session.OutDeliver {
			return false
		}
		drop(o.Msg)
		n++
		return true
	})
	return n
}

// take carries out what the session wants done, and leaves to w what calls user
// code; under mu.
func (p *Pipe) take(w *work) {
	n, bytes := 0, int64(0)
	received, receivedBytes := 0, 0
	w.era = p.era.Load()
	for {
		o, ok := p.s.NextOutput()
		if !ok {
			break
		}
		switch o.Kind {
		case session.OutDeliver:
			received++
			receivedBytes += o.Msg.PayloadLen()
			w.list = append(w.list, o)
		case session.OutFinish:
			n++
			bytes += int64(o.Msg.PayloadLen())
			if p.writing {
				p.held = append(p.held, o)
			} else {
				w.list = append(w.list, o)
			}
		case session.OutConnected, session.OutAccepted:
			p.readied(o, w)
		case session.OutRemoteReset:
			w.era = p.era.Add(1)
			p.counts.remoteResets.Add(1)
			p.counts.drops.Add(w.dropDeliveries())
			p.m.queue.Discard(p.id, false)
			p.event(dispatch.KindRemoteReset, nil)
		default:
			p.carryOut(o)
		}
	}
	if received > 0 {
		p.counts.received.Add(uint64(received))
		p.counts.receivedBytes.Add(uint64(receivedBytes))
	}
	if n > 0 {
		p.nmsgs -= n
		p.nbytes -= bytes
		p.wakeSenders()
	}
	p.kick()
}

func (p *Pipe) carryOut(o session.Output) {
	switch o.Kind {
	case session.OutDial:
		p.dialNow = true
	case session.OutCloseTransport:
		p.dialNow = false
		if p.sock != nil {
			p.sock.close()
			p.sock = nil
		}
		p.connected.Store(false)
	case session.OutArbitrate:
		p.arbitrate = true
	case session.OutFault:
		p.connected.Store(false)
		p.counts.faults.Add(1)
		p.m.log.Debug("connection fault", "pipe", p, "err", o.Err)
	case session.OutRefused:
		p.counts.refused.Add(1)
		p.event(dispatch.KindRefused, o.Err)
	case session.OutClosed:
		p.ended(o.Err)
	case session.OutKeepalive:
		p.lastKA.Store(time.Now().UnixNano())
	case session.OutKeepaliveAck:
		p.lastKAAck.Store(p.s.LastKeepaliveAck().UnixNano())
	}
}

func (p *Pipe) event(k dispatch.Kind, err error) {
	if !p.isClosed.Load() {
		p.enqueueEvent(k, err)
	}
}

func (p *Pipe) enqueueEvent(k dispatch.Kind, err error) {
	_ = p.m.queue.EnqueueBatch([]dispatch.Item{dispatch.EventItem(k, p, err)}) // refused: discarded there
}

func (p *Pipe) readied(o session.Output, w *work) {
	if !p.thrSet { // accepted: the policy is known by now
		p.setThrottles(p.s.Policy())
	}
	p.publish()
	p.m.reg.readied(p)
	if p.closed != nil {
		return
	}
	p.connected.Store(true)
	if o.Kind == session.OutConnected {
		p.counts.connected.Add(1)
		p.enqueueEvent(dispatch.KindConnect, nil)
	} else {
		p.counts.accepted.Add(1)
		p.enqueueEvent(dispatch.KindAccept, nil)
	}
	w.list = append(w.list, o)
}

// ended: the session is over. reason is nil after Close.
func (p *Pipe) ended(reason error) {
	p.gone = true
	p.connected.Store(false)
	if p.sock != nil {
		p.sock.close()
		p.sock = nil
	}
	first := p.closeFor(reason)
	p.m.reg.remove(p)
	if first && p.s.Announced() {
		p.counts.resets.Add(1)
		p.enqueueEvent(dispatch.KindReset, p.closed)
	}
}

// closeFor sets why the pipe is closed and says whether that was not known yet;
// under mu.
func (p *Pipe) closeFor(reason error) bool {
	if p.closed != nil {
		return false
	}
	if reason == nil {
		reason = msg.ErrReset
	}
	p.closed = reason
	p.isClosed.Store(true)
	p.wakeSenders()
	return true
}
