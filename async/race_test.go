package async

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestConnectionRace: Ceph's ConnectionRaceTest. Both sides connect at once: one
// session results, nothing is lost, both keep their Connection.
func TestConnectionRace(t *testing.T) {
	for _, p := range []struct {
		name   string
		policy msg.Policy
	}{{"peer", msg.LosslessPeer()}, {"peer reuse", msg.LosslessPeerReuse()}} {
		t.Run(p.name, func(t *testing.T) {
			for range 40 {
				t.Run("", func(t *testing.T) { connectionRace(t, p.policy) })
			}
		})
	}
}

func connectionRace(t *testing.T, p msg.Policy) {
	l := newLab(t)
	a, b := l.server(entity.OSD(0), p), l.server(entity.OSD(1), p)
	var ab, ba msg.Connection
	start := make(chan struct{})
	var wg sync.WaitGroup
	connect := func(from, to *node, c *msg.Connection) {
		wg.Go(func() {
			<-start
			var err error
			if *c, err = from.ConnectTo(entity.TypeOSD, to.Addrs()); err != nil {
				t.Error(err)
				return
			}
			for i := range 5 {
				if err := (*c).Send(text("%d", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	connect(a, b, &ab)
	connect(b, a, &ba)
	close(start)
	wg.Wait()
	require.Equal(t, numbers(5), a.wantMessages(5))
	require.Equal(t, numbers(5), b.wantMessages(5))
	l.until("both connected", func() bool { return ab.IsConnected() && ba.IsConnected() })
	l.until("one connection each", func() bool { return a.Stats().Connections == 1 && b.Stats().Connections == 1 })
	require.Same(t, ab, a.Lookup(b.Addrs()))
	require.Same(t, ba, b.Lookup(a.Addrs()))
	for _, n := range []*node{a, b} {
		require.Zero(t, n.times("reset")+n.times("remote reset")+n.times("undeliverable"))
		for _, h := range n.events() {
			require.True(t, h.conn == ab || h.conn == ba, "%s of a connection nobody asked for", h.what)
		}
	}
}

// TestReconnectRace: both sides lose the connection and both have something to
// say; the session goes on, and both keep their Connection.
func TestReconnectRace(t *testing.T) {
	l := newLab(t)
	a, b := l.server(entity.OSD(0), msg.LosslessPeerReuse()), l.server(entity.OSD(1), msg.LosslessPeerReuse())
	ab := l.connect(a, b)
	ba := l.peerOf(b, entity.OSD(0))
	const rounds = 60
	for i := range rounds {
		fault(ab)
		fault(ba)
		require.NoError(t, ab.Send(text("%d", i)))
		require.NoError(t, ba.Send(text("%d", i)))
		if i%3 == 0 {
			l.until("settled", func() bool { return a.count.Load() == int64(i+1) && b.count.Load() == int64(i+1) })
		}
	}
	require.Equal(t, numbers(rounds), a.wantMessages(rounds))
	require.Equal(t, numbers(rounds), b.wantMessages(rounds))
	for _, n := range []*node{a, b} {
		require.Zero(t, n.times("reset")+n.times("remote reset"))
		l.until("one connection", func() bool { return n.Stats().Connections == 1 })
	}
}

// TestMarkdown: Ceph's MarkdownTest. Dispatchers mark down each other's
// connections under a lock they share; nobody gets stuck.
func TestMarkdown(t *testing.T) {
	l := newLab(t)
	var lock sync.Mutex
	var nodes []*node
	down := func(m *msg.Message) {
		lock.Lock()
		defer lock.Unlock()
		for _, n := range nodes {
			for _, o := range nodes {
				if n != o && string(m.Front) == "down" {
					n.Messenger.MarkDown(o.Addrs())
				}
			}
		}
	}
	const rounds = 300
	for i := range 3 {
		n := l.node(entity.OSD(int64(i)), msg.LosslessPeerReuse())
		n.onMessage = down
		n.forget = true
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		require.NoError(t, n.Bind(local))
	}
	for _, n := range nodes {
		require.NoError(t, n.Start())
	}
	var ended, accepted atomic.Int64
	count := msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { ended.Add(1); l.notify() })
	for i := range rounds {
		for _, n := range nodes {
			for _, o := range nodes {
				if n == o {
					continue
				}
				m := text("ping")
				if i%5 == 0 {
					m = text("down")
				}
				m.Notify = count
				if n.SendTo(m, entity.TypeOSD, o.Addrs()) == nil {
					accepted.Add(1)
				}
			}
		}
		if i%10 == 0 {
			// Progress: everything sent so far has come to an end.
			l.until(fmt.Sprintf("round %d", i), func() bool { return ended.Load() == accepted.Load() })
		}
	}
	l.until("all", func() bool { return ended.Load() == accepted.Load() })
}
