package sessiontest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
	"github.com/stretchr/testify/require"
)

// Async is the kind of package async, with two workers on netpoll for each messenger.
func Async() Kind { return Kind{Name: "async", New: newAsync, Lends: true} }

type asyncMessenger struct{ *async.Messenger }

func newAsync(t testing.TB, o Options) Messenger {
	t.Helper()
	stack, err := netpollstack.Open(netpollstack.Config{Workers: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stack.Close()) })
	pool, err := dispatch.NewAntsPool(dispatch.AntsConfig{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, pool.Release(ctx))
	})
	cfg := async.Config{
		Name: o.Name, Nonce: o.Nonce, Stack: stack, Executor: pool, DispatchWidth: 1,
		DispatchThrottleBytes: o.DispatchThrottleBytes, SendQueueMessages: o.SendQueueMessages,
		SendTotalBytes: o.SendTotalBytes, SendHighWater: o.SendHighWater, StandbyMax: o.StandbyMax,
		HandshakesMax: o.HandshakesMax, ReadyTimeout: o.ReadyTimeout, IdleTimeout: o.IdleTimeout,
		KeepaliveInterval: o.KeepaliveInterval, KeepaliveTimeout: o.KeepaliveTimeout,
		InitialBackoff: o.InitialBackoff, MaxBackoff: o.MaxBackoff,
		BindRetries: 5, BindRetryDelay: 100 * time.Millisecond,
		SendQueueBytes: o.SendQueueBytes, Limits: o.Limits, FastDispatchLimit: -1,
		AuthClient: o.AuthClient, AuthServer: o.AuthServer, Authorize: o.Authorize,
	}
	if o.Via != nil {
		cfg.Stack = forward.Stack(stack, func(w eventloop.Worker) eventloop.Worker { return &viaWorker{w, o.Via} })
	}
	m, err := async.New(cfg)
	require.NoError(t, err)
	return asyncMessenger{m}
}

// Count implements Messenger.
func (m asyncMessenger) Count() Counts {
	s := m.Stats()
	return Counts{
		Received: s.Received, Delivered: s.Delivered, Undeliverable: s.Undeliverable, Discarded: s.Discarded,
		Connected: s.Connected, Accepted: s.Accepted, Faults: s.Faults,
		Resets: s.Resets, RemoteResets: s.RemoteResets, Refused: s.Refused,
		ThrottleWaits: s.ThrottleWaits, ConnThrottleWaits: s.ConnThrottleWaits,
		Replayed: s.Replayed, Lent: s.Lent, FastDispatched: s.FastDispatched,
		Panics: s.Panics, TurnedAway: s.TurnedAway, HighWaters: s.HighWaters, SendBytes: s.SendBytes,
		Connections: s.Connections, Handshakes: s.Handshakes, Queued: s.Queue.Len, DispatchBytes: s.DispatchBytes,
	}
}

// viaWorker dials proxies instead of peers.
type viaWorker struct {
	eventloop.Worker
	via func(netip.AddrPort) netip.AddrPort
}

// Dial implements eventloop.Worker.
func (w *viaWorker) Dial(remote netip.AddrPort, cfg eventloop.DialConfig, h eventloop.Handler) eventloop.Transport {
	return w.Worker.Dial(w.via(remote), cfg, h)
}
