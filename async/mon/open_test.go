package mon

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// asked is a fakeMon that tells of commands, and does not answer those that are "wait".
type asked struct {
	fakeMon
	told chan struct{}
}

func (a *asked) Dispatch(m *msg.Message) bool {
	if _, words, err := wire.ParseCommand(m.Front); m.Type == msg.TypeMonCommand && err == nil && words[0] == "wait" {
		a.told <- struct{}{}
		return true
	}
	return a.fakeMon.Dispatch(m)
}

// TestOpen: a client with a messenger of its own, over loopback: what blocks, and what does not
// wait for ever.
func TestOpen(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := async.New(async.Config{Name: entity.Mon(0), FixedNonce: true})
	require.NoError(t, err)
	server.SetDefaultPolicy(msg.StatelessServer())
	cluster := &fakeCluster{monMap: wire.MonMap{FSID: wire.UUID{1}, Epoch: 1}, epoch: 4}
	fake := &asked{fakeMon{c: cluster, subs: map[msg.Connection]uint64{}}, make(chan struct{}, 1)}
	server.AddDispatcherHead(fake)
	require.NoError(t, server.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	cluster.monMap.Mons = []wire.MonInfo{{Name: "a", Addrs: server.Addrs()}}
	require.NoError(t, server.Start())

	admin := entity.AuthName{Type: entity.TypeClient, ID: "admin"}
	cfg := Config{Mons: []entity.AddrVec{server.Addrs()}, OSDMap: true}
	_, err = Open(Config{}, Login{Name: admin})
	require.ErrorContains(t, err, "Config.Mons is empty")
	_, err = Open(Config{Mons: []entity.AddrVec{server.Addrs(), nil}}, Login{Name: admin})
	require.ErrorContains(t, err, "Config.Mons[1] is -, without an address of msgr v2")
	_, err = Open(cfg, Login{})
	require.ErrorContains(t, err, "Login.Name")
	_, err = Open(Config{Mons: cfg.Mons, PauseMin: time.Hour}, Login{Name: admin})
	require.ErrorContains(t, err, "PauseMax is 15s, less than PauseMin 1h0m0s")

	c, err := Open(cfg, Login{Name: admin, Modes: []uint32{auth.ModeCRC}})
	require.NoError(t, err)
	a, err := c.Command(ctx, "hello", []byte(" there"))
	require.NoError(t, err)
	require.Equal(t, Answer{Status: "done", Output: []byte("hello there")}, a)
	require.NoError(t, c.Ready(ctx))
	maps, err := c.WaitOSDMap(ctx, 4)
	require.NoError(t, err)
	require.EqualValues(t, 4, maps.Epoch())
	v, err := c.GetVersion(ctx, "osdmap")
	require.NoError(t, err)
	require.Equal(t, Version{Newest: 4, Oldest: 1}, v)

	// A context that ends takes the question back.
	reason := errors.New("enough")
	waiting, stop := context.WithCancelCause(ctx)
	go func() { <-fake.told; stop(reason) }()
	_, err = c.Command(waiting, "wait", nil)
	require.ErrorIs(t, err, reason)
	_, err = c.Command(ctx, "another", nil) // behind it on the worker
	require.NoError(t, err)
	require.Zero(t, c.asked.Load())

	// What blocks is refused where it would wait for itself.
	onWorker := make(chan error, 1)
	require.NoError(t, c.Go("x", nil, func(Answer, error) {
		_, err := c.Command(ctx, "y", nil)
		onWorker <- errors.Join(err, c.Ready(ctx))
	}))
	require.ErrorIs(t, <-onWorker, msg.ErrOnWorker)

	// Close ends who waits.
	ended := make(chan error, 1)
	go func() {
		_, err := c.Command(ctx, "wait", nil)
		ended <- err
	}()
	<-fake.told
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-ended, ErrClosed)
	require.NoError(t, server.Shutdown(ctx))
}

// TestTheMessengerIsShutDown by somebody else: then the client is closed.
func TestTheMessengerIsShutDown(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nobody := entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}}
	c, err := Open(Config{Mons: []entity.AddrVec{nobody}, PauseMin: time.Millisecond, PauseMax: time.Millisecond},
		Login{Name: entity.AuthName{Type: entity.TypeClient, ID: "admin"}})
	require.NoError(t, err)
	require.NoError(t, c.Messenger().Shutdown(ctx))
	_, err = c.Command(ctx, "x", nil)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, c.Close())
}

// TestNobodyThere: a wait that ends says what went wrong on the way to the monitors.
func TestNobodyThere(t *testing.T) {
	s := newSim(t, 7, Config{}, false, nil)
	for i := range mons {
		s.Kill(i)
	}
	s.Run(time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.c.Ready(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "mon: waited for a session with a monitor: "+
		"context canceled; the last failure: v2:10.0.0.")
}
