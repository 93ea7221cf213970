package async

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// TestFlush returns when all that was sent before has had its end, good or bad, and does
// not wait for what comes after.
func TestFlush(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	require.NoError(t, c.Flush(t.Context()), "nothing is held")
	var ended sync.Map
	for i := range 500 {
		m := text("%d", i)
		m.Priority = uint8(64 + i%3)
		m.Notify = msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { ended.Store(i, true) })
		require.NoError(t, c.Send(m))
	}
	require.NoError(t, c.Flush(timeout(t)))
	for i := range 500 {
		_, ok := ended.Load(i)
		require.True(t, ok, "message %d has not had its end", i)
	}
	n, bytes := c.SendQueue()
	require.Zero(t, n)
	require.Zero(t, bytes)

	// A peer that does not answer.
	q, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	sendAll(t, q, 3, nil)
	n, bytes = q.SendQueue()
	require.Equal(t, 3, n)
	require.Positive(t, bytes)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err = q.Flush(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "3 messages")
	require.ErrorIs(t, cl.Flush(ctx), context.DeadlineExceeded)
	done := make(chan error, 1)
	go func() { done <- cl.Flush(timeout(t)) }()
	l.until("it waits", func() bool { return q.(*connection.Conn).Flushed() != nil })
	sendAll(t, c, 100, nil) // meanwhile
	q.MarkDown()
	require.NoError(t, <-done, "reported undeliverable is an end")

	// A loopback connection.
	require.NoError(t, cl.Loopback().Send(text("to myself")))
	require.NoError(t, cl.Loopback().Flush(timeout(t)))
	require.NoError(t, cl.Flush(timeout(t)))
	require.Equal(t, []string{"to myself"}, cl.wantMessages(1))

	ended2, cancel2 := context.WithCancel(t.Context())
	cancel2()
	require.ErrorIs(t, c.Flush(ended2), context.Canceled)
	//lint:ignore SA1012 that is what is tested
	require.Panics(t, func() { c.Flush(nil) })
}

// TestFlushes: several at once, each waits for what was sent before it.
func TestFlushes(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	var wg sync.WaitGroup
	errs := make(chan error, 400)
	for range 4 {
		wg.Go(func() {
			for range 100 {
				ended := false // written before Flush returns, or it waited for too little
				m := text("x")
				m.Notify = msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { ended = true })
				if err := c.Send(m); err != nil {
					errs <- err
				}
				if err := c.Flush(timeout(t)); err != nil {
					errs <- err
				} else if !ended {
					errs <- errors.New("not ended")
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	require.Equal(t, int64(400), srv.count.Load())
}

// TestDrain: what was sent arrives, though connections break meanwhile; nobody new comes
// in or goes out; and then everything ends.
func TestDrain(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.LosslessPeer())
	cl := l.server(entity.OSD(1), msg.LosslessPeer())
	late := l.client(entity.Client(2), msg.LosslessClient())
	c := l.connect(cl, srv)
	sendAll(t, c, 200, nil)
	c.(*connection.Conn).Fault(errors.New("the network is bad"))
	drained := make(chan error, 1)
	go func() { drained <- cl.Drain(timeout(t)) }()
	require.NoError(t, <-drained)
	l.until("all of it", func() bool { return srv.count.Load() == 200 })
	require.ErrorIs(t, c.Send(text("late")), msg.ErrClosed)

	// The other side of it: a messenger that waits turns others away, and not those
	// that it has.
	stuck, err := srv.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	sendAll(t, stuck, 1, nil)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { drained <- srv.Drain(ctx) }()
	l.until("it drains", srv.reg.Draining)
	_, err = srv.ConnectTo(entity.TypeOSD, silent(t))
	require.ErrorIs(t, err, msg.ErrShutdown)
	_, err = late.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("turned away", func() bool { return late.times("connect failed") > 0 }) // it tries again soon
	require.ErrorContains(t, late.events("connect failed")[0].err, "setting up the session")
	cancel()
	require.EqualError(t, <-drained, "msgr: 1 of 1 connections still hold messages that were sent: context canceled")
	srv.Wait()
	require.ErrorIs(t, srv.want("undeliverable", 1).err, msg.ErrShutdown)
	require.NoError(t, srv.Shutdown(timeout(t)))
}

// TestDrainAcknowledges: what was received is acknowledged before the end, though it is
// still in dispatch; or else a peer that drains too would wait for that for ever.
func TestDrainAcknowledges(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.AckDelay = time.Hour })
	hold := l.gate()
	cl.onMessage = func(*msg.Message) { hold.pass() }
	l.connect(cl, srv)
	back := srv.want("accept", 1).conn
	require.NoError(t, back.Send(text("answer")))
	hold.wantArrived(1)
	n, _ := back.SendQueue()
	require.Equal(t, 1, n, "not acknowledged yet")
	drained := make(chan error, 1)
	go func() { drained <- cl.Drain(timeout(t)) }()
	require.NoError(t, back.Flush(timeout(t)))
	hold.open()
	require.NoError(t, <-drained)
	require.NoError(t, srv.Drain(timeout(t)))
}

// TestCancelAndDeadline over real connections: what waits for a peer that is away.
func TestCancelAndDeadline(t *testing.T) {
	l := newLab(t)
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	ends := make(chan error, 10)
	send := func(deadline time.Time) *msg.Message {
		m := text("x")
		m.Deadline = deadline
		m.Notify = msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) { ends <- err })
		require.NoError(t, c.Send(m))
		return m
	}
	m := send(time.Time{})
	send(time.Time{})
	require.True(t, c.Cancel(m))
	require.ErrorIs(t, <-ends, msg.ErrCancelled)
	require.False(t, c.Cancel(m), "it is over")
	require.ErrorIs(t, cl.want("undeliverable", 1).err, msg.ErrCancelled)
	send(time.Now().Add(20 * time.Millisecond))
	require.ErrorIs(t, <-ends, msg.ErrDeadline)
	require.ErrorIs(t, c.Send(&msg.Message{Deadline: time.Now().Add(-time.Second)}), msg.ErrDeadline)
	l.until("one is left", func() bool { n, _ := c.SendQueue(); return n == 1 })

	// On the loopback connection too.
	require.ErrorIs(t, cl.Loopback().Send(&msg.Message{Deadline: time.Unix(1, 0)}), msg.ErrDeadline)
	require.False(t, cl.Loopback().Cancel(text("never sent")))
}

