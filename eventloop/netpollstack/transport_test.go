//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// While nobody reads, a full socket's room is an edge, which epoll reports once. One that
// passed before the transport found its socket full, again, must not be the last.
func TestEdgeOfAFullSocket(t *testing.T) {
	w := handWorker(t, eventloop.SystemClock())
	a, b := tcpPair(t, w)
	a.t.PauseRead()
	stuff(t, a, b)
	tr := a.t.(*transport)
	tr.update()
	require.Equal(t, uint32(watchEdge|watchWrite), tr.armed)
	a.flushed = make(chan struct{}, 1)
	a.t.WantFlush()
	accept(t, w)
	require.Empty(t, a.flushed, "full")
	for buf := make([]byte, 1<<20); ; { // the peer makes room
		if _, err := unix.Read(int(b.t.(*transport).fd), buf); err == unix.EAGAIN {
			break
		}
	}
	for w.lookFor(0) {
		w.poll.wait() // and nobody takes notice
	}
	tr.update()
	settleHand(t, w, "HandleFlush", func() bool { return len(a.flushed) > 0 })
	b.t.Abort()
	a.t.Abort()
}
