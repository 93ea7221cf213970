package bubble_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// upper starts two messengers, with what stands on each, made before Start.
func upper[T any](t *testing.T, w *bubble.World, on func(*async.Messenger) (T, error)) (c msg.Connection, tops [2]T) {
	t.Helper()
	var all [2]*async.Messenger
	for i, name := range []string{"a", "b"} {
		h := w.Host(name, simnet.HostConfig{})
		m, err := async.New(async.Config{Name: entity.OSD(int64(i)), Stack: h, Executor: h, Rand: h.Rand,
			Nonce: uint32(i + 1), Logger: h.Logger()})
		require.NoError(t, err)
		m.SetDefaultPolicy(msg.LosslessPeerReuse())
		tops[i], err = on(m)
		require.NoError(t, err)
		require.NoError(t, m.Bind(netip.AddrPortFrom(h.Addr(), port)))
		require.NoError(t, m.Start())
		t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
		all[i] = m
	}
	c, err := all[0].ConnectTo(entity.TypeOSD, all[1].Addrs())
	require.NoError(t, err)
	return c, tops
}

func mux(m *async.Messenger) (*stream.Mux, error) { return stream.New(m, stream.Options{}) }

// echoed sends a mebibyte through a blocking stream and back, over cuts.
func echoed(t *testing.T, w *bubble.World) {
	conn, x := upper(t, w, mux)
	l, err := x[1].Listen("echo")
	require.NoError(t, err)
	w.Go(func(context.Context) {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	})
	sent := bytes.Repeat([]byte("sixteen octets. "), 1<<16)
	c, err := x[0].Dial(t.Context(), conn, "echo")
	require.NoError(t, err)
	w.Go(func(context.Context) {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	})
	for i := range 3 {
		time.AfterFunc(time.Duration(1+2*i)*time.Millisecond, func() {
			w.Do(func() {
				for _, c := range w.Net.Conns() {
					c.Kill()
				}
			})
		})
	}
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, got))
	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
}

// TestStreams: blocking reads and writes, over connections that break, and deadlines by
// package time.
func TestStreams(t *testing.T) {
	bubble.Test(t, 1, simnet.Config{}, echoed)
	bubble.Test(t, 2, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		conn, x := upper(t, w, mux)
		l, err := x[1].Listen("quiet")
		require.NoError(t, err)
		c, err := x[0].Dial(t.Context(), conn, "quiet")
		require.NoError(t, err)
		begin := time.Now()
		require.NoError(t, c.SetReadDeadline(begin.Add(time.Hour)))
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.InDelta(t, time.Hour, time.Since(begin), float64(time.Millisecond))
		require.NoError(t, c.Close())
		require.NoError(t, l.Close())
	})
}

// TestCalls: calls whose handlers take their time, and one that takes too long.
func TestCalls(t *testing.T) {
	bubble.Test(t, 3, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		conn, n := upper(t, w, func(m *async.Messenger) (*rpc.Node, error) {
			n, err := rpc.New(m, rpc.Options{})
			if err != nil {
				return nil, err
			}
			return n, n.HandleRaw(0x7001, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
				select {
				case <-time.After(time.Duration(r.Body[0]) * time.Second):
					return bytes.Clone(r.Body), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}, rpc.Concurrent(3))
		})
		answers := make(chan byte, 3)
		for _, s := range []byte{3, 1, 2} {
			w.Go(func(ctx context.Context) {
				r, err := n[0].Call(ctx, conn, 0x7001, []byte{s})
				if err != nil {
					t.Errorf("call: %v", err)
					answers <- 0
					return
				}
				answers <- r[0]
			})
		}
		for _, s := range []byte{1, 2, 3} {
			require.Equal(t, s, <-answers)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := w.Now()
		_, err := n[0].Call(ctx, conn, 0x7001, []byte{200})
		require.True(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
		require.InDelta(t, time.Minute, w.Now()-begin, float64(time.Second))
	})
}