// TestOwnership: a message is sent once at a time, and is not released meanwhile.
func TestOwnership(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	d := l.connect(cl, srv)
	m := msg.New(1, 10)
	require.NoError(t, c.Send(m))
	for _, to := range []msg.Connection{c, d, cl.Loopback()} {
		require.ErrorIs(t, to.Send(m), msg.ErrInUse)
		require.ErrorIs(t, to.SendContext(t.Context(), m), msg.ErrInUse)
	}
	require.PanicsWithValue(t, "msg: Message of type 1 released while it is being sent", m.Release)
	for _, to := range []msg.Connection{c, cl.Loopback()} {
		require.Panics(t, func() { _ = to.Send(nil) })
		//lint:ignore SA1012 that is what is tested
		require.Panics(t, func() { _ = to.SendContext(nil, text("x")) })
	}
	c.MarkDown()
	cl.want("undeliverable", 1)

	// One that is not pooled can be sent again after its end, and one that was refused
	// at once.
	again := text("again")
	again.Priority = 127
	ended := make(chan error, 1)
	again.Notify = msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) { ended <- err })
	require.ErrorIs(t, c.Send(again), msg.ErrClosed)
	for range 3 {
		require.NoError(t, d.Send(again))
		require.NoError(t, <-ended)
	}
	require.Equal(t, []string{"again", "again", "again"}, srv.wantMessages(3))
	released := msg.New(1, 10)
	released.Release()
	require.Panics(t, func() { _ = d.Send(released) })
}

// TestSendPressure: the mark is told once on the way up and once on the way down.
func TestSendPressure(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.DispatchThrottleBytes = 1000 })
	var hold atomic.Pointer[gate]
	hold.Store(l.gate())
	srv.onMessage = func(*msg.Message) { hold.Load().pass() }
	cl := l.client(entity.Client(1), msg.LosslessClient(),
		func(c *Config) { c.SendQueueBytes, c.SendHighWater = 100_000, 10_000 })
	c := l.connect(cl, srv)
	for range 3 {
		for range 15 {
			require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 1000)}))
		}
		l.until("high", func() bool { return cl.times("high water") > cl.times("low water") })
		hold.Swap(l.gate()).open()
		l.until("low", func() bool {
			hold.Swap(l.gate()).open() // for those that have come since
			return cl.times("high water") == cl.times("low water")
		})
		l.until("flushed", func() bool {
			hold.Swap(l.gate()).open()
			n, _ := c.SendQueue()
			return n == 0
		})
	}
	hold.Swap(l.gate()).open()
	require.Equal(t, 3, cl.times("high water"))
	require.Equal(t, uint64(3), cl.Stats().HighWaters)
	// Never, if that is wanted.
	cl = l.client(entity.Client(2), msg.LosslessClient(), func(c *Config) { c.SendHighWater = -1 })
	c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 1<<20)}))
	c.MarkDown()
	cl.want("undeliverable", 1)
	require.Zero(t, cl.times("high water"))
}

