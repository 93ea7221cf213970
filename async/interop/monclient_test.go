//go:build linux

package interop

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

// openMon is a client of real monitors, client.admin; with a keyring, "" for none, that logs in.
func openMon(t *testing.T, cfg mon.Config, keyring string, mons ...netip.AddrPort) *mon.Client {
	t.Helper()
	return openMonWith(t, cfg, keyring, func(*mon.Login) {}, mons...)
}

func openMonWith(
	t *testing.T, cfg mon.Config, keyring string, change func(*mon.Login), mons ...netip.AddrPort,
) *mon.Client {
	t.Helper()
	for _, a := range mons {
		cfg.Mons = append(cfg.Mons, peerOf(a))
	}
	login := mon.Login{Name: admin}
	if keyring != "" {
		ring, err := cephx.ReadKeyring(strings.NewReader(keyring))
		require.NoError(t, err)
		login.Key, err = ring.Find(admin)
		require.NoError(t, err)
	}
	stack, err := netpollstack.Open(netpollstack.Config{Workers: 2})
	require.NoError(t, err)
	pool, err := dispatch.NewAntsPool(dispatch.AntsConfig{})
	require.NoError(t, err)
	login.Messenger.Stack, login.Messenger.Executor = stack, pool
	login.Messenger.Logger = slog.New(slog.DiscardHandler)
	change(&login)
	c, err := mon.Open(cfg, login)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, stack.Close())
		require.NoError(t, pool.Release(context.Background()))
	})
	return c
}

// TestMonClient: what a client asks of a real monitor, while the first one of its list is dead:
// maps, versions, commands, and 1 MiB of input and of output; and that a wrong key is said.
func TestMonClient(t *testing.T) {
	o := Cephx(t, "secure")
	o.Legacy = true
	o.Global += "mon_config_key_max_entry_size = 2097152\n"
	real := StartMon(t, o)
	t.Run("refused", func(t *testing.T) { monRefuses(t, real) })
	c := openMon(t, mon.Config{OSDMap: true}, CephxKeyring(t), FreeAddr(t), real.Addr)
	ctx := testContext(t, patience)
	require.NoError(t, c.Ready(ctx))
	require.Equal(t, FSID, c.MonMap().FSID.String())
	both := append(peerOf(real.Addr), entity.Addr{Type: entity.AddrLegacy, AddrPort: real.Legacy})
	require.Equal(t, both, c.MonMap().Mons[0].Addrs)
	maps, err := c.WaitOSDMap(ctx, 1)
	require.NoError(t, err)
	require.NotEmpty(t, maps.Full.Bytes)
	v, err := c.GetVersion(ctx, "osdmap")
	require.NoError(t, err)
	require.Equal(t, uint64(maps.Epoch()), v.Newest)

	a, err := c.Command(ctx, `{"prefix":"mon dump","format":"json"}`, nil)
	require.NoError(t, err)
	require.Contains(t, string(a.Output), FSID)
	value := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	_, err = c.Command(ctx, `{"prefix":"config-key set","key":"interop"}`, value)
	require.NoError(t, err)
	a, err = c.Command(ctx, `{"prefix":"config-key get","key":"interop"}`, nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(value, a.Output), "%d bytes", len(a.Output))
	_, err = c.Command(ctx, `{"prefix":"config-key get","key":"absent"}`, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = c.Command(ctx, `{"prefix":"no such command"}`, nil)
	var refused *mon.CommandError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 22, refused.Errno)

	// A map of the next epoch comes by itself.
	before := c.OSDMap().Epoch()
	_, err = c.Command(ctx, `{"prefix":"osd pool create","pool":"p","pg_num":1}`, nil)
	require.NoError(t, err)
	maps, err = c.WaitOSDMap(ctx, before+1)
	require.NoError(t, err)
	require.NotEmpty(t, maps.Incremental)
}

// monRefuses: a wrong key is said at once, and to whoever asks.
func monRefuses(t *testing.T, real *Mon) {
	c := openMon(t, mon.Config{}, "[client.admin]\n\tkey = AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIQ==\n", real.Addr)
	err := c.Ready(testContext(t, patience))
	require.ErrorIs(t, err, mon.ErrRefused)
	require.ErrorContains(t, err, "client.admin is not let in")
	_, err = c.Command(testContext(t, patience), `{"prefix":"fsid"}`, nil)
	require.ErrorIs(t, err, mon.ErrRefused)
}

// TestMonClientSurvivesKills: a monitor is killed and started again under commands of many
// goroutines and a subscription. Each command is answered, once, with its own answer.
func TestMonClientSurvivesKills(t *testing.T) {
	opt := Cephx(t, "crc")
	opt.Legacy = true
	real := StartMon(t, opt)
	c := openMon(t, mon.Config{OSDMap: true, PauseMax: 300 * time.Millisecond}, CephxKeyring(t), FreeAddr(t), real.Addr)
	require.NoError(t, c.Ready(testContext(t, patience)))
	ctx, cancel := context.WithCancel(testContext(t, 2*patience))
	var wg sync.WaitGroup
	counts, progress := make([]int, 8), make(chan int, 1<<16)
	for g := range counts {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, value := fmt.Sprint("k", g), fmt.Sprint(g, " ", i)
				set := fmt.Sprintf(`{"prefix":"config-key set","key":%q}`, key)
				_, err := c.Command(context.Background(), set, []byte(value))
				if !expect(t, err == nil, "set: %v", err) {
					return
				}
				a, err := c.Command(context.Background(), fmt.Sprintf(`{"prefix":"config-key get","key":%q}`, key), nil)
				if !expect(t, err == nil && string(a.Output) == value, "get: %q, want %q: %v", a.Output, value, err) {
					return
				}
				counts[g]++
				progress <- g
			}
		})
	}
	for i := range 2 {
		before := c.OSDMap().Epoch()
		_, err := c.Command(ctx, fmt.Sprintf(`{"prefix":"osd pool create","pool":"p%d","pg_num":1}`, i), nil)
		require.NoError(t, err)
		for range 4 * len(counts) {
			receive(t, progress, "a command")
		}
		real.Kill()
		real.Start()
		_, err = c.WaitOSDMap(ctx, before+1)
		require.NoError(t, err)
	}
	cancel()
	wg.Wait()
	t.Log("set and get of each goroutine:", counts)
	for _, n := range counts {
		require.NotZero(t, n)
	}
}

func expect(t *testing.T, ok bool, format string, args ...any) bool {
	if !ok {
		t.Errorf(format, args...)
	}
	return ok
}
