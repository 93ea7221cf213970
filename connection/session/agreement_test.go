package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// disagreement says how the two ends of a wire contradict each other, c that called
// and d that was called; both are ready.
func disagreement(c, d *Session) string {
	type shared struct {
		client, server       uint64
		connectSeq           uint64
		lossy                bool
		attempt              uint64 // global_seq of the connector's attempt
		features             uint64
		callerIn, calledIn   bool // in_seq is a number that the other one has given
		callerAck, calledAck bool // what is acknowledged was received
	}
	of := func(s *Session, attempt uint64) shared {
		return shared{
			client: s.id.clientCookie, server: s.id.serverCookie, connectSeq: s.id.connectSeq, lossy: s.policy.Lossy,
			attempt: attempt, features: s.features,
			callerIn: c.num.in.Seq <= d.num.out, calledIn: d.num.in.Seq <= c.num.out,
			callerAck: c.num.acked <= d.num.in.Seq, calledAck: d.num.acked <= c.num.in.Seq,
		}
	}
	one, other := of(c, c.id.globalSeq), of(d, d.id.peerGlobalSeq)
	if one != other || !one.callerIn || !one.calledIn || !one.callerAck || !one.calledAck {
		return fmt.Sprintf("%+v and %+v", one, other)
	}
	return ""
}

// agree fails unless the ends of each wire on which both are ready know the same
// session.
func (w *world) agree() {
	w.t.Helper()
	for _, x := range w.wires {
		c, d := x.ends[0].conn, x.ends[1].conn
		if x.state != wireUp || c == nil || d == nil || !c.isReady() || !d.isReady() {
			continue
		}
		if bad := disagreement(c.s, d.s); bad != "" {
			w.failf("wire %d: %s and %s do not agree: %s", x.n, c, d, bad)
		}
	}
}

// TestEndsAgree: after each handshake both ends have the same cookies, count the same
// attempt, and know each other's numbers; so nobody is ever told to try again with
// other numbers, whoever comes back.
func TestEndsAgree(t *testing.T) {
	for _, p := range pairings {
		for _, called := range []bool{false, true} { // who has something to say after a cut
			t.Run(fmt.Sprintf("%s, called %t", p.name, called), func(t *testing.T) {
				w, a, b := pair(t, p)
				c := a.connectTo(b)
				w.runFor(time.Second)
				w.agree()
				id := uint64(0)
				for i := range 8 {
					d := b.to(a)
					if p.lossy {
						break
					}
					w.cut(w.wires[len(w.wires)-1])
					id++
					if x := d; called && i%2 == 0 && d.s.canDial() {
						x.send(id, 127, 0)
					} else {
						c.send(id, 127, 0)
					}
					w.runFor(time.Minute)
					require.True(t, c.isReady() && d.isReady())
					w.agree()
					require.EqualValues(t, i+1, c.s.id.connectSeq, "each attempt counts")
					require.Greater(t, c.s.id.peerGlobalSeq, uint64(0))
				}
				for _, n := range w.nodes {
					for _, v := range n.verdicts {
						require.Contains(t, []Action{ActAccept, ActReplace, ActStopAccept}, v)
					}
				}
				require.Len(t, append(a.got, b.got...), int(id))
			})
		}
	}
}

