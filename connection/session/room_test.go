package session

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestRoom: a peer that does not answer lives for as long as it makes room in the
// socket, and no longer. A shell that writes on a thread of its own has said Written
// before.
func TestRoom(t *testing.T) {
	const timeout = 5 * time.Second
	l := readyConnector(t, msg.LossyClient(), keepalives(10*time.Second, timeout))
	l.s.Keepalive(l.w.now)
	l.settle()
	for range 20 {
		l.w.now += timeout - 1
		l.s.HandleTimeout(l.w.now)
		require.Equal(t, StateReady, l.s.State())
		l.s.HandleRoom(l.w.now)
	}
	l.w.now += timeout
	l.s.HandleTimeout(l.w.now)
	l.c.settle()
	require.ErrorIs(t, l.lastFault(), ErrKeepaliveTimeout)
	l.s.HandleRoom(l.w.now) // late news
}
