package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// What becomes of messages that wait: cancelled, expired, or not taken by the peer.

// queued hands messages with those ids to the session, as Send does.
func (l *lab) queued(ids ...uint64) (ms []*msg.Message) {
	for _, id := range ids {
		m := &msg.Message{TID: id, Type: 1, Front: []byte("front"), Priority: 127}
		require.NoError(l.t, msg.Take(m))
		l.s.Send(l.w.now, m)
		ms = append(ms, m)
	}
	return ms
}

// ended says how the sending of id ended.
func (l *lab) ended(id uint64) (error, bool) {
	err, ok := l.c.done[id]
	return err, ok
}

// TestCancel: what still waits can be taken back, whatever the state; what was encoded
// cannot, nor what is sent again.
func TestCancel(t *testing.T) {
	for _, ready := range []bool{true, false} {
		l := connector(t, msg.LosslessClient())
		if ready {
			l.drive(StateReady)
		}
		ms := l.queued(1, 2, 3)
		require.True(t, msg.Cancel(ms[1]))
		require.False(t, msg.Cancel(ms[1]), "twice")
		if !ready {
			l.s.Sweep(l.w.now)
			l.c.settle()
			err, ok := l.ended(2)
			require.True(t, ok)
			require.ErrorIs(t, err, msg.ErrCancelled)
			l.drive(StateReady)
		}
		l.settle()
		require.Equal(t, []uint64{1, 3}, []uint64{want[frame.Header](l).TID, want[frame.Header](l).TID})
		l.quiet()
		err, ok := l.ended(2)
		require.True(t, ok)
		require.ErrorIs(t, err, msg.ErrCancelled)
		require.False(t, msg.Cancel(ms[0]), "it was encoded")
		l.down(errCut).drive(StateSessionReconnecting)
		want[frame.SessionReconnect](l)
		require.False(t, msg.Cancel(ms[0]), "it is sent again")
		l.say(&frame.SessionReconnectOK{MsgSeq: 1})
		require.Equal(t, uint64(2), want[frame.Header](l).Seq, "no number is missing")
		l.say(&frame.Ack{Seq: 2})
		require.Zero(t, l.s.Unacked()+l.s.Pending())
	}
}

// TestExpiry: a message is dropped at its deadline if it still waits, in whatever state;
// the ones around it are not.
func TestExpiry(t *testing.T) {
	for _, st := range []State{StateReady, StateConnecting, StateSessionConnecting, StateStandby} {
		l := newLab(t, msg.LosslessPeer())
		switch st {
		case StateStandby:
			l = readyAcceptor(t, msg.StatefulServer()).down(errCut)
		case StateReady: // a ready session writes at once: it is the network that is full
			l = readyConnector(t, msg.LosslessPeer())
		default:
			l = connector(t, msg.LosslessPeer()).drive(st)
		}
		base := l.w.now
		for i, at := range []time.Duration{0, 5 * time.Second, 2 * time.Second, 0, 9 * time.Second} {
			m := &msg.Message{TID: uint64(i + 1), Type: 1, Front: []byte("x"), Priority: 127}
			require.NoError(t, msg.Take(m))
			if at != 0 {
				msg.SetExpiry(m, base+at)
			}
			l.s.Send(base, m)
		}
		pass := func(d time.Duration) {
			at, ok := l.s.Deadline()
			require.True(t, ok)
			require.LessOrEqual(t, at, base+d, st)
			l.w.now = base + d
			l.s.HandleTimeout(l.w.now)
			l.c.settle()
		}
		pass(2 * time.Second)
		require.Len(t, l.c.done, 1, st)
		require.ErrorIs(t, l.c.done[3], msg.ErrDeadline, st)
		pass(5 * time.Second)
		require.ErrorIs(t, l.c.done[2], msg.ErrDeadline, st)
		require.Equal(t, 3, l.s.Pending(), st)
		if st != StateReady {
			continue
		}
		l.settle() // what is left is encoded in time
		for _, id := range []uint64{1, 4, 5} {
			require.Equal(t, id, want[frame.Header](l).TID)
		}
		l.w.now = base + 20*time.Second
		l.s.HandleTimeout(l.w.now)
		l.c.settle()
		require.Len(t, l.c.done, 2, "what was encoded is not dropped")
	}
	// One that is late when its turn comes is not sent, even if no timer has fired.
	l := readyConnector(t, msg.LosslessPeer())
	m := l.queued(1)[0]
	msg.SetExpiry(m, l.w.now+1)
	l.w.now++
	l.settle()
	l.quiet()
	require.ErrorIs(t, l.c.done[1], msg.ErrDeadline)
}

// poisoned breaks the connection whenever the message of that seq is on it.
func (l *lab) poisoned(peerHas uint64) *lab {
	l.t.Helper()
	l.broken()
	l.say(&frame.SessionReconnectOK{MsgSeq: peerHas})
	return l
}

// broken is the half of that: it has asked to go on, and has no answer.
func (l *lab) broken() {
	l.t.Helper()
	l.settle()
	l.down(errCut)
	if l.s.State() == StateBackoff {
		l.retry()
	}
	l.drive(StateSessionReconnecting)
	want[frame.SessionReconnect](l)
}

