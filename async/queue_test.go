package async

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

func TestSendQueueBound(t *testing.T) {
	l := newLab(t)
	n := l.client(entity.Client(1), msg.LosslessClient(),
		func(c *Config) { c.SendQueueMessages = 10; c.SendQueueBytes = 1000 })
	c, err := n.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	sendAll(t, c, 10, nil)
	require.ErrorIs(t, c.Send(text("eleventh")), msg.ErrQueueFull)

	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 2)
	go func() { got <- c.SendContext(ctx, text("waits")) }()
	cancel()
	require.ErrorIs(t, <-got, context.Canceled)
	require.ErrorIs(t, c.SendContext(ctx, text("too late")), context.Canceled)

	// Two that wait are told of the end.
	for range 2 {
		go func() { got <- c.SendContext(context.Background(), text("waits")) }()
	}
	c.MarkDown()
	for range 2 {
		err = <-got
		require.ErrorIs(t, err, msg.ErrClosed)
		require.ErrorIs(t, err, msg.ErrMarkedDown)
	}

	// Bytes: an oversized message is let in alone.
	c, err = n.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.NoError(t, c.Send(&msg.Message{Data: make([]byte, 5000)}))
	require.ErrorIs(t, c.Send(text("x")), msg.ErrQueueFull)
	c.MarkDown()
	c, err = n.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.NoError(t, c.Send(&msg.Message{Data: make([]byte, 600)}))
	require.ErrorIs(t, c.Send(&msg.Message{Data: make([]byte, 401)}), msg.ErrQueueFull)
	require.NoError(t, c.Send(&msg.Message{Data: make([]byte, 400)}))
}

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

// TestNotices: acknowledged for lossless sessions, written for lossy ones.
func TestNotices(t *testing.T) {
	l := newLab(t)
	for _, p := range []struct{ server, client msg.Policy }{
		{msg.StatefulServer(), msg.LosslessClient()}, {msg.StatelessServer(), msg.LossyClient()},
	} {
		srv := l.server(entity.OSD(0), p.server)
		cl := l.client(entity.Client(1), p.client)
		e := &ends{l: l}
		c := l.connect(cl, srv)
		sendAll(t, c, 1000, e)
		for _, err := range e.want(1000) {
			require.NoError(t, err)
		}
		require.Equal(t, numbers(1000), srv.wantMessages(1000))
		l.until("counted", func() bool { return cl.Stats().Delivered == 1000 })
		require.Zero(t, cl.times("undeliverable"))
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

// TestFastDispatch: fast messages pass the queue, all messages are preprocessed.
func TestFastDispatch(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.DispatchWidth = 1 })
	hold := l.gate()
	var mu sync.Mutex
	var pre []string
	srv.preprocess = func(m *msg.Message) {
		mu.Lock()
		defer mu.Unlock()
		pre = append(pre, string(m.Front))
	}
	srv.canFast = func(m *msg.Message) bool { return m.Type == 2000 }
	srv.onMessage = func(m *msg.Message) { hold.pass() }
	srv.onFast = func(m *msg.Message) { _ = m.Connection().Send(text("re: %s", m.Front)) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	require.NoError(t, c.Send(text("slow 1")))
	hold.wantArrived(1)
	require.NoError(t, c.Send(text("slow 2")))
	m := text("fast")
	m.Type = 2000
	require.NoError(t, c.Send(m))
	require.Equal(t, []string{"re: fast"}, cl.wantMessages(1))
	hold.open()
	require.Equal(t, []string{"fast", "slow 1", "slow 2"}, srv.wantMessages(3))
	require.Equal(t, []string{"slow 1", "slow 2", "fast"}, pre)
	require.EqualValues(t, 1, srv.Stats().FastDispatched)
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
