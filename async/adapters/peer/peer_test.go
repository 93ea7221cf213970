package peer

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// What all messengers share stays: netpoll's pollers, workers, and goroutines of ants.
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack.(*worker).serve.func1"),
		goleak.IgnoreAnyFunction("github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack.(*worker).turns"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

func messenger(t *testing.T, id int64, at string, p msg.Policy) *async.Messenger {
	t.Helper()
	m, err := async.New(async.Config{
		Name: entity.OSD(id), Logger: slog.New(slog.DiscardHandler), InitialBackoff: time.Hour, MaxBackoff: time.Hour,
	})
	require.NoError(t, err)
	m.SetPolicy(entity.TypeOSD, p)
	if at != "" {
		require.NoError(t, m.Bind(netip.MustParseAddrPort(at)))
	}
	require.NoError(t, m.Start())
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}

func peers(t *testing.T, id int64, at string) (*Peers, *async.Messenger) {
	t.Helper()
	m := messenger(t, id, at, msg.LosslessPeerReuse())
	p, err := New(m, 0, nil)
	require.NoError(t, err)
	return p, m
}

const here = "127.0.0.1:0"

// echo serves a service until its listener is closed.
func echo(t *testing.T, p *Peers) {
	ln, err := p.Listen("echo")
	require.NoError(t, err)
	require.Equal(t, p.Addr(), ln.Addr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
}

func say(c net.Conn, text string) (string, error) {
	if _, err := c.Write([]byte(text)); err != nil {
		return "", err
	}
	b := make([]byte, len(text))
	_, err := io.ReadFull(c, b)
	return string(b), err
}

// TestGoesAndComesBack: what was dialled ends when the peer cannot be reached any more,
// dialling fails at once then, and finds the peer as soon as it is back, though the
// messenger would wait for an hour.
func TestGoesAndComesBack(t *testing.T) {
	a, _ := peers(t, 1, here)
	b, bm := peers(t, 2, here)
	echo(t, b)
	at := b.Addr().String()
	c, err := a.DialTimeout(at, "echo", time.Minute)
	require.NoError(t, err)
	defer c.Close()
	got, err := say(c, "hello")
	require.NoError(t, err)
	require.Equal(t, "hello", got)

	require.NoError(t, bm.Shutdown(context.Background()))
	require.Eventually(t, func() bool {
		_, err = c.Write([]byte("x"))
		return err != nil
	}, time.Minute, time.Millisecond)
	require.ErrorContains(t, err, "connection refused")
	var failed *msg.ConnectError
	for range 3 {
		_, err = a.DialTimeout(at, "echo", time.Minute)
		require.ErrorAs(t, err, &failed)
		require.Equal(t, msg.ReasonRefused, failed.Reason)
	}

	b, _ = peers(t, 2, at)
	echo(t, b)
	var back net.Conn
	require.Eventually(t, func() bool { // the first attempt may still be that of before
		back, err = a.DialTimeout(at, "echo", time.Minute)
		return err == nil
	}, time.Minute, time.Millisecond)
	got, err = say(back, "again")
	require.NoError(t, err)
	require.Equal(t, "again", got)
	require.NoError(t, back.Close())
	a.mu.Lock()
	defer a.mu.Unlock()
	require.LessOrEqual(t, len(a.waits), 1, "what is done waits for nothing")
}

// TestPlaces: names are looked up; what is none is an error, as is a service that nobody
// has and a context that has ended.
func TestPlaces(t *testing.T) {
	a, am := peers(t, 1, here)
	b, _ := peers(t, 2, here)
	echo(t, b)
	_, port, err := net.SplitHostPort(b.Addr().String())
	require.NoError(t, err)
	c, err := a.DialTimeout("localhost:"+port, "echo", time.Minute)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	for _, bad := range []string{"", "here", "localhost:", "localhost:none", "1.2.3.4"} {
		_, err := a.DialTimeout(bad, "echo", time.Minute)
		require.Error(t, err, bad)
	}
	_, err = a.DialTimeout(b.Addr().String(), "nobody's", time.Minute)
	require.ErrorIs(t, err, stream.ErrNoService)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.Dial(ctx, b.Addr().String(), "echo", 0)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, am.Shutdown(context.Background()))
	_, err = a.DialTimeout(b.Addr().String(), "echo", time.Minute)
	require.ErrorIs(t, err, msg.ErrShutdown)
}

// TestNew: a messenger that never calls, or cannot be called, is refused.
func TestNew(t *testing.T) {
	_, err := New(messenger(t, 1, here, msg.StatefulServer()), 0, nil)
	require.ErrorContains(t, err, "never calls")
	_, err = New(messenger(t, 1, "", msg.LosslessPeerReuse()), 0, nil)
	require.ErrorContains(t, err, "not bound")
}
