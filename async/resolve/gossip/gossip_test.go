package gossip

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
)

// The shared stack and pool stay open for as long as the process.
func TestMain(m *testing.M) {
	_, _ = async.DefaultStack()
	_, _ = async.DefaultExecutor()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

type peer struct {
	m *async.Messenger
	r *Resolver
}

func (p peer) place() string { return p.m.Addrs().Msgr2().Place().String() }

func (p peer) where(n int64) string { return p.r.Current().Lookup(entity.OSD(n)).String() }

func start(t *testing.T, n int64) peer {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	m, err := async.New(async.Config{Name: entity.OSD(n), Logger: quiet})
	require.NoError(t, err)
	m.SetDefaultPolicy(msg.LosslessPeerReuse())
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	r, err := Open(m, Config{Logger: quiet, LeaveTimeout: 5 * time.Second, Memberlist: func(c *memberlist.Config) {
		c.GossipInterval, c.ProbeInterval = 20*time.Millisecond, 200*time.Millisecond
		c.ProbeTimeout = 150 * time.Millisecond
		c.PushPullInterval, c.SuspicionMult = time.Second, 2
		c.DeadNodeReclaimTime = 100 * time.Millisecond
	}})
	require.NoError(t, err)
	require.NoError(t, m.Start())
	return peer{m, r}
}

func (p peer) kill() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.m.Shutdown(ended)
	p.m.Wait()
}

func (p peer) end(t *testing.T) {
	require.NoError(t, p.r.Close())
	p.kill()
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, time.Minute, 10*time.Millisecond, what)
}

// TestGossip: three find each other by way of one; one leaves; one dies, comes back elsewhere,
// and is followed.
func TestGossip(t *testing.T) {
	peers := []peer{start(t, 0), start(t, 1), start(t, 2)}
	for _, p := range peers[1:] {
		eventually(t, "an answer", func() bool { n, err := p.r.Join(peers[0].place()); return n == 1 && err == nil })
	}
	for _, p := range peers {
		for i, o := range peers {
			eventually(t, "who is where", func() bool { return p.where(int64(i)) == o.m.Addrs().String() })
		}
	}
	f := resolve.NewFollower(peers[0].m, resolve.FollowConfig{Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, peers[0].r) }()
	c, err := f.Dial(ctx, entity.OSD(2))
	require.NoError(t, err)
	eventually(t, "connected", c.IsConnected)

	peers[1].end(t)
	eventually(t, "it has left", func() bool { return peers[0].r.Current().Lookup(entity.OSD(1)) == nil })

	was := peers[2].m.Addrs().String()
	peers[2].kill() // without a word
	_ = peers[2].r.list.Shutdown()
	eventually(t, "it is dead", func() bool { return peers[0].r.Current().Lookup(entity.OSD(2)) == nil })
	again := start(t, 2)
	require.NotEqual(t, was, again.m.Addrs().String())
	eventually(t, "an answer", func() bool { n, _ := again.r.Join(peers[0].place()); return n == 1 })
	eventually(t, "it is elsewhere", func() bool { return peers[0].where(2) == again.m.Addrs().String() })
	eventually(t, "it is followed", func() bool { return c.IsClosed() })
	now, err := f.Dial(ctx, entity.OSD(2))
	require.NoError(t, err)
	eventually(t, "connected again", now.IsConnected)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	again.end(t)
	peers[0].end(t)
}

func TestNotBound(t *testing.T) {
	m, err := async.New(async.Config{Name: entity.OSD(1), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = Open(m, Config{})
	require.ErrorContains(t, err, "not bound")
	require.NoError(t, m.Shutdown(t.Context()))
}
