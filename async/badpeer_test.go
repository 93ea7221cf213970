package async

import (
	"errors"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

// TestByteByByte: the handshake and messages arrive in single bytes.
func TestByteByByte(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	// The proxy has to stand where the server's address says: behind it the server
	// knows itself under the proxy's address, and the client is told that one.
	proxy := faultkit.StartProxy(t, local, srv.Addrs()[0].AddrPort)
	proxy.Chunk(1)
	addrs := srv.Addrs().Clone()
	addrs[0].AddrPort = proxy.Addr()
	srv.identity.Move(&connection.Place{Addrs: addrs, Nonce: srv.nonce})
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, addrs)
	require.NoError(t, err)
	sendAll(t, c, 20, nil)
	require.Equal(t, numbers(20), srv.wantMessages(20))
}

// TestPeerStopsReading: its send queue fills up to the bound, others go on, and
// the keepalive finds out.
func TestPeerStopsReading(t *testing.T) {
	l := newLab(t)
	// The peer reads nothing more while its dispatcher is held up: one message
	// is all its throttle lets in.
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	stuck := l.node(entity.OSD(1), msg.StatelessServer(), func(c *Config) { c.DispatchThrottleBytes = 1 })
	hold := l.gate()
	stuck.onMessage = func(*msg.Message) { hold.pass() }
	require.NoError(t, stuck.Bind(local))
	require.NoError(t, stuck.Start())
	cl := l.client(entity.Client(1), msg.LossyClient(), func(c *Config) {
		c.SendQueueMessages = 100
		c.KeepaliveInterval, c.KeepaliveTimeout = 20*time.Millisecond, 300*time.Millisecond
	})
	good, bad := l.connect(cl, srv), l.connect(cl, stuck)
	var err error
	for err == nil {
		err = bad.SendContext(timeout(t), &msg.Message{Data: make([]byte, 1<<20)})
		if bad.IsClosed() {
			break
		}
		if err == nil && hold.arrived.Load() == 0 {
			continue
		}
		if e := bad.Send(&msg.Message{Data: make([]byte, 1<<20)}); e != nil {
			err = e
		}
	}
	require.True(t, errors.Is(err, msg.ErrQueueFull) || errors.Is(err, msg.ErrClosed), "%v", err)
	sendAll(t, good, 100, nil)
	srv.wantMessages(100)
	require.ErrorIs(t, cl.want("reset", 1).err, session.ErrKeepaliveTimeout)
	require.True(t, bad.IsClosed())
	require.True(t, good.IsConnected())
	hold.open()
}
