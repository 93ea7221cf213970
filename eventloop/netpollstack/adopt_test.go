//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"os"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestAdoptWhatCannotBeWatched: a descriptor that epoll does not take is closed, and its handler
// is told.
func TestAdoptWhatCannotBeWatched(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	require.NoError(t, err)
	var file, now unix.Stat_t
	require.NoError(t, unix.Fstat(fd, &file))
	h := newIdle()
	do(t, w, func() { w.adopt(fd, netip.AddrPort{}, netip.AddrPort{}, 0, h) })
	require.ErrorIs(t, <-h.closed, unix.EPERM)
	if err := unix.Fstat(fd, &now); err == nil { // the number is somebody else's
		require.NotEqual(t, file.Ino, now.Ino)
	}
}

// TestErrorThatIsGone: an error that epoll has told of, and which the socket does not have any
// more, ends nothing.
func TestErrorThatIsGone(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	c, _ := connect(t, w, eventloop.SocketOptions{})
	do(t, w, func() {
		tr := c.t.(*transport)
		tr.read(unix.EPOLLIN | unix.EPOLLERR)
		assert.Equal(t, open, tr.state)
	})
}
