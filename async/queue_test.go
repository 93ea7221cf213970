package async

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestSendContextWaitsForRoom: many senders through a queue of three.
func TestSendContextWaitsForRoom(t *testing.T) {
	l := newLab(t)
	for _, to := range []string{"peer", "loopback"} {
		srv := l.node(entity.OSD(0), msg.StatefulServer())
		srv.forget = true
		require.NoError(t, srv.Bind(local))
		require.NoError(t, srv.Start())
		cl := l.node(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.SendQueueMessages = 3 })
		cl.forget = true
		require.NoError(t, cl.Start())
		c, receiver := cl.Loopback(), cl
		if to == "peer" {
			c, receiver = l.connect(cl, srv), srv
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 100 {
					if err := c.SendContext(timeout(t), text("%d.%d", g, i)); err != nil {
						t.Errorf("%s: %v", to, err)
					}
				}
			})
		}
		wg.Wait()
		l.until("all", func() bool { return receiver.count.Load() == 800 })
		for { // room again
			if err := c.Send(text("last")); err == nil {
				break
			}
		}
		l.until("last", func() bool { return receiver.count.Load() == 801 })
	}
}

// TestOrderAndWidth: per connection and priority, with any width, over several
// connections and workers.
func TestOrderAndWidth(t *testing.T) {
	for _, width := range []int{1, 4, 16} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			l := newLab(t)
			srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.DispatchWidth = width })
			const conns, each = 8, 400
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			prios := []uint8{1, 63, 64, 127, 196, 255}
			var wg sync.WaitGroup
			for i := range conns {
				cl := l.client(entity.Client(int64(i)), msg.LosslessClient())
				rnd := rand.New(rand.NewPCG(seed, uint64(i)))
				wg.Go(func() {
					for k := range each {
						m := text("%d", k)
						m.Priority = prios[rnd.IntN(len(prios))]
						m.TID = uint64(i)
						if err := cl.SendTo(m, entity.TypeOSD, srv.Addrs()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			srv.wantMessages(conns * each)
			type class struct {
				conn uint64
				prio uint8
			}
			last := map[class]int{}
			for _, h := range srv.events("message") {
				var k int
				_, err := fmt.Sscan(h.text, &k)
				require.NoError(t, err)
				cl := class{h.m.TID, h.m.Priority}
				if before, ok := last[cl]; ok {
					require.Greater(t, k, before, "%v", cl)
				}
				last[cl] = k
			}
		})
	}
}

// TestPooledMessages: buffers go round without being seen by two owners; they are
// poisoned when given back.
func TestPooledMessages(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	srv.handsOn = true
	srv.onMessage = func(m *msg.Message) {
		m.ReleaseAfterSend()
		if err := m.Connection().Send(m); err != nil {
			t.Error(err)
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.node(entity.Client(1), msg.LosslessClient())
	cl.handsOn = true
	cl.onMessage = func(m *msg.Message) {
		want := pattern(int(m.TID), len(m.Front))
		if string(want) != string(m.Front) {
			t.Errorf("message %d of %d bytes changed", m.TID, len(m.Front))
		}
		m.Release()
	}
	require.NoError(t, cl.Start())
	c := l.connect(cl, srv)
	const n = 2000
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		size := rnd.IntN(300)
		if i%50 == 0 {
			size = rnd.IntN(200 << 10)
			fault(c)
		}
		m := msg.New(1000, size)
		m.TID = uint64(i)
		copy(m.Front, pattern(i, size))
		require.NoError(t, c.SendContext(timeout(t), m))
	}
	l.until("echoes", func() bool { return cl.count.Load() == n })
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

// TestUnboundedDispatch: without any throttle, through reconnections.
func TestUnboundedDispatch(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.DispatchThrottleBytes = -1 })
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	for i := range 200 {
		if i%20 == 0 {
			fault(c)
		}
		require.NoError(t, c.Send(text("%d", i)))
	}
	require.Equal(t, numbers(200), srv.wantMessages(200))
	require.Zero(t, srv.Stats().DispatchBytes)
}
