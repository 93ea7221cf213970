package async

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

// TestStateful: Ceph's StatefulTest. A session lives on in the server when the
// client forgets it, and the server hears of that; and the other way round.
func TestStateful(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	require.NoError(t, c.Send(text("1")))
	srv.wantMessages(1)
	s := l.peerOf(srv, entity.Client(1))
	s.SetValue("session")
	cl.want("connect", 1) // a mark down would discard it
	c.MarkDown()
	l.until("the server noticed", func() bool { return !s.IsConnected() })
	require.False(t, s.IsClosed())
	require.Same(t, s, srv.Lookup(cl.Addrs()))
	require.Zero(t, srv.times("reset"))

	c2 := l.connect(cl, srv)
	require.NotSame(t, c, c2)
	require.Same(t, s, srv.want("remote reset", 1).conn)
	require.Same(t, s, srv.want("accept", 2).conn)
	require.Equal(t, "session", s.Value())
	require.NoError(t, c2.Send(text("2")))
	srv.wantMessages(2)

	s.MarkDown()
	require.Same(t, c2, cl.want("remote reset", 1).conn)
	require.Same(t, c2, cl.want("connect", 3).conn)
	require.NoError(t, c2.Send(text("3")))
	srv.wantMessages(3)
	s2 := srv.events("message")[2].conn
	require.NotSame(t, s, s2)
	require.Zero(t, cl.times("reset")+srv.times("reset"))
}

// TestStateless: Ceph's StatelessTest. Sessions end with their connection.
func TestStateless(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	cl := l.client(entity.Client(1), msg.LossyClient())
	c := l.connect(cl, srv)
	require.NoError(t, c.Send(text("1")))
	srv.wantMessages(1)
	first := srv.events("message")[0].conn
	c.MarkDown()
	require.Same(t, first, srv.want("reset", 1).conn)
	require.True(t, first.IsClosed())

	c = l.connect(cl, srv)
	require.NoError(t, c.Send(text("2")))
	srv.wantMessages(2)
	second := srv.events("message")[1].conn
	require.NotSame(t, first, second)
	second.MarkDown()
	require.Same(t, c, cl.want("reset", 1).conn)
	require.ErrorIs(t, c.Send(text("x")), msg.ErrReset)
	require.NoError(t, cl.SendTo(text("3"), entity.TypeOSD, srv.Addrs()))
	srv.wantMessages(3)
	require.Zero(t, cl.times("remote reset")+srv.times("remote reset"))
}

// TestStatelessRegistered: one connection per client address.
func TestStatelessRegistered(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatelessRegisteredServer())
	cl := l.client(entity.Client(1), msg.LossyClient())
	a, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("connected", a.IsConnected)
	first := srv.want("accept", 1).conn
	b, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("connected", b.IsConnected)
	h := srv.want("reset", 1)
	require.Same(t, first, h.conn)
	require.ErrorIs(t, h.err, session.ErrReplaced)
	require.Same(t, a, cl.want("reset", 1).conn)
	require.Equal(t, 1, srv.Stats().Connections)
}

// TestStandby: Ceph's ClientStandbyTest. With nothing to say a peer does not
// reconnect.
func TestStandby(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessPeerReuse())
	c := l.connect(cl, srv)
	require.NoError(t, c.Send(text("1")))
	srv.wantMessages(1)
	// Nothing may wait for an acknowledgement: that is something to say.
	l.until("acknowledged", func() bool { return cl.Stats().Delivered == 1 })
	l.peerOf(srv, entity.Client(1)).MarkDown()
	l.until("broken", func() bool { return !c.IsConnected() })
	l.until("closed", func() bool { return srv.Stats().Connections == 0 })
	require.False(t, c.IsClosed())
	require.EqualValues(t, 1, cl.Stats().Connected)
	require.Equal(t, 1, cl.times("connect"))

	require.NoError(t, c.Send(text("lost"))) // the server forgot the session
	require.Same(t, c, cl.want("remote reset", 1).conn)
	require.Same(t, c, cl.want("connect", 2).conn)
	require.NoError(t, c.Send(text("2")))
	l.until("2", func() bool { ts := srv.texts(); return ts[len(ts)-1] == "2" })
}

// TestFeatures: Ceph's FeatureTest.
func TestFeatures(t *testing.T) {
	l := newLab(t)
	p := msg.StatelessServer()
	p.FeaturesRequired = 1 << 13
	srv := l.server(entity.OSD(0), p)
	q := msg.LossyClient()
	q.FeaturesSupported = msg.FeaturesAll &^ (1 << 13)
	lacks := l.client(entity.Client(1), q)
	c, err := lacks.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(text("no")))
	l.until("attempts", func() bool { return lacks.Stats().Faults >= 3 })
	require.False(t, c.IsConnected())
	c.MarkDown()
	has := l.client(entity.Client(2), msg.LossyClient())
	c = l.connect(has, srv)
	require.NoError(t, c.Send(text("yes")))
	require.Equal(t, []string{"yes"}, srv.wantMessages(1))
	require.NotZero(t, c.Features()&(1<<13))

	// The client's demands count too.
	q = msg.LossyClient()
	q.FeaturesRequired = 1 << 62
	wants := l.client(entity.Client(3), q)
	c, err = wants.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("attempts", func() bool { return wants.Stats().Faults >= 2 })
	require.False(t, c.IsConnected())
}