// TestSendTotal: all connections of a messenger together hold no more than that, and who
// waits goes on when another one has room.
func TestSendTotal(t *testing.T) {
	l := newLab(t)
	const block = 100 << 10
	cl := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.SendTotalBytes = 300 << 10 })
	var conns []msg.Connection
	for range 4 {
		c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
		require.NoError(t, err)
		conns = append(conns, c)
	}
	send := func(c msg.Connection) error { return c.Send(&msg.Message{Type: 1, Data: make([]byte, block)}) }
	sent := 0
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 100)
		if err = send(conns[i%4]); err == nil {
			sent++
		}
	}
	require.ErrorIs(t, err, msg.ErrQueueFull)
	require.ErrorContains(t, err, "all connections together")
	require.LessOrEqual(t, cl.Stats().SendBytes, int64(300<<10))
	require.LessOrEqual(t, sent*block, 300<<10+4*connection.TotalFree)
	require.Greater(t, sent*block, 300<<10)
	for _, c := range conns { // what is small goes everywhere all the same
		require.NoError(t, conns[0].Send(text("small")), c)
	}
	waited := make(chan error, 1)
	go func() { waited <- conns[1].SendContext(timeout(t), &msg.Message{Type: 1, Data: make([]byte, block)}) }()
	conns[0].MarkDown()
	require.NoError(t, <-waited)
	for _, c := range conns {
		c.MarkDown()
	}
	l.until("all of it is given back", func() bool { return cl.Stats().SendBytes == 0 })
	// One that is larger than the bound is let in alone.
	c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 1<<20)}))
	require.ErrorIs(t, send(c), msg.ErrQueueFull)
}

// TestConnections iterates over what there is.
func TestConnections(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.Empty(t, slices.Collect(cl.Connections()))
	c := l.connect(cl, srv)
	d, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.Equal(t, []msg.Connection{c, d}, slices.Collect(cl.Connections()))
	for range cl.Connections() {
		break
	}
	c.MarkDown()
	require.Equal(t, []msg.Connection{d}, slices.Collect(cl.Connections()))
}

// TestAbsentPeers: sessions of clients that never return end after a time, or when there
// are too many of them, each with a reset that says so.
func TestAbsentPeers(t *testing.T) {
	l := newLab(t)
	gone := func(srv *node, n int64) {
		cl := l.client(entity.Client(n), msg.LosslessClient())
		l.connect(cl, srv)
		l.peerOf(srv, entity.Client(n))
		require.NoError(t, cl.Shutdown(timeout(t)))
	}
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.StandbyTimeout = 30 * time.Millisecond })
	gone(srv, 1)
	h := srv.want("reset", 1)
	require.ErrorIs(t, h.err, msg.ErrPeerAbsent)
	require.ErrorContains(t, h.err, "30ms")
	require.Equal(t, msg.StateClosed, h.conn.State())

	srv = l.server(entity.OSD(1), msg.StatefulServer(), func(c *Config) { c.StandbyMax = 2 })
	for n := range int64(4) {
		gone(srv, 10+n)
		l.until("noticed", func() bool {
			return srv.Stats().Absent == int(min(n+1, 2)) && srv.times("reset") == int(max(n-1, 0))
		})
	}
	h = srv.events("reset")[0]
	require.ErrorIs(t, h.err, msg.ErrPeerAbsent)
	require.Equal(t, entity.Client(10), h.conn.PeerName(), "who is away longest")
	// Who comes back does not count.
	keeps := l.client(entity.Client(20), msg.LosslessClient())
	c := l.connect(keeps, srv)
	for range 3 {
		c.(*connection.Conn).Fault(errors.New("away for a moment"))
		require.NoError(t, c.Send(text("back")))
		require.NoError(t, c.Flush(timeout(t)))
	}
	require.False(t, l.peerOf(srv, entity.Client(20)).IsClosed())
}

// TestConfigIsChecked: what makes no sense is refused with its name.
func TestConfigIsChecked(t *testing.T) {
	for field, cfg := range map[string]Config{
		"InitialBackoff":    {InitialBackoff: -1},
		"MaxBackoff":        {MaxBackoff: -time.Second},
		"ReadyTimeout":      {ReadyTimeout: -1},
		"KeepaliveInterval": {KeepaliveInterval: -1},
		"DialTimeout":       {DialTimeout: -1},
		"BindRetryDelay":    {BindRetryDelay: -1},
		"DispatchWidth":     {DispatchWidth: -1},
		"DispatchWidthMax":  {DispatchWidth: 8, DispatchWidthMax: 4},
		"SendQueueMessages": {SendQueueMessages: -1},
		"SendQueueBytes":    {SendQueueBytes: -1},
		"HandshakesMax":     {HandshakesMax: -1},
		"ListenBacklog":     {ListenBacklog: -1},
		"WriteBatch":        {WriteBatch: -1},
		"WriteBudget":       {WriteBudget: -1},
		"BindPortMax":       {BindPortMin: 7000, BindPortMax: 6000},
		"Advertise[0]":      {Advertise: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1")}},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, "async: Config."+field)
	}
	l := newLab(t)
	m, err := New(Config{Stack: l.stack, Executor: l.pool, IdleTimeout: -1, KeepaliveTimeout: -1, AckDelay: -1,
		FastDispatchLimit: -1, DispatchLimit: -1, BindRetries: -1, DispatchThrottleBytes: -1, SendTotalBytes: -1,
		SendHighWater: -1, StandbyTimeout: -1, StandbyMax: -1, RejectAfter: -1})
	require.NoError(t, err)
	require.NoError(t, m.Shutdown(timeout(t)))
}
