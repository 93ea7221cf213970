package resolve

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/stretchr/testify/require"
)

// logged is what is logged meanwhile, a line each.
type logged struct {
	mu sync.Mutex
	n  int
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += bytes.Count(line, []byte("\n"))
	return len(line), nil
}

// take returns how many lines there were since the last call.
func (l *logged) take() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.n
	l.n = 0
	return n
}

func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "etc")
		path := filepath.Join(dir, "map")
		write := func(text string) {
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
		var log logged
		f, err := OpenFile(path, FileConfig{Logger: log.logger()})
		require.NoError(t, err)
		// step lets the file be looked at n times; where is osd.1 then, and in which epoch?
		step := func(n int) (string, uint64) {
			time.Sleep(time.Duration(n) * time.Second) // of the bubble
			synctest.Wait()
			return f.Current().Lookup(entity.OSD(1)).String(), f.Current().Epoch
		}
		want := func(n int, addr string, epoch uint64, lines int) {
			t.Helper()
			a, e := step(n)
			require.Equal(t, addr, a)
			require.Equal(t, epoch, e)
			require.Equal(t, lines, log.take())
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Nil(t, f.Current())
		require.Equal(t, 1, log.take(), "it is not there, said once")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err = f.Resolve(ctx, entity.OSD(1))
		cancel()
		synctest.Wait() // a look at the same moment is over before the file is there
		require.ErrorIs(t, err, ErrNoMap)
		require.ErrorIs(t, err, fs.ErrNotExist)

		write("osd.1 10.0.0.1:1\nend\n")
		want(1, "v2:10.0.0.1:1", 1, 1)
		want(5, "v2:10.0.0.1:1", 1, 0)
		write("osd.1 10.0.0.2:1\nend\n")
		want(1, "v2:10.0.0.2:1", 2, 0)
		write("osd.1 10.0.0.3:1\nosd.2 10.0")
		want(3, "v2:10.0.0.2:1", 2, 1)
		require.EqualValues(t, 1, f.Stats().Bad)
		write("osd.1 10.0.0.3:1\nosd.2 10.0.0.4:1\nend\n")
		want(1, "v2:10.0.0.3:1", 3, 1)
		write("osd.1 10.0.0.3:1\nosd.2 10.0.0.3:1\nend\n")
		want(3, "v2:10.0.0.3:1", 3, 1) // two alike
		require.NoError(t, os.RemoveAll(dir))
		want(3, "v2:10.0.0.3:1", 3, 1)
		write("osd.1 10.0.0.3:1\nosd.2 10.0.0.4:1\nend\n")
		want(1, "v2:10.0.0.3:1", 3, 1) // it is back as it was
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, 0o755))
		want(3, "v2:10.0.0.3:1", 3, 1)
		require.NoError(t, os.Remove(path))
		write(strings.Repeat("#", 1<<20+1))
		want(3, "v2:10.0.0.3:1", 3, 1)

		// Its own epochs.
		write("epoch 40\nosd.1 10.0.0.5:1\nend\n")
		want(1, "v2:10.0.0.5:1", 40, 1)
		write("epoch 39\nosd.1 10.0.0.6:1\nend\n")
		want(3, "v2:10.0.0.5:1", 40, 1)
		require.EqualValues(t, 1, f.Stats().Old)
		write("epoch 40\nosd.1 10.0.0.6:1\nend\n")
		want(3, "v2:10.0.0.5:1", 40, 1)
		require.EqualValues(t, 1, f.Stats().Conflicts)
		write("epoch 41\nosd.1 10.0.0.6:1\nend\n")
		want(1, "v2:10.0.0.6:1", 41, 1)
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
	})
}

// TestFileOfOneSizeAndTime: a change that leaves time and size is seen by the content,
// as long as file systems may not tell it.
func TestFileOfOneSizeAndTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	f := &File{path: path, cfg: FileConfig{SizeMax: 1 << 20, Logger: slog.New(slog.DiscardHandler)}}
	at := time.Unix(1_700_000_000, 0)
	write := func(text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
	}
	for i, c := range []struct {
		addr, want string
		after      time.Duration
	}{
		{"10.0.0.1:1", "v2:10.0.0.1:1", time.Second},
		{"10.0.0.2:1", "v2:10.0.0.2:1", fileSettle},
		{"10.0.0.3:1", "v2:10.0.0.3:1", fileSettle + time.Second},
		{"10.0.0.4:1", "v2:10.0.0.3:1", time.Hour}, // nothing tells that it has changed
	} {
		write("osd.1 " + c.addr + "\nend\n")
		f.poll(at.Add(c.after))
		require.Equal(t, c.want, f.Current().Lookup(entity.OSD(1)).String(), i)
	}
}

