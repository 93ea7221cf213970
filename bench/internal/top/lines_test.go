package top

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/admin"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// patience is how long a test waits for something that has to come.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	// The default stack and executor live as long as the process.
	if _, err := async.DefaultStack(); err != nil {
		panic(err)
	}
	if _, err := async.DefaultExecutor(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/asyncmsgr/asyncmsgr/dispatch.(*AntsPool).run"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

type sponge struct{}

func (sponge) Dispatch(m *msg.Message) bool { m.Release(); return true }

// live is the admin socket of a server and a client of it.
func live(t *testing.T) (path string) {
	t.Helper()
	var both []*async.Messenger
	for i, p := range []msg.Policy{msg.StatefulServer(), msg.LosslessClient()} {
		m, err := async.New(async.Config{Name: []entity.Name{entity.OSD(7), entity.Client(8)}[i],
			Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(sponge{})
		if i == 0 {
			require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		}
		require.NoError(t, m.Start())
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			require.NoError(t, m.Shutdown(ctx))
		})
		both = append(both, m)
	}
	path = filepath.Join(t.TempDir(), "a.asok")
	s, err := admin.Listen(admin.Config{Path: path, Messengers: both, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	c, err := both[1].ConnectTo(entity.TypeOSD, both[0].Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(&msg.Message{Type: 1000, Data: []byte("hello")}))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, c.Flush(ctx))
	return path
}

func TestLines(t *testing.T) {
	o := Options{Path: live(t), Interval: time.Millisecond, Timeout: patience, Max: 10, Order: ByPeer, Count: 2}
	var out bytes.Buffer
	require.NoError(t, Lines(context.Background(), &out, o))
	text := out.String()
	require.Equal(t, 2, strings.Count(text, "MESSENGER"), text)
	require.Contains(t, text, "osd.7: 1 conns")
	require.Regexp(t, `(?m)^client\.8 +osd\.7 +127\.0\.0\.1:\d+ +connected `, text)
	require.Regexp(t, `(?m)^osd\.7 +client\.8 +127\.0\.0\.1:\d+ +connected `, text)

	out.Reset()
	o.JSON, o.Filter = true, "no such thing"
	require.NoError(t, Lines(context.Background(), &out, o))
	require.Contains(t, out.String(), `"connections":[]`)
	out.Reset()
	o.Filter = ""
	require.NoError(t, Lines(context.Background(), &out, o))
	d := json.NewDecoder(&out)
	for range 2 {
		var f Frame
		require.NoError(t, d.Decode(&f))
		require.Len(t, f.Rows, 2)
		require.Positive(t, f.Over)
		require.Equal(t, "client.8", f.Rows[0].Peer)
	}
	require.False(t, d.More())

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	o.Count, o.Interval = 0, time.Hour
	require.NoError(t, Lines(ended, &out, o), "interrupted")
	o.Count, o.Interval = 1, time.Millisecond
	require.ErrorContains(t, Lines(context.Background(), full{}, o), "no room")
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

// TestUnreachable: a socket that does not answer says why.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	_, err := Ask(filepath.Join(dir, "none"), 1, patience)
	require.ErrorContains(t, err, "no process has made an admin socket there")

	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	_, err = Ask(dead, 1, patience)
	require.ErrorContains(t, err, "the process that made it has ended")
	require.Contains(t, hint(os.ErrPermission), "be the user of the process, or root")

	// Something else answers.
	for answer, want := range map[string]string{
		"ERROR: (22) Invalid argument\n": "is it a daemon of Ceph's?", "nonsense": "none of messenger dump's",
	} {
		path := filepath.Join(t.TempDir(), "a")
		l, err := net.Listen("unix", path)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Read(make([]byte, 1000))
			_, _ = c.Write(append([]byte{0, 0, 0, byte(len(answer))}, answer...))
		}()
		_, err = Ask(path, 1, patience)
		require.ErrorContains(t, err, want)
		l.Close()
		<-done
	}
}
