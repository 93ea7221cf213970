package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/stretchr/testify/require"
)

// hear has the session receive a message without writing anything yet.
func (l *lab) hear(seq uint64, size int) {
	l.t.Helper()
	m := message(seq, 127, size, 0, 0)
	b := new(frame.Batch)
	l.enc.AppendMessage(b, &frame.Header{Seq: seq, TID: seq, Type: 1, Priority: 127}, m.Front, m.Middle, m.Data)
	l.s.HandleBytes(l.w.now, b.AppendTo(nil))
}

func TestHoldAck(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	delay := l.n.cfg.AckDelay
	require.Equal(t, 5*time.Millisecond, delay)

	// Held, and not any more.
	l.hear(1, 0)
	require.True(t, l.s.OwesAck())
	l.s.HoldAck(l.w.now, true)
	l.settle()
	l.quiet()
	l.s.HoldAck(l.w.now, false)
	l.settle()
	require.Equal(t, uint64(1), want[frame.Ack](l).Seq)
	require.False(t, l.s.OwesAck())

	// A message carries it.
	l.hear(2, 0)
	l.s.HoldAck(l.w.now, true)
	l.send(50, 127)
	require.Equal(t, uint64(2), want[frame.Header](l).AckSeq)
	l.quiet()
	require.False(t, l.s.OwesAck())

	// So does any write.
	l.hear(3, 0)
	l.s.HoldAck(l.w.now, true)
	l.s.Keepalive(l.w.now)
	l.settle()
	want[frame.Keepalive](l)
	require.Equal(t, uint64(3), want[frame.Ack](l).Seq)
	l.say(&frame.KeepaliveAck{})

	// Its time begins with the first message, whatever comes after it.
	l.hear(4, 0)
	l.s.HoldAck(l.w.now, true)
	l.pass(delay - 1)
	l.hear(5, 0)
	l.s.HoldAck(l.w.now, true)
	l.settle()
	l.quiet()
	at, ok := l.s.Deadline()
	require.True(t, ok)
	require.Equal(t, l.w.now+1, at)
	l.pass(1)
	require.Equal(t, uint64(5), want[frame.Ack](l).Seq)
	l.hear(6, 0)
	l.w.now += delay
	l.s.HoldAck(l.w.now, true)
	l.settle()
	require.Equal(t, uint64(6), want[frame.Ack](l).Seq, "too old")

	// What the peer has to keep is bounded.
	for seq := uint64(7); seq < 11; seq++ {
		l.quiet()
		l.hear(seq, ackHeldBytes/4)
		l.s.HoldAck(l.w.now, true)
		l.settle()
	}
	require.Equal(t, uint64(10), want[frame.Ack](l).Seq)
}

// What was owed is told in the handshake, or is of a session that is no more.
func TestHeldAckEndsWithTheTransport(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient())
	l.hear(1, 0)
	l.s.HoldAck(l.w.now, true)
	l.fault().drive(StateSessionReconnecting)
	require.Equal(t, uint64(1), want[frame.SessionReconnect](l).MsgSeq)
	l.say(&frame.SessionReconnectOK{})
	l.quiet()
	require.False(t, l.s.OwesAck())

	l.hear(2, 0)
	l.s.HoldAck(l.w.now, true)
	l.fault().drive(StateSessionReconnecting)
	want[frame.SessionReconnect](l)
	l.say(&frame.SessionReset{Full: true})
	want[frame.ClientIdent](l)
	l.say(serverIdent(0, 0xbee5))
	l.quiet()
	require.False(t, l.s.OwesAck())
}

func TestHoldAckOff(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer(), func(n *simNode) { n.cfg.AckDelay = -1 })
	l.hear(1, 0)
	l.s.HoldAck(l.w.now, true)
	l.settle()
	want[frame.Ack](l)
}

func (a *acks) invariants() error {
	if !a.owed && (a.held || a.bytes != 0) || a.bytes > 2*ackHeldBytes {
		return fmt.Errorf("owed: %+v", *a)
	}
	return nil
}

// TestAcksOwe: the time runs from the first message, and the bytes stay in their range.
func TestAcksOwe(t *testing.T) {
	var a acks
	a.owe(5, 10)
	a.owe(6, 1<<40)
	require.Equal(t, acks{owed: true, bytes: ackHeldBytes + 10, since: 5}, a)
	for range 5 {
		a.owe(7, 1<<40)
	}
	require.NoError(t, a.invariants())
	a.held = true
	a.reset()
	require.Equal(t, acks{since: 5}, a)
	a.held = true
	require.Error(t, a.invariants())
}
