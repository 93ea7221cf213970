package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

func TestDuplicatesAreDropped(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.msg(1, 0).msg(2, 0).msg(2, 0).msg(1, 0).msg(0, 0).msg(3, 0)
	require.Equal(t, []uint64{1, 2, 3}, l.c.got)
	require.Equal(t, uint64(3), l.s.InSeq())
	require.Zero(t, l.c.admitted)
	require.Empty(t, l.c.faults)
	l.msg(3, 0).fault() // nothing is given back twice
	require.Zero(t, l.c.admitted)
}

func TestGapResetsTheSession(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.send(50, 127).msg(1, 0).msg(3, 0)
	require.Equal(t, []uint64{1}, l.c.got)
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
	require.Equal(t, []string{"Connected", "RemoteReset"}, l.c.events)
	require.ErrorIs(t, l.c.done[50], msg.ErrRemoteReset)
	require.Zero(t, l.s.id.serverCookie)
	require.Zero(t, l.s.id.connectSeq, "connect_seq counts in an established session only")
	require.Zero(t, l.c.admitted)

	allow := readyConnector(t, msg.LosslessPeer(), func(n *simNode) { n.cfg.AllowSeqGaps = true })
	allow.msg(1, 0).msg(3, 0)
	require.Equal(t, []uint64{1, 3}, allow.c.got)

	lossy := connector(t, msg.LossyClient()).drive(StateSessionConnecting).say(serverIdent(frame.FlagLossy, 0))
	lossy.msg(1, 0).msg(3, 0)
	require.Equal(t, []string{"Connected", "Closed"}, lossy.c.events)
}

func TestFirstSeqOfASessionIsFree(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.msg(7, 0).msg(8, 0)
	require.Equal(t, []uint64{7, 8}, l.c.got)
	l.msg(10, 0)
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
}

// TestAbortedFrame: it is dropped, its share of the throttles goes back, and its
// number is a hole that is no loss, also after a reconnection.
func TestAbortedFrame(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient())
	l.msg(1, 0).aborted(2)
	require.Equal(t, uint64(1), l.s.InSeq())
	require.Zero(t, l.c.admitted)
	l.msg(3, 0)
	require.Equal(t, []uint64{1, 3}, l.c.got)
	l.aborted(4)
	l.fault().drive(StateSessionReconnecting)
	require.Equal(t, uint64(3), want[frame.SessionReconnect](l).MsgSeq)
	l.say(&frame.SessionReconnectOK{}).msg(5, 0)
	require.Equal(t, []uint64{1, 3, 5}, l.c.got)
	l.msg(7, 0)
	require.ErrorIs(t, l.lastFault(), ErrProtocol, "a hole of one message excuses no other")
}

func TestAckFreesAndLies(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient())
	l.send(10, 127).send(11, 127).send(12, 127)
	l.say(&frame.Ack{Seq: 2})
	require.Equal(t, map[uint64]error{10: nil, 11: nil}, l.c.done)
	l.say(&frame.Ack{Seq: 1}) // an old one
	require.Len(t, l.c.done, 2)
	l.msg(1, 3) // in a message's header
	require.Len(t, l.c.done, 3)
	l.say(&frame.Ack{Seq: 4}) // of the future
	require.ErrorIs(t, l.lastFault(), ErrProtocol)

	l = readyConnector(t, msg.LosslessClient())
	l.send(10, 127).msg(1, 2)
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
	require.Empty(t, l.c.got, "a message with such an ack is not believed")
	require.Zero(t, l.c.admitted)
}

// TestAckOfHalfAMessage: what is not wholly written cannot have arrived.
func TestAckOfHalfAMessage(t *testing.T) {
	for _, missing := range []int{0, 1} {
		l := readyConnector(t, msg.LosslessClient())
		l.c.send(10, 127, 100)
		b := new(frame.Batch)
		l.s.Fill(0, b, 1<<20)
		n := b.Len() - missing
		l.s.Written(l.w.now, n/2)
		l.s.Written(l.w.now, n-n/2)
		l.bytes(l.encode(&frame.Ack{Seq: 1}))
		if missing == 0 {
			require.Empty(t, l.c.faults)
			require.Len(t, l.c.done, 1)
		} else {
			require.ErrorIs(t, l.lastFault(), ErrProtocol)
			require.Empty(t, l.c.done)
		}
	}
}