// TestStaleAfterReconnect: the attempt that a session was resumed with is the newest
// one: an older one that arrives late is refused.
func TestStaleAfterReconnect(t *testing.T) {
	for _, late := range []uint64{4, 6} { // the session began with 1, and was resumed with 5
		l := readyAcceptor(t, msg.LosslessPeer()).fault()
		l.s.id.crossed = 0xabc
		in := l.callAgain(&frame.SessionReconnect{Addrs: entity.AddrVec{labPeer}, ClientCookie: l.s.id.clientCookie,
			ServerCookie: l.s.id.serverCookie, GlobalSeq: 5, ConnectSeq: 3})
		require.Equal(t, ActReplace, l.lastVerdict())
		require.EqualValues(t, 5, l.s.id.peerGlobalSeq)
		require.EqualValues(t, 3, l.s.id.connectSeq)
		require.Zero(t, l.s.id.crossed, "the peer knows the session")
		require.Equal(t, StateReady, l.s.State())
		require.Equal(t, StateClosed, in.s.State())
		in = l.callAgain(clientIdent(late, 0xc1))
		if late == 4 {
			require.Equal(t, ActRefuse, l.lastVerdict())
			require.ErrorIs(t, in.c.faults[0], ErrStale)
		} else {
			require.Equal(t, ActReplace, l.lastVerdict())
		}
		// An attempt to resume with a number that was used.
		l = readyAcceptor(t, msg.LosslessPeer()).fault()
		r := &frame.SessionReconnect{Addrs: entity.AddrVec{labPeer}, ClientCookie: l.s.id.clientCookie,
			ServerCookie: l.s.id.serverCookie, GlobalSeq: 5, ConnectSeq: 3}
		l.callAgain(r)
		r.GlobalSeq++
		l.callAgain(r)
		require.Equal(t, ActSendRetry, l.lastVerdict())
	}
}

// TestAnswerRetryGlobal: who resumes with a global_seq that is behind is told the
// newest one, and goes on, on the same connection, with a higher one.
func TestAnswerRetryGlobal(t *testing.T) {
	l := readyAcceptor(t, msg.LosslessPeer())
	l.callAgain(clientIdent(7, l.s.id.clientCookie))
	require.Equal(t, ActReplace, l.lastVerdict())
	l.fault()
	r := &frame.SessionReconnect{Addrs: entity.AddrVec{labPeer}, ClientCookie: l.s.id.clientCookie,
		ServerCookie: l.s.id.serverCookie, GlobalSeq: 6, ConnectSeq: 1}
	in := l.callAgain(r)
	require.Equal(t, ActSendRetryGlobal, l.lastVerdict())
	require.Equal(t, StateSessionAccepting, in.s.State())
	require.Equal(t, StateStandby, l.s.State(), "the session waits")
	require.EqualValues(t, 7, l.s.id.peerGlobalSeq)
	in.c.end = nil
	in.settle()
	require.EqualValues(t, 7, want[frame.SessionRetryGlobal](in).GlobalSeq)
	in.quiet()
	in.c.end = loose()
	r.GlobalSeq = 8
	in.s.HandleBytes(l.w.now, in.encode(r))
	in.c.settle()
	require.Equal(t, ActReplace, l.lastVerdict())
	require.Equal(t, StateReady, l.s.State())
	require.EqualValues(t, 8, l.s.id.peerGlobalSeq)
}

// callAgain is the lab's peer that comes on another connection and says f there.
func (l *lab) callAgain(f frame.Control) *lab {
	l.t.Helper()
	in := l.n.newConn()
	in.s = NewAcceptor(&l.n.cfg, l.n, in, nil, nil)
	m := &lab{t: l.t, w: l.w, n: l.n, c: in, s: in.s}
	m.up().drive(StateSessionAccepting)
	in.end = loose()
	m.s.HandleBytes(l.w.now, m.encode(f))
	in.settle()
	return m
}

// loose is an end that leads nowhere: a takeover needs a transport to hand over.
func loose() *wireEnd {
	e := &wireEnd{w: &wire{}}
	e.w.ends = [2]*wireEnd{e, e}
	return e
}

func (l *lab) lastVerdict() Action { return l.n.verdicts[len(l.n.verdicts)-1] }

