package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// heldRequest is a node whose accepted connection with a has come to arbitration and was
// left there.
func heldRequest(t *testing.T, first bool) (b *simNode, in *simConn, ex *simConn) {
	w, a, b := pair(t, pairing{client: msg.LosslessClient(), server: msg.StatefulServer()})
	a.connectTo(b).send(11, 127, 0)
	if first {
		w.runFor(time.Second)
		ex = b.open()[0]
		require.Equal(t, StateReady, ex.s.State())
		w.cut(w.wires[0])
	}
	b.hold = true
	w.runFor(time.Second)
	for _, c := range b.conns {
		if c.s.State() == StateArbitrating {
			in = c
		}
	}
	require.NotNil(t, in)
	return b, in, ex
}

// TestOutcomes: what Settle leaves to the shell, and that nothing else is taken for it.
func TestOutcomes(t *testing.T) {
	_, in, _ := heldRequest(t, false)
	require.Panics(t, func() { in.s.Accept(0) }, "not settled yet")
	require.Equal(t, Register, in.s.Settle(time.Second, nil))
	require.True(t, in.s.Paused(), "until the shell has registered it")
	other := &Session{state: StateStandby}
	require.Panics(t, func() { other.TakeOver(0, in.s) }, "it is to be registered")
	in.s.Accept(time.Second)
	require.Equal(t, StateReady, in.s.State())
	require.Panics(t, func() { in.s.Settle(time.Second, nil) }, "it is settled")

	_, in, ex := heldRequest(t, true)
	require.Equal(t, ActReplace, in.s.Judge(ex.s).Action)
	require.Equal(t, Replace, in.s.Settle(time.Second, ex.s))
	require.Panics(t, func() { in.s.Accept(0) }, "it is to be replaced")
	require.Equal(t, "replace", Replace.String())

	_, in, _ = heldRequest(t, true)
	require.Equal(t, Keep, in.s.Settle(time.Second, nil)) // nobody knows the session
	require.Equal(t, StateSessionAccepting, in.s.State())
	require.False(t, in.s.Paused(), "the peer may answer")

	_, in, _ = heldRequest(t, false)
	in.s.Refuse(time.Second, ErrStale)
	require.Equal(t, StateClosed, in.s.State())
	in.s.Refuse(time.Second, ErrStale) // closed meanwhile
}
