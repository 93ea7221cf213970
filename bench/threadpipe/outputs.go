package threadpipe

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// work is what user code is to be told, collected under mu and done without it.
type work struct {
	list  []session.Output
	done  int // how many of the list are
	era   uint32
	told  told
	items []dispatch.Item
	// fast are the bytes of the messages that were fast dispatched, fastCount their
	// number. With inFast one more of fastSize bytes is being dispatched.
	fast      int64
	fastCount uint64
	fastSize  int64
	inFast    bool
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
	p.Seen.SetState(p.s.State())
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
			if p.writing && !unsent(o.Err) {
				p.held = append(p.held, o)
			} else {
				w.list = append(w.list, o)
			}
		case session.OutConnected, session.OutAccepted:
			p.readied(o, w)
		case session.OutFault:
			p.carryOut(o)
			if o.GoesOn {
				if p.faults.Admit() {
					p.event(dispatch.KindFault, o.Err)
				}
				w.list = append(w.list, o)
			}
		case session.OutAbsent:
			w.list = append(w.list, o)
		case session.OutRemoteReset:
			w.era = p.era.Add(1)
			p.counts.RemoteResets.Add(1)
			p.counts.Discarded.Add(w.dropDeliveries())
			p.m.queue.Discard(p.ID(), false)
			p.later = append(p.later, dispatch.EventItem(dispatch.KindRemoteReset, p, nil))
			w.list = append(w.list, o)
		case session.OutClosed:
			if p.ended(o.Err) {
				w.list = append(w.list, session.Output{Kind: o.Kind, Err: p.closed})
			}
		default:
			p.carryOut(o)
		}
	}
	if received > 0 {
		p.counts.Received.Add(uint64(received))
		p.counts.ReceivedBytes.Add(uint64(receivedBytes))
	}
	p.kick()
}

// unsent says of the end of a message's sending that nothing of it was encoded.
func unsent(err error) bool { return err == msg.ErrCancelled || err == msg.ErrDeadline }

func (p *Pipe) carryOut(o session.Output) {
	switch o.Kind {
	case session.OutDial:
		p.dial()
	case session.OutCloseTransport:
		p.stopDialling()
		p.closeSocket()
		p.Seen.Connected.Store(false)
	case session.OutArbitrate:
		p.arbitrate = true
	case session.OutAuthenticate:
		p.authenticate = true
	case session.OutFault:
		p.Seen.Connected.Store(false)
		p.counts.Faults.Add(1)
		if errors.Is(o.Err, session.ErrRekey) {
			p.counts.Rekeys.Add(1)
		}
		p.Seen.SetLastError(o.Err)
		p.m.log.Debug("connection fault", "pipe", p, "state", o.State, "err", o.Err)
		p.blame(o.State, o.Err)
	case session.OutTurnedAway:
		p.Seen.SetLastError(o.Err)
		p.blame(o.State, o.Err)
	case session.OutConnectFailed:
		err := o.Err.(*msg.ConnectError)
		p.counts.ConnectFailures[err.Reason].Add(1)
		p.Seen.SetLastError(o.Err)
		p.m.failures.ConnectFailed(p.m.now(), p, err)
		p.event(dispatch.KindConnectFailed, err)
	case session.OutRefused:
		p.counts.Refused.Add(1)
		p.event(dispatch.KindRefused, o.Err)
	case session.OutRejected:
		p.counts.Rejected.Add(1)
		p.m.log.Warn("a message breaks its connection each time that it is sent", "pipe", p, "err", o.Err)
		p.event(dispatch.KindRejected, o.Err)
	case session.OutAddrs:
		p.publish()
		p.m.reg.Rename(p, p.s.PeerAddrs())
	case session.OutAdopted:
		p.publish()
		p.adopted()
	case session.OutChanged:
		p.changed(o.Msg)
	case session.OutKeepalive:
		p.Seen.Keepalive.Store(time.Now().UnixNano())
	case session.OutKeepaliveAck:
		p.Seen.KeepaliveAck.Store(p.s.LastKeepaliveAck().UnixNano())
	default:
		panic(fmt.Sprintf("threadpipe: nobody carries out %v", o))
	}
}

// event is enqueueEvent, unless the pipe is closed; under mu.
func (p *Pipe) event(k dispatch.Kind, err error) {
	if !p.IsClosed() {
		p.enqueueEvent(k, err)
	}
}

// enqueueEvent has the pool tell the user of an event, behind the remote resets that fast
// dispatchers are to be told of first; under mu.
func (p *Pipe) enqueueEvent(k dispatch.Kind, err error) {
	e := dispatch.EventItem(k, p, err)
	if len(p.later) > 0 {
		p.later = append(p.later, e)
		return
	}
	_ = p.m.queue.EnqueueBatch([]dispatch.Item{e}) // refused: discarded there
}

// fastResetTold lets the pool be told of the first of the remote resets, and of what came
// between it and the next one.
func (p *Pipe) fastResetTold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 1
	for n < len(p.later) && p.later[n].Kind != dispatch.KindRemoteReset {
		n++
	}
	events := p.later[:n:n]
	if p.later = p.later[n:]; len(p.later) == 0 {
		p.later = nil
	}
	if p.IsClosed() {
		events = slices.DeleteFunc(events, func(e dispatch.Item) bool { return e.Kind != dispatch.KindReset })
	}
	_ = p.m.queue.EnqueueBatch(events)
}

// FaultTaken is called by the dispatch queue when a HandleFault of this pipe begins.
func (p *Pipe) FaultTaken() {
	if p.faults.Taken() {
		p.m.spawn(func() { p.do(p.tellOwed) })
	}
}

// tellOwed tells the user of the last fault, if he was not told of it and the pipe is down;
// under mu.
func (p *Pipe) tellOwed() {
	if p.faults.Owed() && p.s.State() != session.StateReady && !p.IsClosed() && p.faults.Admit() {
		p.event(dispatch.KindFault, p.LastError())
	}
}

// tellPressure tells the user when the send queue comes under pressure, or is no
// longer; under mu.
func (p *Pipe) tellPressure() {
	high, changed := p.account.Pressure()
	switch {
	case !changed:
	case high:
		p.counts.HighWaters.Add(1)
		p.event(dispatch.KindHighWater, nil)
	default:
		p.event(dispatch.KindLowWater, nil)
	}
}

func (p *Pipe) readied(o session.Output, w *work) {
	p.setThrottles(p.s.Policy()) // accepted: the policy is known by now
	p.publish()
	p.m.reg.Readied(p)
	if p.closed != nil {
		return
	}
	p.m.failures.Connected(p.m.now(), p)
	p.Seen.Connected.Store(true)
	if p.known {
		p.counts.Resumed.Add(1)
	}
	p.known = true
	if o.Kind == session.OutConnected {
		p.counts.Connected.Add(1)
		p.enqueueEvent(dispatch.KindConnect, nil)
	} else {
		p.counts.Accepted.Add(1)
		p.enqueueEvent(dispatch.KindAccept, nil)
	}
	w.list = append(w.list, o)
}

// ended: the session is over, and says whether the user is to be told. reason is nil after
// Close.
func (p *Pipe) ended(reason error) (reset bool) {
	p.gone = true
	p.Seen.Connected.Store(false)
	p.stopDialling()
	p.closeSocket()
	first := p.closeFor(reason)
	p.m.reg.Remove(p)
	p.m.failures.Gone(p)
	reset = first && p.s.Announced()
	if reset {
		p.counts.Resets.Add(1)
	}
	return reset
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
	p.Seen.Closed.Store(true)
	p.account.Wake()
	return true
}
