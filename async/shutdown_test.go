package async

import (
	"context"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

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
