package async

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// TestShutdownUnderLoad: everything accepted is accounted for, and no callback
// runs after Shutdown has returned.
func TestShutdownUnderLoad(t *testing.T) {
	for range 3 {
		t.Run("", shutdownUnderLoad)
	}
}

func shutdownUnderLoad(t *testing.T) {
	l := newLab(t)
	a, b := l.node(entity.OSD(0), msg.LosslessPeer()), l.node(entity.OSD(1), msg.LosslessPeer())
	var over [2]atomic.Bool
	var after atomic.Int32
	for i, n := range []*node{a, b} {
		n.forget = true
		check := func() {
			if over[i].Load() {
				after.Add(1)
			}
		}
		n.onMessage = func(*msg.Message) { check() }
		n.onEvent = func(string, msg.Connection) { check() }
		require.NoError(t, n.Bind(local))
		require.NoError(t, n.Start())
	}
	var notices, accepted atomic.Int64
	count := msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { notices.Add(1) })
	var wg sync.WaitGroup
	for g := range 4 {
		from, to := a, b
		if g%2 == 1 {
			from, to = b, a
		}
		wg.Go(func() {
			for {
				m := text("x")
				m.Notify = count
				err := from.SendTo(m, entity.TypeOSD, to.Addrs())
				if err == nil {
					accepted.Add(1)
				} else if errors.Is(err, msg.ErrShutdown) {
					return
				}
			}
		})
	}
	l.until("traffic", func() bool { return a.count.Load() > 1000 && b.count.Load() > 1000 })
	var closers sync.WaitGroup
	for i, n := range []*node{a, b} {
		for range 2 {
			closers.Go(func() {
				if err := n.Shutdown(timeout(t)); err != nil {
					t.Error(err)
				}
				over[i].Store(true)
			})
		}
		closers.Go(n.Wait)
	}
	closers.Wait()
	wg.Wait()
	require.Equal(t, accepted.Load(), notices.Load())
	for _, n := range []*node{a, b} {
		s := n.Stats()
		require.Equal(t, s.Received, uint64(n.count.Load())+s.Discarded, "%+v", s)
	}
	require.Zero(t, after.Load(), "callbacks after Shutdown")
}

func TestShutdownFromDispatcher(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	got := make(chan error, 1)
	srv.onMessage = func(*msg.Message) { got <- srv.Shutdown(context.Background()) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.NoError(t, cl.SendTo(text("stop"), entity.TypeOSD, srv.Addrs()))
	require.ErrorIs(t, <-got, dispatch.ErrInDispatch)
	require.NoError(t, srv.Shutdown(timeout(t)))
	srv.Wait()
}

// TestShutdownTimeout: a dispatcher that blocks keeps Shutdown waiting as long as
// its context lasts; another call waits on.
func TestShutdownTimeout(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	hold := l.gate()
	srv.onMessage = func(*msg.Message) { hold.pass() }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	sendAll(t, c, 10, nil)
	hold.wantArrived(1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, srv.Shutdown(ctx), context.Canceled)
	require.ErrorIs(t, srv.Shutdown(ctx), context.Canceled)
	waited := make(chan struct{})
	go func() { srv.Wait(); close(waited) }()
	second := make(chan error, 1)
	go func() { second <- srv.Shutdown(timeout(t)) }()
	select {
	case <-waited:
		t.Fatal("Wait returned while a dispatcher runs")
	case err := <-second:
		t.Fatalf("Shutdown returned while a dispatcher runs: %v", err)
	default:
	}
	hold.open()
	require.NoError(t, <-second)
	<-waited
	require.EqualValues(t, 1, srv.count.Load())
	s := srv.Stats()
	require.Equal(t, s.Received, 1+s.Discarded)
}
