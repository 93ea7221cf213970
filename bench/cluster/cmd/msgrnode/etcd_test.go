package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/node"
)

// startEtcd starts Debian's etcd on loopback and returns where it is.
func startEtcd(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		if os.Getenv("ASYNCMSGR_ETCD") == "require" {
			t.Fatal("etcd is not installed: apt-get install etcd-server")
		}
		t.Skip("etcd is not installed (apt-get install etcd-server); with ASYNCMSGR_ETCD=require that is a failure")
	}
	var at [2]string
	for i := range at {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		at[i] = l.Addr().String()
	}
	cmd := exec.Command("etcd", "--name", "e", "--data-dir", filepath.Join(t.TempDir(), "data"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://"+at[0], "--advertise-client-urls", "http://"+at[0],
		"--listen-peer-urls", "http://"+at[1], "--initial-advertise-peer-urls", "http://"+at[1],
		"--initial-cluster", "e=http://"+at[1])
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return at[0]
}

// TestAgreement: of those who propose what follows one map, one succeeds, and all are told
// the same.
func TestAgreement(t *testing.T) {
	at := startEtcd(t)
	const proposers = 4
	var sources [proposers]node.Source
	for i := range sources {
		u, err := url.Parse("etcd://" + at + "/test")
		require.NoError(t, err)
		sources[i], err = openEtcd(u, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		defer sources[i].Close()
	}
	var mu sync.Mutex
	var watched *node.Map
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- sources[0].Watch(ctx, func(m *node.Map) {
			mu.Lock()
			defer mu.Unlock()
			watched = m
		})
	}()
	var last *node.Map
	for range 5 {
		var got [proposers]*node.Map
		var wg sync.WaitGroup
		for i := range got {
			next := &node.Map{Cluster: 1,
				Members: []node.Member{{Name: entity.OSD(int64(i)), Inc: 1, Addr: "v2:10.0.0.1:1"}}}
			wg.Go(func() {
				for got[i] == nil { // etcd may still be starting, and an answer be lost
					if m, err := sources[i].Agreement.Propose(ctx, nil, last, next); err == nil {
						got[i] = m
					}
				}
			})
		}
		wg.Wait()
		for _, m := range got[1:] {
			require.Equal(t, got[0], m)
		}
		require.Greater(t, got[0].Epoch, epochOf(last))
		if last != nil { // who comes late is told what has followed
			late, err := sources[1].Agreement.Propose(ctx, nil, last, last)
			require.NoError(t, err)
			require.Equal(t, got[0], late)
		}
		last = got[0]
	}
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return watched != nil && watched.Epoch == last.Epoch
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, last, watched)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

func epochOf(m *node.Map) uint64 {
	if m == nil {
		return 0
	}
	return m.Epoch
}

func TestUsage(t *testing.T) {
	for args, says := range map[string]string{
		"node --name osd.1 --resolver etcd://127.0.0.1:2379": "etcd://10.0.0.1:2379,10.0.0.2:2379/PREFIX",
		"node --name osd.1 --resolver etcd:///prefix":        "wants servers and a prefix",
		"node --name osd.1 --resolver zoo://x":               "there are etcd:// and file:// and srv://",
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(strings.Fields(args), &stdout, &stderr), args)
		require.Contains(t, stderr.String(), says)
	}
}
