package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

func (k *keepalive) invariants() error {
	if k.queued && k.sent == 0 {
		return fmt.Errorf("a KEEPALIVE2 has not left and is not waited for: %+v", *k)
	}
	return nil
}

// TestKeepaliveState: the time for an answer runs from when the first question was
// wanted, and anew from when all of it has left; a transport that is lost takes along
// what was asked, not that it is wanted to ask.
func TestKeepaliveState(t *testing.T) {
	var k keepalive
	k.left(1)
	require.Zero(t, k, "nothing was asked")
	k.want = true
	k.ask(5)
	k.ask(6)
	require.Equal(t, 5*time.Nanosecond, k.sent)
	k.left(7)
	require.True(t, k.queued, "it is not encoded yet")
	k.want = false
	k.left(8)
	k.left(9)
	require.Equal(t, keepalive{sent: 8}, k)

	k.answered()
	k.left(10)
	require.Zero(t, k)
	k.ask(11)
	k.answered() // though not all has left that was encoded with the question
	k.left(12)
	require.Zero(t, k, "nothing is waited for any more")

	k = keepalive{alive: 1, stamp: frame.Stamp{Sec: 1}, want: true, reply: true}
	k.ask(0)
	require.NotZero(t, k.sent, "0 is for none")
	k.reset()
	require.Equal(t, keepalive{alive: 1, stamp: frame.Stamp{Sec: 1}, want: true}, k)
	require.NoError(t, k.invariants())
}