// TestRejected: a message that breaks its connection each time is taken out, and what is
// behind it takes its number.
func TestRejected(t *testing.T) {
	for _, limit := range []int{5, 1, -5} {
		l := readyConnector(t, msg.LosslessClient(), func(n *simNode) { n.cfg.RejectAfter = limit })
		l.send(1, 127).send(2, 127).send(3, 127)
		for range 3 {
			want[frame.Header](l)
		}
		l.say(&frame.Ack{Seq: 1})
		sent := 1
		for len(l.c.rejected) == 0 {
			require.Less(t, sent, 20)
			l.out = nil
			l.poisoned(1)
			sent++
		}
		r := l.c.rejected[0]
		require.ErrorIs(t, r, msg.ErrRejected)
		require.ErrorIs(t, r, errCut)
		require.Equal(t, uint64(2), r.TID)
		require.Equal(t, uint64(2), r.Seq)
		require.GreaterOrEqual(t, r.Attempts, max(limit, -limit))
		require.GreaterOrEqual(t, l.w.now, rejectTime)
		require.Equal(t, limit > 0, r.Dropped)
		if limit < 0 {
			require.Equal(t, uint64(2), want[frame.Header](l).TID, "it is sent on")
			want[frame.Header](l)
			l.poisoned(1).poisoned(1)
			require.Len(t, l.c.rejected, 1, "told once")
			require.Empty(t, l.c.done[2])
			continue
		}
		require.ErrorIs(t, l.c.done[2], msg.ErrRejected)
		h := want[frame.Header](l)
		require.Equal(t, []uint64{3, 2}, []uint64{h.TID, h.Seq})
		l.quiet()
		l.say(&frame.Ack{Seq: 2}).send(4, 127)
		require.Equal(t, uint64(3), want[frame.Header](l).Seq)
		require.NoError(t, l.c.done[3])
		require.Zero(t, l.c.remote)
		l.say(&frame.Ack{Seq: 3})
		require.Zero(t, l.s.Unacked())
	}
}

// TestRejectedFrom: from so many broken connections on, and from so much time on.
func TestRejectedFrom(t *testing.T) {
	for _, c := range []struct {
		breaks   int
		lasts    time.Duration
		rejected int
	}{
		{5, rejectTime, 1}, {4, rejectTime, 0}, {5, rejectTime - 1, 0}, {6, 2 * rejectTime, 1},
	} {
		l := readyConnector(t, msg.LosslessClient(), func(n *simNode) { n.cfg.RejectAfter = 5 })
		l.send(1, 127).send(2, 127)
		l.say(&frame.Ack{Seq: 1})
		l.broken()
		o := l.s.rarely()
		require.Equal(t, uint64(2), o.suspect)
		o.since, o.breaks = l.w.now-c.lasts, c.breaks
		l.say(&frame.SessionReconnectOK{MsgSeq: 1})
		require.Len(t, l.c.rejected, c.rejected, "%+v", c)
	}
}

// TestRejectedCountsInOneSession: a message of a new session that has the number of one that broke the
// old one is another one.
func TestRejectedCountsInOneSession(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient(), func(n *simNode) { n.cfg.RejectAfter = 12 })
	l.send(1, 127).send(2, 127)
	l.say(&frame.Ack{Seq: 1})
	for range 11 { // once more would be too often
		l.out = nil
		l.poisoned(1)
	}
	l.settle()
	l.down(errCut)
	if l.s.State() == StateBackoff {
		l.retry()
	}
	l.drive(StateSessionReconnecting).say(&frame.SessionReset{}).say(serverIdent(0, 0xbeef))
	require.Equal(t, StateReady, l.s.State())
	l.out = nil
	l.send(3, 127)
	l.say(&frame.Ack{Seq: 1}) // of what was number 2 before
	require.NoError(t, l.c.done[2])
	require.Greater(t, l.w.now, rejectTime)
	l.poisoned(1)
	require.Empty(t, l.c.rejected)
}

// TestNotRejected: what only looks like it.
func TestNotRejected(t *testing.T) {
	again := func(l *lab, err error, has uint64) {
		l.settle()
		l.out = nil
		l.down(err)
		for l.s.State() == StateBackoff {
			l.retry()
		}
		l.drive(StateSessionReconnecting)
		l.say(&frame.SessionReconnectOK{MsgSeq: has})
		l.out = nil
	}
	for name, f := range map[string]func(l *lab, i int){
		"a storm that is over soon": func(l *lab, i int) {
			if i < 15 {
				l.s.setBackoff(0)
				l.s.fruitless = 0
				l.n.cfg.InitialBackoff, l.n.cfg.MaxBackoff = time.Millisecond, time.Millisecond
				again(l, errCut, 0)
			}
		},
		"it is this side that gives up": func(l *lab, i int) { again(l, ErrKeepaliveTimeout, 0) },
		"a connection that lives": func(l *lab, i int) {
			l.w.now += 11 * time.Second
			again(l, errCut, 0)
		},
		"it takes longer than connections live": func(l *lab, i int) {
			l.w.now += 3 * time.Second
			again(l, errCut, 0)
		},
		"others in its place": func(l *lab, i int) {
			again(l, errCut, uint64(i))
			l.send(uint64(100+i), 127)
		},
	} {
		l := readyConnector(t, msg.LosslessClient()).send(1, 127)
		l.send(2, 127)
		l.out = nil
		for i := range 20 {
			f(l, i)
		}
		require.Empty(t, l.c.rejected, name)
		for id, err := range l.c.done {
			require.NoError(t, err, "%s: %d", name, id)
		}
	}
}

