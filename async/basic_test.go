package async

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

func TestIPv6AndSeveralAddresses(t *testing.T) {
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here: ", err)
	} else {
		ln.Close()
	}
	l := newLab(t)
	v6 := netip.MustParseAddrPort("[::1]:0")
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(v6, local))
	require.NoError(t, srv.Start())
	require.Len(t, srv.Addrs(), 2)
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv) // the first msgr2 address
	require.NoError(t, c.Send(text("v6")))
	require.Equal(t, []string{"v6"}, srv.wantMessages(1))
	require.True(t, cl.Addrs()[0].AddrPort.Addr().Is6())

	four := l.client(entity.Client(2), msg.LosslessClient())
	c4, err := four.ConnectTo(entity.TypeOSD, srv.Addrs()[1:])
	require.NoError(t, err)
	require.NoError(t, c4.Send(text("v4")))
	require.Equal(t, []string{"v6", "v4"}, srv.wantMessages(2))
	require.Equal(t, 2, srv.Stats().Connections)

	ports := []uint16{srv.Addrs()[0].AddrPort.Port(), srv.Addrs()[1].AddrPort.Port()}
	require.NoError(t, srv.Rebind())
	require.Len(t, srv.Addrs(), 2)
	for _, a := range srv.Addrs() {
		require.NotContains(t, ports, a.AddrPort.Port())
	}
}

func free(port uint16) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// TestEarlySockets: what connects between Bind and Start is served after Start.
func TestEarlySockets(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.HandshakesMax = 2 })
	require.NoError(t, srv.Bind(local))
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.NoError(t, cl.SendTo(text("early"), entity.TypeOSD, srv.Addrs()))
	early := func() int {
		srv.Messenger.mu.Lock()
		defer srv.Messenger.mu.Unlock()
		return len(srv.early)
	}
	l.until("early socket", func() bool { return early() == 1 })
	for range 3 {
		raw, err := net.Dial("tcp", srv.Addrs()[0].AddrPort.String())
		require.NoError(t, err)
		defer raw.Close()
	}
	l.until("turned away", func() bool { return srv.Stats().TurnedAway == 2 })
	require.Equal(t, 2, early())
	require.Zero(t, srv.count.Load())
	require.NoError(t, srv.Start())
	require.Equal(t, []string{"early"}, srv.wantMessages(1))
}

func pattern(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	period := min(n, 65521)
	for i := range period {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	for i := period; i < n; i += copy(b[i:], b[:i]) {
	}
	return b
}
