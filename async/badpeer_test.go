package async

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

// raw dials a messenger with a plain socket.
func raw(t testing.TB, n *node) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.Addrs()[0].AddrPort.String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// wantHangUp reads until the messenger closes the connection.
func wantHangUp(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	var timedOut net.Error
	require.False(t, errors.As(err, &timedOut) && timedOut.Timeout(), "the messenger does not hang up")
}

func goodBanner() []byte {
	b := frame.Banner{Supported: frame.FeatureRevision1, Required: frame.FeatureRevision1}
	return b.Append(nil)
}

// TestBadPeers: whatever a peer says, the messenger hangs up, counts, and goes on
// with the others.
func TestBadPeers(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	noise := make([]byte, 4096)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	noRevision := frame.Banner{}
	for name, say := range map[string][]byte{
		"noise":              noise,
		"http":               []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + string(make([]byte, 64))),
		"v1 banner":          append([]byte("ceph v027"), make([]byte, 300)...),
		"banner length":      append([]byte("ceph v2\n\xff\xff"), make([]byte, 100)...),
		"msgr 2.0":           noRevision.Append(nil),
		"noise after banner": append(goodBanner(), noise...),
		"zeros after banner": append(goodBanner(), make([]byte, 4096)...),
	} {
		before := srv.Stats()
		p := raw(t, srv)
		_, _ = p.Write(say)
		wantHangUp(t, p)
		l.until(name, func() bool { s := srv.Stats(); return s.Faults == before.Faults+1 && s.Handshakes == 0 })
		require.NoError(t, c.Send(text("%s", name)))
	}
	srv.wantMessages(7)
	// And those that hang up themselves.
	for i := range 10 {
		p := raw(t, srv)
		_, err := p.Write(goodBanner()[:i])
		require.NoError(t, err)
		p.Close()
	}
	l.until("forgotten", func() bool { s := srv.Stats(); return s.Handshakes == 0 && s.Connections == 1 })
	require.Equal(t, 1, srv.times("accept"))
	require.Zero(t, srv.times("reset"))
	require.True(t, c.IsConnected())
}

// TestByteByByte: the handshake and messages arrive in single bytes.
func TestByteByByte(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	// A proxy that passes on single bytes. It has to stand where the server's
	// address says, so it is the client who is told another address.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	// Behind the proxy the server knows itself under the proxy's address.
	addrs := srv.Addrs().Clone()
	addrs[0].AddrPort = ln.Addr().(*net.TCPAddr).AddrPort()
	target := srv.Addrs()[0].AddrPort.String()
	srv.setAddrs(addrs)
	done := make(chan struct{}, 4)
	proxied := make(chan net.Conn, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		in, err := ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", target)
		if err != nil {
			in.Close()
			return
		}
		proxied <- in
		proxied <- out
		pipe := func(dst, src net.Conn) {
			defer func() { done <- struct{}{} }()
			b := make([]byte, 1)
			for {
				if _, err := src.Read(b); err != nil {
					return
				}
				if _, err := dst.Write(b); err != nil {
					return
				}
			}
		}
		go pipe(out, in)
		go pipe(in, out)
	}()
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, addrs)
	require.NoError(t, err)
	sendAll(t, c, 20, nil)
	require.Equal(t, numbers(20), srv.wantMessages(20))
	ln.Close()
	(<-proxied).Close()
	(<-proxied).Close()
	for range 3 {
		<-done
	}
}

// TestSlowloris: a peer that does not get on with its handshake is given up, and
// nobody else is held up meanwhile.
func TestSlowloris(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.ReadyTimeout = 200 * time.Millisecond })
	var slow []net.Conn
	for i := range 50 {
		p := raw(t, srv)
		_, err := p.Write(goodBanner()[:i%len(goodBanner())])
		require.NoError(t, err)
		slow = append(slow, p)
	}
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.NoError(t, cl.SendTo(text("x"), entity.TypeOSD, srv.Addrs()))
	srv.wantMessages(1)
	for _, p := range slow {
		wantHangUp(t, p)
	}
	l.until("forgotten", func() bool { s := srv.Stats(); return s.Handshakes == 0 && s.Connections == 1 })
}

func TestHandshakesMax(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.HandshakesMax = 5 })
	var conns []net.Conn
	for range 5 {
		conns = append(conns, raw(t, srv))
	}
	l.until("five handshakes", func() bool { return srv.Stats().Handshakes == 5 })
	wantHangUp(t, raw(t, srv))
	require.EqualValues(t, 1, srv.Stats().TurnedAway)
	for _, c := range conns {
		c.Close()
	}
	l.until("room", func() bool { return srv.Stats().Handshakes == 0 })
	cl := l.client(entity.Client(1), msg.LosslessClient())
	l.connect(cl, srv)
	require.Zero(t, srv.Stats().Handshakes, "an established session is no handshake")
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
