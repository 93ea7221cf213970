package async

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// fault breaks a connection as the network would.
func fault(c msg.Connection) { c.(*connection.Conn).Fault(errors.New("broken by the test")) }

// silent is the address of a listener that accepts and says nothing.
func silent(t testing.TB) entity.AddrVec {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(ln.Addr().String())}}
}

// sendAll sends n numbered messages with that notice.
func sendAll(t testing.TB, c msg.Connection, n int, e msg.Notifier) {
	t.Helper()
	for i := range n {
		m := text("%d", i)
		m.Notify = e
		require.NoError(t, c.Send(m))
	}
}

// wantDropped checks that n messages were reported dropped for that reason, in
// every way there is.
func wantDropped(t *testing.T, n *node, e *ends, count int, reason error) {
	t.Helper()
	for _, err := range e.want(count) {
		require.ErrorIs(t, err, reason)
	}
	n.want("undeliverable", count)
	var texts []string
	for _, h := range n.events("undeliverable") {
		require.ErrorIs(t, h.err, reason)
		texts = append(texts, h.text)
	}
	require.Len(t, texts, count)
	require.EqualValues(t, count, n.Stats().Undeliverable)
}

func TestDroppedByMarkDown(t *testing.T) {
	l := newLab(t)
	n := l.client(entity.Client(1), msg.LosslessClient())
	c, err := n.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	e := &ends{l: l}
	sendAll(t, c, 50, e)
	c.MarkDown()
	err = c.Send(text("late"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrMarkedDown)
	wantDropped(t, n, e, 50, msg.ErrMarkedDown)
	c.MarkDown()
	require.Zero(t, n.times("reset"))
	require.Zero(t, n.Stats().Connections)
}

func TestDroppedByReset(t *testing.T) {
	l := newLab(t)
	n := l.client(entity.Client(1), msg.LosslessClient())
	// A peer that is somebody else: there is no point in trying again.
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(local))
	c, err := n.ConnectTo(entity.TypeMon, srv.Addrs())
	require.NoError(t, err)
	e := &ends{l: l}
	sendAll(t, c, 50, e)
	require.NoError(t, srv.Start()) // not before, and so it cannot answer sooner
	l.until("closed", c.IsClosed)
	err = c.Send(text("late"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrReset)
	wantDropped(t, n, e, 50, msg.ErrReset)
	require.ErrorIs(t, n.want("reset", 1).err, msg.ErrReset)
	require.EqualValues(t, 1, n.Stats().Resets)
}

func TestDroppedByShutdown(t *testing.T) {
	l := newLab(t)
	n := l.client(entity.Client(1), msg.LosslessClient())
	c, err := n.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	e := &ends{l: l}
	sendAll(t, c, 50, e)
	require.NoError(t, n.Shutdown(timeout(t)))
	require.Len(t, e.all(), 50, "all is reported when Shutdown returns")
	wantDropped(t, n, e, 50, msg.ErrShutdown)
	err = c.Send(text("late"))
	require.ErrorIs(t, err, msg.ErrClosed)
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.ErrorIs(t, c.SendContext(t.Context(), text("late")), msg.ErrShutdown)
}

func TestDroppedByRemoteReset(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	hold := l.gate()
	srv.onMessage = func(m *msg.Message) {
		if string(m.Front) == "0" {
			hold.pass()
		}
	}
	srv.SetPolicyThrottlers(entity.TypeClient, dispatch.NewThrottle(1), nil)
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	e := &ends{l: l}
	sendAll(t, c, 50, e)
	hold.wantArrived(1)
	require.NoError(t, e.want(1)[0], "the one in dispatch is acknowledged")
	srv.MarkDownAll()
	hold.open()
	cl.want("remote reset", 1)
	require.ErrorIs(t, cl.want("undeliverable", 49).err, msg.ErrRemoteReset)
	require.Len(t, e.want(50), 50)
	l.until("connected again", c.IsConnected)
	require.NoError(t, c.Send(text("fresh")))
	require.Equal(t, []string{"0", "fresh"}, srv.wantMessages(2))
	require.EqualValues(t, 1, srv.events("message")[1].m.Seq())
	require.Zero(t, cl.times("reset"))
	require.Zero(t, srv.times("reset"))
}

// TestMarkDownInCallbacks: after MarkDown returned nothing more of the connection
// is heard, from whatever callback it was called.
func TestMarkDownInCallbacks(t *testing.T) {
	for _, where := range []string{"message", "fast", "accept", "fast accept", "preprocess"} {
		t.Run(where, func(t *testing.T) {
			l := newLab(t)
			srv := l.node(entity.OSD(0), msg.StatefulServer())
			after := atomic.Int32{}
			closed := sync.Map{}
			down := func(c msg.Connection) {
				if _, ok := closed.Load(c); ok {
					after.Add(1)
				}
				c.MarkDown()
				closed.Store(c, true)
			}
			switch where {
			case "message":
				srv.onMessage = func(m *msg.Message) { down(m.Connection()) }
			case "fast":
				srv.canFast = func(*msg.Message) bool { return true }
				srv.onFast = func(m *msg.Message) { down(m.Connection()) }
			case "preprocess":
				first := atomic.Bool{}
				srv.preprocess = func(m *msg.Message) {
					if !first.Swap(true) {
						down(m.Connection())
					}
				}
			default:
				srv.onEvent = func(what string, c msg.Connection) {
					if what == where {
						down(c)
					}
				}
			}
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			cl := l.client(entity.Client(1), msg.LossyClient())
			c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
			require.NoError(t, err)
			for range 100 {
				if c.Send(text("x")) != nil {
					break
				}
			}
			// The client's policy is lossy, the server's is not, which it adopts: it
			// comes again. A few rounds.
			l.until("connections closed", func() bool {
				n := 0
				closed.Range(func(_, _ any) bool { n++; return true })
				return n >= 1
			})
			require.NoError(t, srv.Shutdown(timeout(t)))
			require.Zero(t, after.Load())
			require.Zero(t, srv.times("reset"))
		})
	}
}

func TestMarkDownInEventsOfConnector(t *testing.T) {
	for _, where := range []string{"connect", "fast connect", "refused", "undeliverable", "reset"} {
		t.Run(where, func(t *testing.T) {
			l := newLab(t)
			srv := l.server(entity.OSD(0), msg.StatefulServer())
			cl := l.node(entity.Client(1), msg.LosslessClient())
			cl.onEvent = func(what string, c msg.Connection) {
				if what == where {
					c.MarkDown()
				}
			}
			require.NoError(t, cl.Start())
			peer := entity.TypeOSD
			switch where {
			case "refused", "undeliverable": // nobody must be faster than our MarkDown
				require.NoError(t, srv.Shutdown(timeout(t)))
			case "reset":
				peer = entity.TypeMon // which it is not
			}
			c, err := cl.ConnectTo(peer, srv.Addrs())
			require.NoError(t, err)
			if where == "undeliverable" {
				require.NoError(t, c.Send(text("x")))
				fault(c)
				c.MarkDown()
			}
			l.until("closed", c.IsClosed)
			cl.want(where, 1)
			l.until("forgotten", func() bool { return cl.Stats().Connections == 0 })
		})
	}
}

func TestMarkDownAllAndDisposable(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	var nodes []*node
	for i := range 5 {
		n := l.client(entity.Client(int64(i)), msg.LosslessClient())
		l.connect(n, srv)
		nodes = append(nodes, n)
	}
	// A disposable session dies with its transport.
	c := nodes[0].Lookup(srv.Addrs())
	c.MarkDisposable()
	l.until("lossy", func() bool { return c.Policy().Lossy })
	require.True(t, c.IsConnected())
	fault(c)
	require.ErrorIs(t, nodes[0].want("reset", 1).err, msg.ErrReset)
	require.True(t, c.IsClosed())

	srv.want("accept", 5)
	old := l.peerOf(srv, entity.Client(1))
	srv.MarkDownAll()
	require.True(t, old.IsClosed())
	require.False(t, old == srv.Lookup(nodes[1].Addrs()))
	for _, n := range nodes[1:] {
		n.want("remote reset", 1) // they come back to a server that forgot them
		n.want("connect", 2)
	}
	require.Zero(t, srv.times("reset"))
	srv.MarkDownAll()
}

// TestResetOnce: a lossy session that breaks is reported once, on both sides.
func TestResetOnce(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	cl := l.client(entity.Client(1), msg.LossyClient())
	for i := range 20 {
		c := l.connect(cl, srv)
		srv.want("accept", i+1)
		fault(c)
		fault(c)
		require.Same(t, c, cl.want("reset", i+1).conn)
		srv.want("reset", i+1)
		require.ErrorIs(t, c.Send(text("x")), msg.ErrReset)
	}
	require.EqualValues(t, 20, cl.Stats().Resets)
	require.EqualValues(t, 20, srv.Stats().Resets)
}

func TestRefusedOncePerAttempt(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.LosslessPeer())
	to := srv.Addrs()
	require.NoError(t, srv.Shutdown(timeout(t)))
	cl := l.client(entity.OSD(1), msg.LosslessPeer())
	c, err := cl.ConnectTo(entity.TypeOSD, to)
	require.NoError(t, err)
	require.NoError(t, c.Send(text("x"))) // otherwise it stands by
	l.until("refused", func() bool { return cl.times("refused") >= 5 })
	c.MarkDown()
	require.NoError(t, cl.Shutdown(timeout(t)))
	s := cl.Stats()
	require.Equal(t, s.Refused, s.Faults, "one for each attempt")
	require.LessOrEqual(t, cl.times("refused"), int(s.Refused))
}

