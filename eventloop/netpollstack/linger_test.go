//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// settleHand runs rounds until cond holds.
func settleHand(t testing.TB, w *worker, what string, cond func() bool) {
	t.Helper()
	for i := 0; !cond(); i++ {
		require.Less(t, i, 1000, what)
		w.lookFor(10 * time.Millisecond)
		accept(t, w)
	}
}

// tcpPair makes a TCP connection between two handlers on w.
func tcpPair(t testing.TB, w *worker) (a, b *idle) {
	t.Helper()
	a, b = newIdle(), newIdle()
	l, err := w.listen(loopback, eventloop.ListenConfig{}, func(s eventloop.Socket) { b.t = w.Adopt(s, b) })
	require.NoError(t, err)
	w.Dial(l.Addr(), eventloop.DialConfig{}, a)
	settleHand(t, w, "connect", func() bool { return a.t != nil && b.t != nil })
	require.NoError(t, l.Close())
	accept(t, w)
	return a, b
}

// stuff writes until the socket is full, with a peer that does not read.
func stuff(t testing.TB, from, to *idle) {
	t.Helper()
	to.t.PauseRead()
	for chunk := make([]byte, 1<<20); ; {
		n, err := from.t.Write([][]byte{chunk})
		require.NoError(t, err)
		if n < len(chunk) {
			return
		}
	}
}

// A lingering socket whose peer has ended is closed once: no timer is left that closes
// the descriptor again, which may be anybody's then.
func TestLingerIsClosedOnce(t *testing.T) {
	clock := &handClock{now: time.Second}
	w := handWorker(t, clock)
	a, b := tcpPair(t, w)
	stuff(t, a, b)
	fd := int(a.t.(*transport).fd)
	a.t.Close()
	require.Equal(t, 1, w.lingers)
	require.Equal(t, 1, w.timers.Len())
	free := len(w.poll.free)
	b.t.Abort()
	settleHand(t, w, "the end of lingering", func() bool { return w.lingers == 0 })
	require.Zero(t, w.timers.Len())
	require.False(t, isOpen(fd))
	require.Len(t, w.poll.free, free+2, "both slots are free, once")

	// The number belongs to somebody else now.
	require.NoError(t, unix.Dup3(w.eventfd, fd, unix.O_CLOEXEC))
	defer unix.Close(fd)
	clock.now += 2 * lingerTime
	w.kick()
	accept(t, w)
	accept(t, w)
	require.True(t, isOpen(fd))
	require.Zero(t, w.lingers)
}

// What the peer sends meanwhile is read and ends nothing: a socket that is closed with
// something unread resets its connection, and what it has not sent is lost.
func TestLingerReads(t *testing.T) {
	w := handWorker(t, &handClock{now: time.Second})
	a, b := tcpPair(t, w)
	stuff(t, a, b)
	fd := int(a.t.(*transport).fd)
	a.t.Close()
	for range 2 {
		n, err := b.t.Write([][]byte{make([]byte, 10)})
		require.NoError(t, err)
		require.Equal(t, 10, n)
		settleHand(t, w, "what is sent is read", func() bool {
			unread, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
			return err != nil || unread == 0
		})
		require.Equal(t, 1, w.lingers)
	}
	b.t.Abort()
	settleHand(t, w, "the end of lingering", func() bool { return w.lingers == 0 })
}

// After lingerTime a socket lingers no more, and nothing is left of it.
func TestLingerTime(t *testing.T) {
	clock := &handClock{now: time.Second}
	w := handWorker(t, clock)
	a, b := tcpPair(t, w)
	stuff(t, a, b)
	fd := int(a.t.(*transport).fd)
	a.t.Close()
	require.EqualValues(t, 1, w.load.Load(), "the other end")
	clock.now += lingerTime - 1
	w.kick()
	accept(t, w)
	require.True(t, isOpen(fd))
	clock.now++
	w.kick()
	accept(t, w)
	require.False(t, isOpen(fd))
	require.Zero(t, w.lingers)
	require.Zero(t, w.timers.Len())
	b.t.Abort()
}

// Lingering sockets do not survive the stack.
func TestLingerEndsWithTheStack(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w, fd := s.workers[0], -1
	a, b := connect(t, w, eventloop.SocketOptions{})
	do(t, w, func() {
		stuff(t, a, b)
		fd = int(a.t.(*transport).fd)
		a.t.Close()
		assert.True(t, isOpen(fd))
		assert.Equal(t, 1, w.lingers)
	})
	require.NoError(t, s.Close())
	require.False(t, isOpen(fd))
}

// Who need not linger, or may not, is closed at once.
func TestNoLinger(t *testing.T) {
	for name, setup := range map[string]func(w *worker, fd int){
		"too many":     func(w *worker, _ int) { w.lingers = maxLingers },
		"stopping":     func(w *worker, _ int) { w.stopping = true },
		"no socket":    func(w *worker, fd int) { require.NoError(t, unix.Dup3(w.eventfd, fd, unix.O_CLOEXEC)) },
		"out of epoll": func(w *worker, fd int) { require.NoError(t, w.poll.control(unix.EPOLL_CTL_DEL, fd, 0, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := handWorker(t, &handClock{now: time.Second})
			a, b := tcpPair(t, w)
			stuff(t, a, b)
			fd, free := int(a.t.(*transport).fd), len(w.poll.free)
			setup(w, fd)
			before := w.lingers
			a.t.Close()
			require.False(t, isOpen(fd))
			require.Equal(t, before, w.lingers)
			require.Zero(t, w.timers.Len())
			require.Len(t, w.poll.free, free+1)
			b.t.Abort()
		})
	}
	t.Run("nothing under way", func(t *testing.T) {
		w := handWorker(t, &handClock{now: time.Second})
		a, b := tcpPair(t, w)
		fd := int(a.t.(*transport).fd)
		a.t.Close()
		require.False(t, isOpen(fd))
		require.Zero(t, w.lingers)
		b.t.Abort()
	})
}