// TestReplay: after a reconnection what was not acknowledged is sent again with
// the numbers it had, and then the rest.
func TestReplay(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient())
	for id := uint64(1); id <= 5; id++ {
		l.send(id, 127)
	}
	l.say(&frame.Ack{Seq: 1})
	l.fault()
	l.send(6, 255)
	l.drive(StateSessionReconnecting)
	r := want[frame.SessionReconnect](l)
	require.Equal(t, uint64(0xbeef), r.ServerCookie)
	require.Equal(t, uint64(1), r.ConnectSeq)
	l.say(&frame.SessionReconnectOK{MsgSeq: 3})
	require.Len(t, l.c.done, 3)
	for i, id := range []uint64{4, 5, 6} {
		h := want[frame.Header](l)
		require.Equal(t, uint64(4+i), h.Seq)
		require.Equal(t, id, h.TID, "replay comes before higher priorities")
	}
	l.quiet()
	require.Equal(t, Filled{Messages: 8, Bytes: 8 * 16, Replayed: 2}, l.s.TakeFilled())
	require.Equal(t, Filled{}, l.s.TakeFilled())
}

// TestReconnectOKMsgSeq: it must lie between what was acknowledged and what was sent.
func TestReconnectOKMsgSeq(t *testing.T) {
	for seq, good := range []bool{false, false, true, true, true, false} {
		l := readyConnector(t, msg.LosslessClient())
		for id := uint64(1); id <= 4; id++ {
			l.send(id, 127)
		}
		l.say(&frame.Ack{Seq: 2})
		l.fault().drive(StateSessionReconnecting)
		want[frame.SessionReconnect](l)
		l.say(&frame.SessionReconnectOK{MsgSeq: uint64(seq)})
		if good {
			require.Equal(t, StateReady, l.s.State(), seq)
			continue
		}
		require.ErrorIs(t, l.lastFault(), ErrProtocol, seq)
		require.Equal(t, []string{"Connected", "RemoteReset"}, l.c.events)
		require.ErrorIs(t, l.c.done[4], msg.ErrRemoteReset)
		require.Equal(t, StateBackoff, l.s.State())
		require.Zero(t, l.s.id.serverCookie)
	}
}

func TestRetry(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient()).fault().drive(StateSessionReconnecting)
	require.Equal(t, uint64(1), want[frame.SessionReconnect](l).ConnectSeq)
	l.say(&frame.SessionRetry{ConnectSeq: 8})
	require.Equal(t, uint64(9), want[frame.SessionReconnect](l).ConnectSeq)
	l.say(&frame.SessionRetry{ConnectSeq: 9})
	require.Equal(t, uint64(10), want[frame.SessionReconnect](l).ConnectSeq)
	l.say(&frame.SessionRetry{ConnectSeq: 9}) // lower than what we sent: why, then?
	require.ErrorIs(t, l.lastFault(), ErrProtocol)

	for _, huge := range []uint64{1<<62 + 1, 1<<64 - 1} {
		l = readyConnector(t, msg.LosslessClient()).fault().drive(StateSessionReconnecting)
		l.say(&frame.SessionRetry{ConnectSeq: huge})
		require.ErrorIs(t, l.lastFault(), ErrProtocol)
	}
}

func TestRetryGlobalRises(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient()).fault().drive(StateSessionReconnecting)
	last := want[frame.SessionReconnect](l).GlobalSeq
	for i, gs := range []uint64{last + 10, last + 3, 0} {
		l.say(&frame.SessionRetryGlobal{GlobalSeq: gs})
		now := want[frame.SessionReconnect](l).GlobalSeq
		require.Greater(t, now, max(gs, last), i)
		last = now
	}
	l.say(&frame.SessionRetryGlobal{GlobalSeq: 1<<64 - 1})
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
	require.Less(t, l.n.gseq, uint64(1000), "the messenger's counter must not be carried away")
}