// TestCheckPayloads notices what changes between Send and encoding, or encoding again.
func TestCheckPayloads(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient(), func(n *simNode) { n.cfg.CheckPayloads = true })
	m := &msg.Message{Type: 1, Front: []byte("as it was"), Data: []byte("data"), Priority: 127}
	require.NoError(t, msg.Take(m))
	msg.Seal(m)
	l.s.Send(0, m)
	l.settle()
	require.Empty(t, l.c.changed)
	m.Data[0] ^= 1
	l.down(errCut).drive(StateSessionReconnecting).say(&frame.SessionReconnectOK{})
	require.Equal(t, []*msg.Message{m}, l.c.changed)
}

// TestRoomIsASignOfLife: a socket that takes bytes because the peer makes room is a sign of
// life; one that takes nothing is none, and what fits into it at once is none either.
func TestRoomIsASignOfLife(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer(), keepalives(10*time.Second, 30*time.Second))
	m := &msg.Message{Type: 1, Data: make([]byte, 4<<20), Priority: 127}
	l.s.Send(0, m)
	b := new(frame.Batch)
	l.s.Fill(0, b, 1<<20)
	total := b.Len()
	l.s.Written(l.w.now, 100<<10)
	left := total - 100<<10
	for left > 100<<10 { // 42 s for the message
		l.w.now += time.Second
		l.s.HandleTimeout(l.w.now)
		l.s.Written(l.w.now, 100<<10)
		left -= 100 << 10
		l.c.settle()
		require.Empty(t, l.c.faults, "at %v", l.w.now)
	}
	require.Greater(t, l.w.now, 35*time.Second)
	l.s.Written(l.w.now, left)
	l.settle()
	l.pass(9 * time.Second).quiet()
	l.pass(time.Second) // the question, 10 s after the last sign of life
	for range 29 {
		l.pass(time.Second)
	}
	require.Empty(t, l.c.faults)
	l.pass(time.Second)
	require.ErrorIs(t, l.lastFault(), ErrKeepaliveTimeout)

	// A question that has to wait for the network is answered late.
	l = readyConnector(t, msg.LosslessPeer(), keepalives(10*time.Second, 30*time.Second))
	l.s.Send(0, &msg.Message{Type: 1, Data: make([]byte, 4<<20), Priority: 127})
	l.s.Keepalive(0)
	b.Reset()
	l.s.Fill(0, b, 1<<20)
	for range 25 {
		l.w.now += time.Second
		l.s.Written(l.w.now, 100<<10)
	}
	l.s.Written(l.w.now, b.Len()-25*100<<10)
	l.w.now += 29 * time.Second
	l.s.HandleTimeout(l.w.now)
	l.c.settle()
	require.Empty(t, l.c.faults, "it left 29 s ago")
	l.w.now += time.Second
	l.s.HandleTimeout(l.w.now)
	l.c.settle()
	require.ErrorIs(t, l.lastFault(), ErrKeepaliveTimeout)

	// A socket that is full and stays so.
	l = readyConnector(t, msg.LosslessPeer(), keepalives(10*time.Second, 30*time.Second))
	l.s.Send(0, &msg.Message{Type: 1, Data: make([]byte, 4<<20), Priority: 127})
	b.Reset()
	l.s.Fill(0, b, 1<<20)
	l.s.Written(0, 1000)
	for range 40 {
		require.Empty(t, l.c.faults)
		l.w.now += time.Second
		l.s.HandleTimeout(l.w.now)
		l.c.settle()
	}
	require.ErrorIs(t, l.lastFault(), ErrKeepaliveTimeout)
	require.Equal(t, 40*time.Second, l.w.now)
}

// TestStuckSaysThatItLives: a session that does not read for want of room sends
// keepalives of its own, so that the peer does not take it for dead.
func TestStuckSaysThatItLives(t *testing.T) {
	for _, interval := range []time.Duration{2 * time.Second, 0} {
		l := readyAcceptor(t, msg.StatelessServer(), keepalives(interval, 30*time.Second))
		l.c.held = true
		l.msg(1, 0)
		require.True(t, l.s.Paused())
		every := 10 * time.Second // a third of the timeout
		if interval > 0 {
			every = interval
		}
		for range 30 {
			l.pass(every - time.Millisecond).quiet()
			l.pass(time.Millisecond)
			want[frame.Keepalive](l)
		}
		require.Empty(t, l.c.faults)
		l.c.release()
		require.False(t, l.s.Paused())
		l.pass(time.Second)
		require.Empty(t, l.c.faults, "nobody was asked for anything")
	}
}