func TestFileConfig(t *testing.T) {
	for _, c := range []FileConfig{{Interval: time.Millisecond}, {Interval: 2 * time.Hour}, {Interval: -1},
		{SizeMax: -1}, {SizeMax: FileSizeMax + 1}} {
		_, err := OpenFile("map", c)
		require.ErrorContains(t, err, "resolve: FileConfig.")
	}
}

// fakeDNS answers as it is told.
type fakeDNS struct {
	mu   sync.Mutex
	srv  []*net.SRV
	ips  map[string][]netip.Addr
	err  error
	asks int
}

func (d *fakeDNS) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asks++
	if service != "msgr" || proto != "tcp" || name != "osd.example" {
		return "", nil, errors.New("asked for something else")
	}
	return "", d.srv, d.err
}

func (d *fakeDNS) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if network != "ip" || d.ips[host] == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return append([]netip.Addr(nil), d.ips[host]...), nil
}

func (d *fakeDNS) host(name string, port uint16, ips ...string) {
	d.srv = append(d.srv, &net.SRV{Target: name, Port: port})
	d.ips[name] = nil
	for _, ip := range ips {
		d.ips[name] = append(d.ips[name], netip.MustParseAddr(ip))
	}
}

func TestSRV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{ips: map[string][]netip.Addr{}}
		dns.host("osd-0.osd.example.", 7000, "10.0.0.1")
		dns.host("osd-1.osd.example.", 7001, "fd00::2", "::ffff:10.0.0.2")
		var log logged
		s, err := OpenSRV(SRVConfig{Service: "msgr", Proto: "tcp", Domain: "osd.example", DNS: dns,
			Logger: log.logger(), StaleAfter: time.Minute})
		require.NoError(t, err)
		dns.mu.Lock() // but while time passes
		step := func(d time.Duration) {
			dns.mu.Unlock()
			time.Sleep(d) // of the bubble
			synctest.Wait()
			dns.mu.Lock()
		}
		where := func() string {
			e, err := s.Resolve(t.Context(), entity.OSD(1))
			require.NoError(t, err)
			return e.Addrs.String()
		}
		step(time.Second)
		require.Equal(t, "[v2:10.0.0.2:7001,v2:[fd00::2]:7001]", where())
		require.Equal(t, "v2:10.0.0.1:7000", s.Current().Lookup(entity.OSD(0)).String())
		step(time.Hour)
		require.EqualValues(t, 1, s.Current().Epoch)
		require.Equal(t, 721, dns.asks, "once in five seconds")

		dns.ips["osd-1.osd.example."] = []netip.Addr{netip.MustParseAddr("10.0.0.7")}
		step(5 * time.Second)
		require.Equal(t, "v2:10.0.0.7:7001", where())
		require.EqualValues(t, 2, s.Current().Epoch)
		require.Zero(t, log.take())

		// Two alike, a name that is none, a target without an address: the last map stays.
		was, ok := dns.srv, s.Current()
		dns.host("osd-2.osd.example.", 7000, "10.0.0.1")
		step(5 * time.Second)
		require.Equal(t, 1, log.take())
		dns.srv = was
		dns.host("web.example.", 7000, "10.0.0.9")
		step(5 * time.Second)
		require.Equal(t, 1, log.take())
		dns.srv = was
		dns.host("osd-3.osd.example.", 7000)
		step(10 * time.Second)
		require.Equal(t, 1, log.take())
		require.Same(t, ok, s.Current())
		require.Equal(t, Stats{Maps: 2, Bad: 1, Failed: 3}, s.Stats())
		dns.srv = was
		step(5 * time.Second)
		require.Equal(t, 1, log.take(), "it is over")

		// Nobody answers: after a minute what was said is not given out any more.
		dns.err = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
		step(time.Minute)
		require.Equal(t, "v2:10.0.0.7:7001", where())
		step(10 * time.Second)
		_, err = s.Resolve(t.Context(), entity.OSD(1))
		require.ErrorIs(t, err, ErrStale)
		require.ErrorContains(t, err, "server misbehaving")
		require.Equal(t, 1, log.take())
		dns.err = nil
		step(5 * time.Second)
		require.Equal(t, "v2:10.0.0.7:7001", where())
		dns.mu.Unlock()
		require.NoError(t, s.Close())
	})
	for _, c := range []SRVConfig{{}, {Domain: "x", Interval: 1}, {Domain: "x", Interval: 2 * time.Hour},
		{Domain: "x", Timeout: -1}} {
		_, err := OpenSRV(c)
		require.ErrorContains(t, err, "resolve: SRVConfig.")
	}
}

func TestTargetName(t *testing.T) {
	n, err := TargetName("osd-17.osd.default.svc.cluster.local.")
	require.NoError(t, err)
	require.Equal(t, entity.OSD(17), n)
	for _, bad := range []string{"", "osd", "web-1.x", "osd-x", "-1"} {
		_, err := TargetName(bad)
		require.Error(t, err, bad)
	}
}