// TestRetriesAreBounded on both sides of one handshake.
func TestRetriesAreBounded(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient()).fault().drive(StateSessionReconnecting)
	n := 0
	for ; l.s.State() == StateSessionReconnecting && n < 100; n++ {
		l.say(&frame.SessionRetryGlobal{GlobalSeq: uint64(100 * n)})
	}
	require.Equal(t, retriesMax+1, n)

	l = acceptor(t, msg.StatefulServer()).drive(StateSessionAccepting)
	for n = 0; l.s.State() == StateSessionAccepting && n < 100; n++ {
		l.say(&frame.SessionReconnect{Addrs: clientIdent(0, 0).Addrs, ClientCookie: 1, ServerCookie: 2})
	}
	require.Equal(t, retriesMax+1, n)

	l = acceptor(t, msg.StatefulServer()).drive(StateSessionAccepting)
	id := clientIdent(1, 2)
	id.FeaturesSupported = 0
	for n = 0; l.s.State() == StateSessionAccepting && n < 100; n++ {
		l.say(id)
	}
	require.Equal(t, retriesMax+1, n)
}

func TestResetFull(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient())
	l.send(1, 127).send(2, 127).msg(1, 0)
	l.fault().send(3, 127).drive(StateSessionReconnecting)
	old := want[frame.SessionReconnect](l).ClientCookie
	l.say(&frame.SessionReset{Full: true})
	require.Equal(t, []string{"Connected", "RemoteReset"}, l.c.events)
	for id := uint64(1); id <= 3; id++ {
		require.ErrorIs(t, l.c.done[id], msg.ErrRemoteReset)
	}
	id := want[frame.ClientIdent](l)
	require.NotEqual(t, old, id.Cookie)
	l.send(4, 127).say(serverIdent(0, 0xf00d))
	require.Equal(t, uint64(1), want[frame.Header](l).Seq)
	l.msg(1, 1)
	require.Equal(t, []uint64{1, 1}, l.c.got)
}

func TestResetPartialKeepsTheQueue(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.send(1, 127).send(2, 127).say(&frame.Ack{Seq: 1}).msg(1, 0)
	l.fault().send(3, 127).drive(StateSessionReconnecting)
	old := want[frame.SessionReconnect](l).ClientCookie
	l.say(&frame.SessionReset{})
	require.Equal(t, []string{"Connected"}, l.c.events)
	require.Equal(t, old, want[frame.ClientIdent](l).Cookie)
	l.say(serverIdent(0, 0xf00d))
	for i, id := range []uint64{2, 3} { // numbered from 1 in the new session
		h := want[frame.Header](l)
		require.Equal(t, id, h.TID)
		require.Equal(t, uint64(i+1), h.Seq)
	}
	l.msg(1, 2)
	require.Len(t, l.c.done, 3)
	require.Equal(t, []uint64{1, 1}, l.c.got)
}

// TestFaultAfterResetPartial: the new session is asked for again.
func TestFaultAfterResetPartial(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.send(1, 127).fault().drive(StateSessionReconnecting)
	want[frame.SessionReconnect](l)
	l.say(&frame.SessionReset{}).fault()
	require.Zero(t, l.s.id.connectSeq)
	l.drive(StateSessionConnecting)
	want[frame.ClientIdent](l)
	l.say(serverIdent(0, 2))
	require.Equal(t, uint64(1), want[frame.Header](l).Seq)
}

func TestPriorityOrder(t *testing.T) {
	l := connector(t, msg.LosslessPeer())
	prios := []uint8{127, 64, 255, 127, 196, 64, 255, 1, 127}
	for i, p := range prios {
		l.send(uint64(i), p)
	}
	require.Equal(t, len(prios), l.s.Pending())
	l.drive(StateReady)
	for i, id := range []uint64{2, 6, 4, 0, 3, 8, 1, 5, 7} {
		h := want[frame.Header](l)
		require.Equal(t, id, h.TID)
		require.Equal(t, uint64(i+1), h.Seq)
	}
}

// TestFillLimits: Fill stops at the limit and says that there is more; keepalives
// go first, and an ACK only if no message carried it.
func TestFillLimits(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.c.end = nil
	for i := range 10 {
		l.c.send(uint64(i), 127, 1000)
	}
	l.s.HandleBytes(0, append(l.encodeMsg(1, 0), l.encode(&frame.Keepalive{Stamp: frame.Stamp{Sec: 3}})...))
	l.c.settle()
	l.s.Keepalive(0)
	rounds := 0
	for more := true; more; rounds++ {
		b := new(frame.Batch)
		more = l.s.Fill(0, b, 2500)
		require.LessOrEqual(t, b.Len(), 2500+1200)
		require.LessOrEqual(t, b.NumBuffers(), buffersMax+4)
		l.out = b.AppendTo(l.out)
		l.s.Written(l.w.now, b.Len())
	}
	require.Greater(t, rounds, 3)
	require.Equal(t, frame.Stamp{Sec: 3}, want[frame.KeepaliveAck](l).Stamp)
	want[frame.Keepalive](l)
	for range 10 {
		require.Equal(t, uint64(1), want[frame.Header](l).AckSeq)
	}
	l.quiet()
	l.msg(2, 10)
	require.Equal(t, uint64(2), want[frame.Ack](l).Seq)
	l.quiet()
}