// TestIdleTimeout: Ceph's TimeoutTest.
func TestIdleTimeout(t *testing.T) {
	l := newLab(t)
	idle := func(c *Config) { c.IdleTimeout = 50 * time.Millisecond }
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	cl := l.client(entity.Client(1), msg.LossyClient(), idle)
	c := l.connect(cl, srv)
	require.NoError(t, c.Send(text("x")))
	srv.wantMessages(1)
	require.ErrorIs(t, cl.want("reset", 1).err, session.ErrIdleTimeout)
	require.True(t, c.IsClosed())
	srv.want("reset", 1)
}

func TestKeepaliveKeepsIdleConnection(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	cl := l.client(entity.Client(1), msg.LossyClient(), func(c *Config) { c.KeepaliveInterval = 5 * time.Millisecond })
	c := l.connect(cl, srv)
	acks := map[time.Time]bool{}
	l.until("keepalives", func() bool { acks[c.LastKeepaliveAck()] = true; return len(acks) > 4 })
	require.True(t, c.IsConnected())
	require.Zero(t, cl.times("reset"))
	require.False(t, l.peerOf(srv, entity.Client(1)).LastKeepalive().IsZero())
}

// TestReconnect: a session goes on after its transport broke, whoever broke it;
// events come in order and nothing is lost.
func TestReconnect(t *testing.T) {
	for _, who := range []string{"client", "server"} {
		t.Run(who, func(t *testing.T) {
			l := newLab(t)
			srv := l.node(entity.OSD(0), msg.StatefulServer())
			srv.onMessage = func(m *msg.Message) {
				if err := m.Connection().Send(text("re: %s", m.Front)); err != nil {
					t.Error(err)
				}
			}
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			cl := l.client(entity.Client(1), msg.LosslessClient())
			c := l.connect(cl, srv)
			s := l.peerOf(srv, entity.Client(1))
			const rounds = 30
			for i := range rounds {
				before := cl.Stats().Connected
				if who == "client" {
					fault(c)
				} else {
					fault(s)
				}
				require.NoError(t, c.Send(text("%d", i)))
				l.until("connected again", func() bool { return cl.Stats().Connected > before && c.IsConnected() })
			}
			require.Equal(t, numbers(rounds), srv.wantMessages(rounds))
			cl.wantMessages(rounds)
			for i, h := range cl.events("message") {
				require.Equal(t, "re: "+numbers(rounds)[i], h.text)
				require.Same(t, c, h.conn)
			}
			require.Same(t, s, srv.Lookup(cl.Addrs()))
			require.Zero(t, cl.times("remote reset")+srv.times("remote reset")+cl.times("reset")+srv.times("reset"))
			// One event for each time the session became ready.
			l.until("events", func() bool { return uint64(cl.times("connect")) == cl.Stats().Connected })
			l.until("events", func() bool { return uint64(srv.times("accept")) == srv.Stats().Accepted })
			require.Equal(t, cl.times("connect"), cl.times("fast connect"))
			require.Equal(t, srv.times("accept"), srv.times("fast accept"))
			require.Equal(t, "connect", cl.whats()[0])
			require.Equal(t, "accept", srv.whats()[0])
		})
	}
}

// TestConnectBeforeFirstMessage: the event comes before the first message, on both
// sides and for every connection, with any width.
func TestConnectBeforeFirstMessage(t *testing.T) {
	l := newLab(t)
	var early atomic.Int32
	mark := func(n *node) {
		n.onEvent = func(what string, c msg.Connection) {
			if what == "accept" || what == "connect" {
				c.SetValue(true)
			}
		}
		n.onMessage = func(m *msg.Message) {
			if m.Connection().Value() == nil {
				early.Add(1)
			}
		}
	}
	srv := l.node(entity.OSD(0), msg.StatelessServer())
	mark(srv)
	reply := srv.onMessage
	srv.onMessage = func(m *msg.Message) { reply(m); _ = m.Connection().Send(text("re")) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.node(entity.Client(1), msg.LossyClient())
	mark(cl)
	require.NoError(t, cl.Start())
	for range 100 {
		c, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		require.NoError(t, c.Send(text("x")))
	}
	srv.wantMessages(100)
	cl.wantMessages(100)
	require.Zero(t, early.Load())
}
