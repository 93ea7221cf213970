package connection

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

// seen counts the frames that c handles.
func seen(c *Conn) map[frame.Tag]int {
	n := map[frame.Tag]int{}
	c.sh.Session.Observe = func(_ session.State, tag frame.Tag) { n[tag]++ }
	return n
}

// TestAckWaitsForTheAnswer: while a message is in dispatch its acknowledgement waits,
// for the answer, for the end of the dispatch, or for its time.
func TestAckWaitsForTheAnswer(t *testing.T) {
	for _, asleep := range []bool{false, true} {
		p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
		p.wb.asleep = asleep
		frames := seen(p.a)
		p.rb.onDeliver = func(m *msg.Message) { p.b.AddQueued(1) }
		step := func() { p.wa.now += time.Millisecond; p.wb.now += time.Millisecond }
		ask := func() {
			step()
			require.NoError(t, p.a.Send(&msg.Message{Type: 1}))
			p.settle()
			require.Zero(t, frames[frame.TagAck], "not yet")
			step()
		}

		ask()
		require.NoError(t, p.b.Send(&msg.Message{Type: 2}))
		receipt{p.b}.DispatchDone(0)
		p.settle()
		require.Equal(t, 1, frames[frame.TagMessage])
		require.Zero(t, frames[frame.TagAck], "the answer carries it")
		require.Zero(t, p.a.account.n)

		ask()
		receipt{p.b}.DispatchDone(0)
		p.settle()
		require.Equal(t, 1, frames[frame.TagAck], "there was no answer")
		require.Zero(t, p.a.account.n)

		delete(frames, frame.TagAck)
		ask()
		p.wb.now += p.b.sh.Session.AckDelay - time.Millisecond
		p.b.HandleTimer(p.wb.now)
		p.settle()
		require.Equal(t, 1, frames[frame.TagAck], "the dispatch takes too long")
		require.Zero(t, p.a.account.n)
		receipt{p.b}.DispatchDone(0)
		p.settle()
		require.Equal(t, 1, frames[frame.TagAck])
		require.False(t, p.b.ackHeld.Load())
	}
}

// Nothing waits when it was dispatched on the worker.
func TestAckOfFastDispatch(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	frames := seen(p.a)
	require.NoError(t, p.a.Send(&msg.Message{Type: 1}))
	p.settle()
	require.Equal(t, 1, frames[frame.TagAck])
}
