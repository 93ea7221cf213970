//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// isOpen says whether a descriptor is open.
func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// A listener that was opened while its worker was about to end is closed with it.
func TestListenWhileStopping(t *testing.T) {
	w := handWorker(t, eventloop.SystemClock())
	require.NoError(t, w.Post(eventloop.TaskFunc(func() { w.stopping = true })))
	l, err := w.listen(loopback, eventloop.ListenConfig{}, func(eventloop.Socket) { t.Error("accepted") })
	require.NoError(t, err)
	accept(t, w) // both tasks
	<-w.ended
	require.True(t, l.done)
	require.False(t, isOpen(l.fd))
	require.Zero(t, w.listening.Load())
	_, err = net.Dial("tcp", l.Addr().String())
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	require.NoError(t, l.Close())
	_, err = w.listen(loopback, eventloop.ListenConfig{}, func(eventloop.Socket) {})
	require.ErrorIs(t, err, eventloop.ErrStackClosed)
}

// A listening socket that epoll does not take is reported and closed.
func TestListenerNotWatched(t *testing.T) {
	w := handWorker(t, eventloop.SystemClock())
	var reported error
	cfg := eventloop.ListenConfig{OnError: func(err error) { reported = errors.Join(reported, err) }}
	l, err := w.listen(loopback, cfg, func(eventloop.Socket) { t.Error("accepted") })
	require.NoError(t, err)
	// A file in its place: epoll knows no files.
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, unix.Dup3(int(file.Fd()), l.fd, unix.O_CLOEXEC))
	free := len(w.poll.free)
	accept(t, w)
	require.ErrorIs(t, reported, unix.EPERM)
	require.False(t, isOpen(l.fd))
	require.Zero(t, w.listening.Load())
	require.Len(t, w.poll.free, free+1, "the slot is free again")
	require.NoError(t, l.Close())
	accept(t, w) // nothing is closed twice
}