// TestResetForgetsTheSession: nothing of a session that the peer does not know is
// left, apart from what RESET(false) leaves: the queue, and our cookie.
func TestResetForgetsTheSession(t *testing.T) {
	for _, full := range []bool{true, false} {
		l := readyConnector(t, msg.LosslessPeer())
		l.send(1, 127).send(2, 127).msg(1, 0).say(&frame.Ack{Seq: 1}).aborted(2)
		l.fault().send(3, 127).drive(StateSessionReconnecting)
		old := l.s.id.clientCookie
		l.s.id.crossed = 0xabc
		require.NotZero(t, l.s.num.hole)
		require.NotZero(t, l.s.id.peerGlobalSeq)
		l.say(&frame.SessionReset{Full: full})
		require.Equal(t, StateSessionConnecting, l.s.State())

		ex := l.s.Existing()
		require.Zero(t, ex.ServerCookie)
		require.Zero(t, ex.ConnectSeq)
		require.Zero(t, ex.PeerGlobalSeq)
		require.Zero(t, l.s.num.in.Seq)
		require.Equal(t, full, ex.ClientCookie != old, "RESET(%t)", full)
		if full {
			require.Zero(t, ex.Crossed)
			require.Zero(t, ex.SentSeq)
			require.Zero(t, ex.AckedSeq)
			require.Zero(t, l.s.num.out)
			require.Zero(t, l.s.num.hole)
			require.Zero(t, l.s.Pending()+l.s.Unacked())
		} else {
			require.Equal(t, 2, l.s.Pending()+l.s.Unacked())
		}

		// The peer that forgot the session may be another incarnation, which counts
		// from 1: it is not taken for one that comes late.
		l.s.HandleTransportDown(l.w.now, errCut)
		l.c.settle()
		in := l.callAgain(clientIdent(1, 0xd00d))
		require.Equal(t, ActReplace, l.lastVerdict(), "RESET(%t)", full)
		require.Empty(t, in.c.faults)
		require.Equal(t, StateReady, l.s.State())
	}
	// After a reset nobody comes from a session that has crossed.
	p := msg.LosslessPeer()
	p.ResetCheck = true
	l := readyConnector(t, p).fault().send(1, 127).drive(StateSessionReconnecting)
	l.s.id.crossed = 0xabc
	l.say(&frame.SessionReset{Full: true})
	require.Equal(t, StateSessionConnecting, l.s.State())
	ex := l.s.Existing()
	require.Equal(t, Verdict{Action: ActSendReset, Full: true},
		Arbitrate(Incoming{Reconnect: true, PeerType: entity.TypeOSD, ClientCookie: 0xabc, GlobalSeq: 9}, &ex, true))
}

// TestResumedIsNotCrossed: who is told RECONNECT_OK is in a session that both know.
func TestResumedIsNotCrossed(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.s.id.crossed = 0xabc
	l.fault().send(1, 127).drive(StateSessionReconnecting)
	require.NotZero(t, l.s.id.crossed)
	l.say(&frame.SessionReconnectOK{})
	require.Equal(t, StateReady, l.s.State())
	require.Zero(t, l.s.id.crossed)
}

// TestTakeOverWithReset: the peer restarted; what its old incarnation had is gone,
// and its numbers are those of the new one.
func TestTakeOverWithReset(t *testing.T) {
	p := msg.LosslessPeer()
	p.ResetCheck = true
	l := readyAcceptor(t, p).send(1, 127).msg(1, 0).msg(2, 0).aborted(3)
	l.fault()
	l.callAgain(clientIdent(7, 0xd00d))
	require.Equal(t, ActReplace, l.lastVerdict())
	require.Equal(t, 1, l.c.remote)
	require.ErrorIs(t, l.c.done[1], msg.ErrRemoteReset)
	require.Equal(t, StateReady, l.s.State())
	ex := l.s.Existing()
	require.Equal(t, []uint64{7, 0, 0xd00d}, []uint64{ex.PeerGlobalSeq, ex.ConnectSeq, ex.ClientCookie})
	require.Zero(t, ex.Crossed+ex.SentSeq+ex.AckedSeq)
	require.Equal(t, []uint64{0, 0, 0}, []uint64{l.s.num.in.Seq, l.s.num.out, l.s.num.hole})
	require.NotZero(t, ex.ServerCookie)
}
