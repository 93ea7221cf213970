package connection

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestWaitForTheTotal: who waits for room in the total of all connections is woken by
// what happens to the own connection as well: it has sent what it held, and needs
// nothing of the total any more; or it was closed.
func TestWaitForTheTotal(t *testing.T) {
	limits := &SendLimits{MessagesMax: 100, BytesMax: 1 << 20, Total: NewSendTotal(1000)}
	sized := func(n int) *msg.Message { return &msg.Message{Data: make([]byte, n)} }
	woken := func(room <-chan struct{}) bool {
		select {
		case <-room:
			return true
		default:
			return false
		}
	}
	var other, a Account
	other.Init(limits)
	a.Init(limits)
	_, err := other.Take(sized(TotalFree+1000), false) // all there is
	require.NoError(t, err)
	held := sized(TotalFree)
	_, err = a.Take(held, false)
	require.NoError(t, err)
	late := sized(10)
	_, err = a.Take(late, false)
	require.ErrorIs(t, err, msg.ErrQueueFull)

	room, err := a.Take(late, true)
	require.NoError(t, err)
	require.False(t, woken(room))
	a.Wake() // closed
	require.True(t, woken(room))

	room, err = a.Take(late, true)
	require.NoError(t, err)
	var e Ended
	require.True(t, e.Add(held))
	a.Give(e)
	require.True(t, woken(room))
	room, err = a.Take(late, true)
	require.NoError(t, err)
	require.Nil(t, room)
}

// TestSettlePanicsUnlocked: an account that is wrong panics with the numbers, and who
// recovers from that finds the connection usable: it can be closed, and shut down.
func TestSettlePanicsUnlocked(t *testing.T) {
	p := newPair(t, msg.LosslessPeer(), msg.LosslessPeer())
	var tooMuch Ended
	tooMuch.Add(&msg.Message{Front: []byte("never sent")})
	require.PanicsWithValue(t, "connection: -1 messages, -10 bytes held after {gen:0 n:1 bytes:10} was given back",
		func() { p.a.settle(tooMuch) })
	require.True(t, p.a.mu.TryLock(), "whoever closes the connection would wait for ever")
	p.a.mu.Unlock()
}
