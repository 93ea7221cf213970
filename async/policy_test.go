package async

import (
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

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
