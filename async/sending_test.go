package async

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// TestFlush of a messenger waits for all its connections, and says what one is waiting
// for; not for what is sent meanwhile.
func TestFlush(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	q, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	sendAll(t, q, 3, nil)
	_, bytes := q.SendQueue()
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
	require.NoError(t, cl.Loopback().Send(text("to myself")))
	require.NoError(t, cl.Flush(timeout(t)))
	require.Equal(t, []string{"to myself"}, cl.wantMessages(1))
	require.ErrorIs(t, c.Flush(ctx), context.DeadlineExceeded, "though nothing is held")
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

// TestAbsentPeer: the session of a client that never returns ends after a time, with a
// reset that says so.
func TestAbsentPeer(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.StandbyTimeout = 30 * time.Millisecond })
	cl := l.client(entity.Client(1), msg.LosslessClient())
	l.connect(cl, srv)
	l.peerOf(srv, entity.Client(1))
	require.NoError(t, cl.Shutdown(timeout(t)))
	h := srv.want("reset", 1)
	require.ErrorIs(t, h.err, msg.ErrPeerAbsent)
	require.ErrorContains(t, h.err, "30ms")
	require.Equal(t, msg.StateClosed, h.conn.State())
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

// TestSendReleased: what is not the sender's any more is not sent. The suite cannot ask
// that: others of its tests may have the message by then.
func TestSendReleased(t *testing.T) {
	l := newLab(t)
	c, err := l.client(entity.Client(1), msg.LosslessClient()).ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	released := msg.New(1, 10)
	released.Release()
	require.Panics(t, func() { _ = c.Send(released) })
}