// TestManyBuffers: a write takes at most IOV_MAX buffers.
func TestManyBuffers(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.c.end = nil
	data := make([]byte, 16<<10)
	for i := range 1100 {
		l.c.s.Send(0, &msg.Message{TID: uint64(i), Priority: 127, Data: data})
	}
	l.c.settle()
	b := new(frame.Batch)
	require.True(t, l.s.Fill(0, b, 1<<30), "%d buffers, %d bytes, %v", b.NumBuffers(), b.Len(), l.s)
	require.LessOrEqual(t, b.NumBuffers(), 1024)
}

// TestLossyFinish: a message of a lossy session ends when its last byte is written.
func TestLossyFinish(t *testing.T) {
	l := connector(t, msg.LossyClient()).drive(StateSessionConnecting)
	want[frame.ClientIdent](l)
	l.say(serverIdent(frame.FlagLossy, 0))
	l.c.end = nil
	l.c.send(1, 127, 100)
	l.c.send(2, 127, 100)
	b := new(frame.Batch)
	l.s.Fill(0, b, 1<<20)
	half := b.Len() / 2
	for i := range b.Len() {
		l.s.Written(l.w.now, 1)
		l.c.settle()
		done := 0
		if i+1 >= half {
			done++
		}
		if i+1 == b.Len() {
			done++
		}
		require.Len(t, l.c.done, done, i)
	}
	require.Zero(t, l.s.Unacked())
	l.msg(1, 99) // acks mean nothing here
	require.Empty(t, l.c.faults)
	l.quiet()
}

func TestLossyAdoption(t *testing.T) {
	for _, tc := range []struct {
		policy msg.Policy
		flags  uint64
		cookie uint64
		lossy  bool
	}{
		{msg.LosslessClient(), frame.FlagLossy, 0, true}, {msg.LosslessClient(), 0, 5, false},
		{msg.LossyClient(), frame.FlagLossy, 0, true}, {msg.LossyClient(), 0, 5, false},
		{msg.LosslessClient(), frame.FlagLossy, 5, true},
	} {
		l := connector(t, tc.policy).drive(StateSessionConnecting)
		id := want[frame.ClientIdent](l)
		require.Equal(t, tc.policy.Lossy, id.Flags == frame.FlagLossy)
		require.Equal(t, tc.policy.Lossy, id.Cookie == 0)
		l.say(serverIdent(tc.flags, tc.cookie))
		require.Equal(t, StateReady, l.s.State())
		require.Equal(t, tc.lossy, l.s.Policy().Lossy)
		l.fault()
		require.Equal(t, tc.lossy, l.s.State() == StateClosed)
		if !tc.lossy {
			l.drive(StateSessionReconnecting)
			r := want[frame.SessionReconnect](l)
			require.Equal(t, id.Cookie, r.ClientCookie)
			require.Equal(t, uint64(5), r.ServerCookie)
		}
	}
	l := connector(t, msg.LosslessClient()).drive(StateSessionConnecting).say(serverIdent(0, 0))
	require.ErrorIs(t, l.lastFault(), ErrProtocol, "lossless without a cookie")
}

// TestDisposable: acknowledged as before, until a fault ends it.
func TestDisposable(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.send(1, 127)
	l.s.MarkDisposable()
	require.True(t, l.s.Policy().Lossy)
	l.send(2, 127)
	require.Empty(t, l.c.done)
	l.say(&frame.Ack{Seq: 1}).msg(1, 0)
	require.Equal(t, map[uint64]error{1: nil}, l.c.done)
	want[frame.Header](l)
	want[frame.Header](l)
	require.Equal(t, uint64(1), want[frame.Ack](l).Seq)
	l.fault()
	require.Equal(t, StateClosed, l.s.State())
	require.ErrorIs(t, l.c.done[2], msg.ErrReset)
	require.Equal(t, 1, l.c.resets)
}
