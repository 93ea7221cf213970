package connection

import (
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// Run implements eventloop.Task: what other goroutines left for the worker.
func (c *Conn) Run() {
	c.mu.Lock()
	if c.postedTo != c.w {
		// Moved to another worker since.
		c.postedTo = c.w
		c.mu.Unlock()
		c.post()
		return
	}
	now := c.now()
	ms, cmds := c.takeInbox(now), c.cmds
	c.cmds = 0
	closed, fault := c.closed, c.fault
	c.mu.Unlock()

	c.enter()
	if cmds&cmdStart != 0 {
		c.s.Start(now)
	}
	c.sendAll(now, ms)
	if cmds&cmdSweep != 0 {
		c.s.Sweep(now)
	}
	if cmds&cmdFollow != 0 {
		c.s.Follow(now)
	}
	if cmds&cmdRetry != 0 {
		c.s.RetryNow(now)
	}
	if cmds&cmdDisposable != 0 {
		c.s.MarkDisposable()
		c.publish()
	}
	if cmds&cmdKeepalive != 0 {
		c.s.Keepalive(now)
	}
	if cmds&cmdFault != 0 {
		c.s.Fault(now, fault)
	}
	if cmds&cmdGiveUp != 0 {
		c.s.GiveUp(now, fault)
	}
	if cmds&cmdStep != 0 {
		c.s.HandleStep(now)
	}
	if cmds&cmdMarkDown != 0 {
		c.s.MarkDown(closed)
	}
	c.leave()
	if cmds&cmdAck != 0 {
		c.ackNow(now)
	}
	if cmds&cmdPressure != 0 {
		c.tellPressure()
	}
	if cmds&cmdFaultOwed != 0 {
		c.tellOwed()
	}
	c.drain()
	if cmds&(cmdGoOn|cmdStep) != 0 {
		c.unstash(c.now()) // reading may have been stopped
	}
	if cmds&cmdArbitrate != 0 {
		c.sh.Sink.Arbitrate(c) // it may put c on another worker: nothing follows
	}
}

// enter and leave enclose what calls into the session where that may call what others
// have given us: throttlers, authentication methods, sources of chance. Should such a
// call end the goroutine (runtime.Goexit), the session is left in the midst of a step.
func (c *Conn) enter() { c.core = true }

func (c *Conn) leave() { c.core = false }

// Abandoned implements eventloop.Abandoner: user code ended the goroutine in a callback
// of this connection. What the session wanted done is still there to be done; but if it
// was the session that was left, there is no telling what it holds.
func (c *Conn) Abandoned() {
	if c.core {
		c.core = false
		c.s.Break(c.now(), fmt.Errorf("connection: %w", msg.ErrGoexit))
	}
	c.drain()
}

// tellPressure tells the user whether the send queue is under pressure, if that is not
// what was told last.
func (c *Conn) tellPressure() {
	c.mu.Lock()
	high, _ := c.account.Pressure()
	c.mu.Unlock()
	if high == c.pressed {
		return
	}
	c.pressed = high
	ev := EventLowWater
	if high {
		ev = EventHighWater
		c.stats().HighWaters.Add(1)
	}
	c.event(ev, nil)
	c.sh.Sink.EndOfBatch(c)
}

// takeInbox takes what was left in the inbox: the next message is posted again.
// Under mu.
func (c *Conn) takeInbox(now time.Duration) []*msg.Message {
	ms := c.inbox
	if c.account.since == 0 && c.account.n > 0 {
		c.account.since = now
	}
	c.inbox, c.spare = c.spare, nil
	c.posted = false
	return ms
}

// sendAll gives the session what was in the inbox.
func (c *Conn) sendAll(now time.Duration, ms []*msg.Message) {
	for i, m := range ms {
		ms[i] = nil
		if x := c.sh.Inject; x != nil && !c.lent && x.Swallow(c.PeerType()) {
			c.swallow(m)
			continue
		}
		c.s.Send(now, m)
	}
	if cap(ms) <= inboxKept {
		c.spare = ms[:0]
	}
}

// swallow ends the sending of m as if it had gone well.
func (c *Conn) swallow(m *msg.Message) {
	was := c.core
	c.leave()
	var e Ended
	e.Add(m)
	c.finish(m, nil, &c.buffers().Messages)
	c.settle(e)
	c.core = was
}

// inboxKept is the capacity up to which an empty inbox stays allocated.
const inboxKept = 256

// HandleTimer implements eventloop.TimerHandler.
func (c *Conn) HandleTimer(now time.Duration) {
	c.enter()
	c.s.HandleTimeout(now)
	c.leave()
	c.drain()
}

// drain carries out what the session wants done. It is the one place where the
// session's decisions meet the world.
func (c *Conn) drain() {
	var done Ended
	var good, received, receivedBytes uint64
	delivered, returned := false, false
	defer func() {
		if !returned { // user code ended the goroutine: the accounts are right all the same
			c.adm.ReturnCredit()
			if delivered {
				c.sh.Sink.EndOfBatch(c)
			}
			c.settle(done)
			c.command(cmdGoOn) // with what is left to do
		}
	}()
	for {
		if c.lent && c.leaves() {
			c.command(cmdDrain)
			break
		}
		o, ok := c.s.NextOutput()
		if !ok {
			break
		}
		switch o.Kind {
		case session.OutDeliver:
			delivered = true
			received++
			receivedBytes += uint64(o.Msg.PayloadLen())
			c.sh.Sink.Deliver(c, o.Msg)
		case session.OutFinish:
			if !done.Add(o.Msg) {
				c.settle(done)
				done = Ended{}
				done.Add(o.Msg)
			}
			if o.Err == nil {
				good++
				c.measure(o.Msg)
			}
			c.finish(o.Msg, o.Err, &c.buffers().Messages)
		case session.OutArbitrate:
			c.command(cmdArbitrate)
		default:
			delivered = true
			c.carryOut(o)
		}
	}
	c.adm.ReturnCredit()
	if received > 0 {
		st := c.stats()
		st.Received.Add(received)
		st.ReceivedBytes.Add(receivedBytes)
		c.traffic.in(c.now(), received, receivedBytes)
		c.countPacked()
	}
	if good > 0 {
		c.stats().Delivered.Add(good)
	}
	c.settle(done)
	done = Ended{}
	if delivered {
		// Before rearm: with what is dispatched here and now, no acknowledgement waits.
		c.sh.Sink.EndOfRead(c)
	}
	returned = true
	if c.gone {
		c.ended()
		return
	}
	c.rearm()
}

func (c *Conn) carryOut(o session.Output) {
	st := c.stats()
	c.Seen.SetState(c.s.State()) // who is told something looks at it
	switch o.Kind {
	case session.OutDial:
		c.t = c.w.Dial(c.s.Target().AddrPort, c.sh.Options.Dial, c)
	case session.OutCloseTransport:
		c.closeTransport()
		c.Seen.Connected.Store(false)
	case session.OutAuthenticate:
		c.startStep()
	case session.OutFault:
		c.Seen.Connected.Store(false)
		st.Faults.Add(1)
		c.traffic.fault(c.now(), c.s.Attempts())
		if errors.Is(o.Err, session.ErrRekey) {
			st.Rekeys.Add(1)
		}
		c.Seen.SetLastError(o.Err)
		c.sh.Log.Debug("connection fault", "conn", c, "state", o.State, "err", o.Err)
		c.sh.Sink.Fault(c, o.State, o.Err)
		if o.GoesOn {
			c.broken(o.Err)
		}
	case session.OutTurnedAway:
		c.Seen.SetLastError(o.Err)
		c.sh.Sink.Fault(c, o.State, o.Err)
	case session.OutConnectFailed:
		err := o.Err.(*msg.ConnectError)
		st.ConnectFailures[err.Reason].Add(1)
		c.Seen.SetLastError(err)
		c.event(EventConnectFailed, err)
	case session.OutRejected:
		st.Rejected.Add(1)
		c.event(EventRejected, o.Err)
	case session.OutAddrs:
		c.publish()
		c.sh.Sink.Renamed(c)
	case session.OutAbsent:
		c.sh.Sink.Absent(c)
	case session.OutAdopted:
		c.publish()
		c.sh.Sink.Adopted(c)
	case session.OutChanged:
		c.sh.Sink.Changed(c, o.Msg)
	case session.OutConnected:
		st.Connected.Add(1) // before the callback, which may end the goroutine
		c.readied(EventConnected)
	case session.OutAccepted:
		st.Accepted.Add(1)
		c.readied(EventAccepted)
	case session.OutRemoteReset:
		st.RemoteResets.Add(1)
		c.sh.Sink.EndOfBatch(c) // what this read brought before goes too
		c.sh.Sink.Discard(c)
		c.event(EventRemoteReset, nil)
	case session.OutRefused:
		st.Refused.Add(1)
		c.event(EventRefused, o.Err)
	case session.OutClosed:
		c.sessionOver(o.Err)
	case session.OutKeepalive:
		c.Seen.Keepalive.Store(c.wall())
	case session.OutKeepaliveAck:
		c.Seen.KeepaliveAck.Store(c.s.LastKeepaliveAck().UnixNano())
	default:
		panic(fmt.Sprintf("connection: nobody carries out %v", o))
	}
}

func (c *Conn) wall() int64 { return c.sh.Session.Epoch.Add(c.now()).UnixNano() }

func (c *Conn) event(ev Event, err error) {
	if !c.IsClosed() {
		c.sh.Sink.Event(c, ev, err)
	}
}

func (c *Conn) readied(ev Event) {
	c.setThrottles(c.s.Policy()) // accepted: the policy is known by now
	if c.traffic.ready {
		c.stats().Resumed.Add(1)
		c.traffic.troubled().resumed.Add(1)
	}
	c.traffic.ready = true
	c.sayCompression()
	c.publish()
	c.mu.Lock()
	open := c.closed == nil
	if open {
		c.Seen.Connected.Store(true)
	}
	c.mu.Unlock()
	if open {
		c.sh.Sink.Event(c, ev, nil)
	}
}

// sessionOver: the session has ended, and the connection with it. reason is nil after Close.
func (c *Conn) sessionOver(reason error) {
	c.gone = true
	c.Seen.Connected.Store(false)
	c.ackHeld.Store(false)
	c.w.StopTimer(&c.timer)
	c.mu.Lock()
	first := c.closeLocked(reason)
	ms := c.inbox // accepted, and too late for the session
	c.inbox = nil
	reason = c.closed
	c.mu.Unlock()
	for _, m := range ms {
		var e Ended
		e.Add(m)
		c.finish(m, reason, &c.buffers().Messages)
		c.settle(e)
	}
	if first {
		c.sh.Sink.Gone(c)
		if c.s.Announced() {
			c.stats().Resets.Add(1)
			c.sh.Sink.Event(c, EventReset, reason)
		}
	}
}

// ended says that the worker is done with the connection.
func (c *Conn) ended() {
	if !c.isEnded.Swap(true) {
		c.sh.Sink.Ended(c)
	}
}

// rearm sets the timer to the session's deadline and asks for a flush. A timer
// that would fire too early is left alone: the session looks again then.
func (c *Conn) rearm() {
	c.Seen.SetState(c.s.State())
	c.holdAck()
	if at, ok := c.s.Deadline(); !ok {
		if c.timer.Armed() {
			c.w.StopTimer(&c.timer)
		}
	} else if !c.timer.Armed() || at < c.timer.Deadline() {
		c.w.SetTimer(&c.timer, at)
	}
	if c.t != nil && c.s.WantsWrite() {
		c.t.WantFlush()
	}
}