// TestCloseRacesWithEverything: MarkDown by several goroutines while others send,
// break the connection and look it up.
func TestCloseRacesWithEverything(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.LosslessPeer())
	srv.forget = true
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.server(entity.OSD(1), msg.LosslessPeer())
	var accepted, notices atomic.Int64
	count := msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { notices.Add(1); l.notify() })
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 150 {
				c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
				if err != nil {
					t.Error(err)
					return
				}
				switch (g + i) % 6 {
				case 0:
					c.MarkDown()
				case 1:
					fault(c)
				case 2:
					srv.MarkDown(cl.Addrs())
				default:
					m := text("%d.%d", g, i)
					m.Notify = count
					if err := c.Send(m); err == nil {
						accepted.Add(1)
					} else if !errors.Is(err, msg.ErrClosed) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	l.until("all notices", func() bool { return notices.Load() == accepted.Load() })
	l.until("counted", func() bool {
		s := cl.Stats()
		return int64(s.Delivered+s.Undeliverable) == accepted.Load()
	})
	cl.MarkDownAll()
	l.until("forgotten", func() bool { return len(cl.reg.Snapshot()) == 0 })
	require.Nil(t, cl.reg.Lookup(srv.Addrs()))
}

// TestMarkDownDropsWhatIsQueued: messages and events that wait for a dispatcher
// are not heard of after MarkDown, that of a reset included.
func TestMarkDownDropsWhatIsQueued(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatelessServer(), func(c *Config) { c.DispatchWidth = 1 })
	hold := l.gate()
	srv.onMessage = func(m *msg.Message) {
		if string(m.Front) == "hold" {
			hold.pass()
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	a, b := l.client(entity.Client(1), msg.LossyClient()), l.client(entity.Client(2), msg.LossyClient())
	require.NoError(t, a.SendTo(text("hold"), entity.TypeOSD, srv.Addrs()))
	hold.wantArrived(1)
	sendAll(t, l.connect(b, srv), 20, nil)
	l.until("queued", func() bool { return srv.Stats().Queue.Len == 21 }) // with the accept event
	s := l.peerOf(srv, entity.Client(2))
	fault(s)
	l.until("reset queued", func() bool { return srv.Stats().Queue.Len == 22 })
	require.True(t, s.IsClosed())
	s.MarkDown()
	require.Zero(t, srv.Stats().Queue.Len)
	hold.open()
	require.NoError(t, a.SendTo(text("next"), entity.TypeOSD, srv.Addrs()))
	require.Equal(t, []string{"hold", "next"}, srv.wantMessages(2))
	require.Zero(t, srv.times("reset"))
	require.Equal(t, 1, srv.times("accept"))
	require.EqualValues(t, 20, srv.Stats().Discarded)
}
