package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// server is Debian's etcd, on loopback, with its data in a folder of the test.
type server struct {
	t    *testing.T
	url  string
	peer string
	dir  string
	cmd  *exec.Cmd
}

func startServer(t *testing.T) *server {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		if os.Getenv("ASYNCMSGR_ETCD") == "require" {
			t.Fatal("etcd is not installed: apt-get install etcd-server")
		}
		t.Skip("etcd is not installed (apt-get install etcd-server); with ASYNCMSGR_ETCD=require that is a failure")
	}
	s := &server{t: t, url: freeURL(t), peer: freeURL(t), dir: filepath.Join(t.TempDir(), "data")}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func freeURL(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return "http://" + l.Addr().String()
}

func (s *server) start() {
	s.cmd = exec.Command("etcd", "--name", "e", "--data-dir", s.dir, "--listen-client-urls", s.url,
		"--advertise-client-urls", s.url, "--listen-peer-urls", s.peer, "--initial-advertise-peer-urls", s.peer,
		"--initial-cluster", "e="+s.peer, "--unsafe-no-fsync")
	require.NoError(s.t, s.cmd.Start())
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) client() *clientv3.Client {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.url}, DialTimeout: 5 * time.Second})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *server) open(logger *slog.Logger) *Resolver {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r, err := Open(Config{Client: s.client(), Prefix: "/test/", TTL: 2 * time.Second, Logger: logger})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, r.Close()) })
	return r
}

func addrs(t *testing.T, s string) entity.AddrVec {
	v, err := entity.ParseAddrVec(s)
	require.NoError(t, err)
	return v
}

// announce announces until the test, or what it returns, ends it.
func announce(t *testing.T, r *Resolver, n int64, at string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Announce(ctx, entity.OSD(n), addrs(t, at)) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 30*time.Second, 20*time.Millisecond, what)
}

func where(r *Resolver, n int64) string { return r.Current().Lookup(entity.OSD(n)).String() }

func TestNamesComeAndGo(t *testing.T) {
	s := startServer(t)
	a, b := s.open(nil), s.open(nil)
	var mu sync.Mutex
	maps := map[uint64]*resolve.Map{} // what two resolvers say of one epoch has to be one thing
	for _, r := range []*Resolver{a, b} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			last := uint64(0)
			_ = r.Watch(ctx, func(m *resolve.Map) {
				mu.Lock()
				defer mu.Unlock()
				if m.Epoch <= last {
					t.Errorf("epoch %d after %d", m.Epoch, last)
				}
				last = m.Epoch
				if was := maps[m.Epoch]; was != nil && fmt.Sprint(was) != fmt.Sprint(m) {
					t.Errorf("epoch %d: %v and %v", m.Epoch, was, m)
				}
				maps[m.Epoch] = m
			})
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	announce(t, a, 1, "10.0.0.1:7000")
	e, err := b.Resolve(t.Context(), entity.OSD(1))
	for err != nil { // the first map may be without it
		e, err = b.Resolve(t.Context(), entity.OSD(1))
	}
	require.Equal(t, "v2:10.0.0.1:7000", e.Addrs.String())
	stop := announce(t, b, 2, "10.0.0.2:7000/5")
	eventually(t, "osd.2", func() bool { return where(a, 2) == "v2:10.0.0.2:7000/5" })
	stop() // an end in peace takes the name away at once
	eventually(t, "osd.2 gone", func() bool { return a.Current().Lookup(entity.OSD(2)) == nil })
	announce(t, b, 2, "10.0.0.9:7000")
	eventually(t, "osd.2 elsewhere", func() bool { return where(a, 2) == "v2:10.0.0.9:7000" })
}

// TestLeaseIsAlive: who does not keep its lease, as a process that was killed, is gone after
// its time; and who has the name meanwhile keeps it from others.
func TestLeaseIsAlive(t *testing.T) {
	s := startServer(t)
	r := s.open(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := r.announce(ctx, entity.OSD(1), addrs(t, "10.0.0.1:7000")) // and nobody keeps it
	for err != nil && ctx.Err() == nil {
		_, err = r.announce(ctx, entity.OSD(1), addrs(t, "10.0.0.1:7000"))
	}
	require.NoError(t, err)
	eventually(t, "osd.1", func() bool { return where(r, 1) == "v2:10.0.0.1:7000" })
	var taken *TakenError
	_, err = r.announce(ctx, entity.OSD(1), addrs(t, "10.0.0.2:7000"))
	require.ErrorAs(t, err, &taken)
	require.Equal(t, TakenError{entity.OSD(1), "v2:10.0.0.1:7000"}, *taken)
	announce(t, r, 1, "10.0.0.2:7000") // it waits for its turn
	eventually(t, "the next one", func() bool { return where(r, 1) == "v2:10.0.0.2:7000" })
	_, err = r.announce(ctx, entity.OSD(1), addrs(t, "10.0.0.2:7000")) // the same again
	require.NoError(t, err)
}

// TestEtcdAway: names stay while etcd is away, and changes come when it is back.
func TestEtcdAway(t *testing.T) {
	s := startServer(t)
	r := s.open(nil)
	announce(t, r, 1, "10.0.0.1:7000")
	eventually(t, "osd.1", func() bool { return where(r, 1) == "v2:10.0.0.1:7000" })
	epoch := r.Current().Epoch
	s.kill()
	announce(t, r, 2, "10.0.0.2:7000")
	require.Equal(t, "v2:10.0.0.1:7000", where(r, 1))
	s.start()
	eventually(t, "osd.2", func() bool { return where(r, 2) == "v2:10.0.0.2:7000" })
	require.Equal(t, "v2:10.0.0.1:7000", where(r, 1))
	require.Greater(t, r.Current().Epoch, epoch)
}

func TestTwoAlikeAndNonsense(t *testing.T) {
	s := startServer(t)
	r := s.open(nil)
	c := s.client()
	put := func(k, v string) {
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := c.Put(ctx, "/test/names/"+k, v)
			return err == nil
		}, 30*time.Second, 20*time.Millisecond)
	}
	put("osd.1", "10.0.0.1:7000")
	eventually(t, "osd.1", func() bool { return where(r, 1) == "v2:10.0.0.1:7000" })
	was := r.Current()
	put("osd.2", "10.0.0.1:7000") // as osd.1: that map is not taken
	put("osd.1", "10.0.0.3:7000") // mended
	eventually(t, "both", func() bool { return where(r, 1) == "v2:10.0.0.3:7000" })
	require.Equal(t, "v2:10.0.0.1:7000", where(r, 2))
	require.Greater(t, r.Current().Epoch, was.Epoch+1)
	put("nobody", "10.0.0.4:7000")
	put("osd.3", "somewhere")
	put("osd.4", "10.0.0.4:7000")
	eventually(t, "osd.4", func() bool { return where(r, 4) == "v2:10.0.0.4:7000" })
	require.Len(t, r.Current().Entries, 3)
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{}, {Client: new(clientv3.Client)}, {Client: new(clientv3.Client), Prefix: "/"},
		{Client: new(clientv3.Client), Prefix: "/a", TTL: time.Millisecond}} {
		_, err := Open(c)
		require.ErrorContains(t, err, "etcd: Config.")
	}
}
