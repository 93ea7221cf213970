//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A port that connects to itself has nobody listening, also when it was dialled by an
// address that only stands for this host.
func TestDialsItself(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "0.0.0.0"} {
		s := openStack(t, Config{Workers: 1})
		l, err := s.Listen(loopback, eventloop.ListenConfig{}, func(eventloop.Socket) {})
		require.NoError(t, err)
		require.NoError(t, l.Close())
		do(t, s.Worker(0), func() {}) // closed
		self, h := l.Addr(), newIdle()
		do(t, s.Worker(0), func() {
			to := netip.AddrPortFrom(netip.MustParseAddr(host), self.Port())
			s.Worker(0).Dial(to, eventloop.DialConfig{Local: self}, h)
		})
		select {
		case err := <-h.closed:
			require.ErrorIs(t, err, unix.ECONNREFUSED)
		case <-h.connected:
			t.Fatalf("%v is connected to itself", self)
		}
		require.Zero(t, s.Worker(0).Load())
	}
}
