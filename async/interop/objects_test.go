//go:build linux

package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/osd"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// rados runs Ceph's rados.
func rados(t *testing.T, real *Mon, args ...string) {
	t.Helper()
	Need(t, "rados")
	_, stderr, err := output(exec.CommandContext(testContext(t, patience), "rados",
		append([]string{"-c", real.Conf, "-p", "p"}, args...)...))
	require.NoError(t, err, stderr)
}

// TestObjects are the tests of objects at a real OSD with cephx.
func TestObjects(t *testing.T) {
	opt := Cephx(t, "crc secure")
	opt.Global += "osd_fast_shutdown = false\n" // so that what is in memory is there after a restart
	real := StartMon(t, opt)
	daemon := StartOSD(t, real)
	c := openMon(t, mon.Config{}, CephxKeyring(t), real.Addr)
	_, err := c.Command(testContext(t, patience), `{"prefix":"osd pool create","pool":"p","pg_num":4}`, nil)
	require.NoError(t, err)
	t.Run("secure", func(t *testing.T) { bothWays(t, real, auth.ModeSecure, 0, 1, 100_000, 1<<20) })
	t.Run("crc", func(t *testing.T) { bothWays(t, real, auth.ModeCRC, 1<<20) })
	t.Run("while cut", func(t *testing.T) { whileCut(t, c, daemon) })
	t.Run("over the limit", func(t *testing.T) { overTheLimit(t, c, real) })
	t.Run("namespaces", func(t *testing.T) { namespaces(t, c, real) })
	t.Run("held back", func(t *testing.T) { heldBack(t, c) })
	t.Run("restarted", func(t *testing.T) { restarted(t, c, daemon) })
}

// TestLargeObjects: an object of 128 MiB, which is osd_max_object_size, at an OSD that takes so much at a
// time; more than it takes is an error that says so.
func TestLargeObjects(t *testing.T) {
	const most = 128 << 20
	real := StartMon(t, MonOptions{Global: "osd_max_write_size = 130\n"})
	StartOSD(t, real)
	c := openMonWith(t, mon.Config{}, "", func(l *mon.Login) {
		l.Messenger.Limits.Data = 2 * most
		l.Messenger.SendQueueBytes = 3 * most
	}, real.Addr)
	_, err := c.Command(testContext(t, patience), `{"prefix":"osd pool create","pool":"p","pg_num":4}`, nil)
	require.NoError(t, err)
	o, err := osd.New(c, osd.Config{ReadMax: most})
	require.NoError(t, err)
	ctx := testContext(t, patience)
	data := bytes.Repeat([]byte("0123456789abcde\n"), most/16)
	require.NoError(t, o.Write(ctx, "p", "large", data))
	got, err := o.Read(ctx, "p", "large")
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "%d bytes", len(got))
	file := filepath.Join(t.TempDir(), "file")
	rados(t, real, "get", "large", file)
	got, err = os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "%d bytes for rados", len(got))

	err = o.Write(ctx, "p", "larger", make([]byte, 131<<20))
	require.ErrorIs(t, err, osd.ErrTooLarge)
	var refused *osd.Error
	require.ErrorAs(t, err, &refused)
	t.Log(err)
}

// bothWays: objects of some sizes that are written here are read by rados, and the other way
// round; and what is not carried out is said.
func bothWays(t *testing.T, real *Mon, mode uint32, sizes ...int) {
	c := openMonWith(t, mon.Config{}, CephxKeyring(t), func(l *mon.Login) { l.Modes = []uint32{mode} }, real.Addr)
	ctx := testContext(t, patience)
	o, err := osd.New(c, osd.Config{ReadMax: 1 << 20})
	require.NoError(t, err)

	file := filepath.Join(t.TempDir(), "file")
	for _, size := range sizes {
		name, data := fmt.Sprint("size", size), bytes.Repeat([]byte{byte(size), byte(mode), 2, 3}, size/4+1)[:size]
		require.NoError(t, o.Write(ctx, "p", name, data))
		rados(t, real, "get", name, file)
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got), "%s: %d bytes", name, len(got))
		rados(t, real, "put", name+" of rados", file)
		got, err = o.Read(ctx, "p", name+" of rados")
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got), "%s: %d bytes", name, len(got))
	}
	for conn := range c.Messenger().Connections() {
		require.Equal(t, mode, conn.Authenticated().Mode, conn)
	}

	require.NoError(t, o.Write(ctx, "p", "gone", []byte("soon")))
	require.NoError(t, o.Delete(ctx, "p", "gone"))
	_, err = o.Read(ctx, "p", "gone")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "osd: p/gone: the OSD answers -2 (no such object)")
	_, err = o.Read(ctx, "no pool", "x")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "osd: no pool/x: mon: the monitor answers -2")
	require.NoError(t, o.Write(ctx, "p", "large", make([]byte, 1<<20+1)))
	_, err = o.Read(ctx, "p", "large")
	require.ErrorIs(t, err, osd.ErrTooLarge)
	require.ErrorContains(t, err, "p/large has more than 1048576 bytes")
}

// whileCut: writes and reads of several goroutines while their connections with the OSD are
// closed under them: each ends well, and the last write is what is read.
func whileCut(t *testing.T, c *mon.Client, daemon *OSD) {
	ctx := testContext(t, patience)
	o, err := osd.New(c, osd.Config{AnswerTimeout: 200 * time.Millisecond})
	require.NoError(t, err)
	var wg sync.WaitGroup
	done := make(chan struct{}, 1<<10)
	for g := range 4 {
		wg.Go(func() {
			for i := range 15 {
				name, want := fmt.Sprint("object", g), fmt.Sprint(g, " ", i)
				if !expect(t, o.Write(ctx, "p", name, []byte(want)) == nil, "%s: not written", want) {
					return
				}
				got, err := o.Read(ctx, "p", name)
				if !expect(t, err == nil && string(got) == want, "%s: %s, %v", want, got, err) {
					return
				}
				done <- struct{}{}
			}
		})
	}
	for range 8 {
		for range 6 {
			receive(t, done, "a write and a read")
		}
		for conn := range c.Messenger().Connections() {
			if conn.PeerAddrs().Contains(daemon.Addr) {
				conn.MarkDown()
			}
		}
	}
	wg.Wait()
}

// restarted: the OSD ends, and comes back with another nonce, while an object is written and
// read all the time.
func restarted(t *testing.T, c *mon.Client, daemon *OSD) {
	ctx := testContext(t, patience)
	o, err := osd.New(c, osd.Config{AnswerTimeout: 200 * time.Millisecond})
	require.NoError(t, err)
	going, stop := context.WithCancel(ctx)
	ended, done := make(chan error, 1), make(chan struct{}, 1<<16)
	go func() {
		for i := 0; going.Err() == nil; i++ {
			want := fmt.Sprint(i)
			err := o.Write(ctx, "p", "z", []byte(want))
			got, readErr := o.Read(ctx, "p", "z")
			if err = errors.Join(err, readErr); err == nil && string(got) != want {
				err = fmt.Errorf("%q is read, %s was written", got, want)
			}
			if err != nil {
				ended <- err
				return
			}
			done <- struct{}{}
		}
		ended <- nil
	}()
	receive(t, done, "a write and a read")
	daemon.daemon.end(syscall.SIGTERM)
	daemon.daemon.start()
	for len(done) > 0 {
		<-done
	}
	select {
	case <-done:
	case err := <-ended:
		require.NoError(t, err)
	case <-ctx.Done():
		stop()
		require.FailNow(t, "no write and read after the restart", "%v", <-ended)
	}
	stop()
	require.NoError(t, receive(t, ended, "the end"))
}

// overTheLimit: an answer that is over the messenger's limit is an error that says so, and the
// OSD is not asked for it again and again.
func overTheLimit(t *testing.T, c *mon.Client, real *Mon) {
	ctx := testContext(t, patience)
	o, err := osd.New(c, osd.Config{})
	require.NoError(t, err)
	require.NoError(t, o.Write(ctx, "p", "x", make([]byte, 200_000)))

	limit := func(l *mon.Login) { l.Messenger.Limits.Data = 100_000 }
	small := openMonWith(t, mon.Config{}, CephxKeyring(t), limit, real.Addr)
	o, err = osd.New(small, osd.Config{})
	require.NoError(t, err)
	before := small.Messenger().Stats().Connected
	_, err = o.Read(ctx, "p", "x")
	require.ErrorIs(t, err, osd.ErrTooLarge)
	require.ErrorContains(t, err, "Data of 200000 bytes, the limit is 100000")
	require.LessOrEqual(t, small.Messenger().Stats().Connected-before, uint64(2), "the monitor, and the OSD once")
	require.NoError(t, o.Write(ctx, "p", "y", []byte("y")))
}

// namespaces: an object of a namespace is another one than that of the same name outside, here
// and for rados.
func namespaces(t *testing.T, c *mon.Client, real *Mon) {
	ctx := testContext(t, patience)
	o, err := osd.New(c, osd.Config{})
	require.NoError(t, err)
	in, file := o.In("space"), filepath.Join(t.TempDir(), "file")
	require.NoError(t, in.Write(ctx, "p", "same", []byte("inside")))
	_, err = o.Read(ctx, "p", "same")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, o.Write(ctx, "p", "same", []byte("outside")))
	rados(t, real, "-N", "space", "get", "same", file)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "inside", string(got))
	rados(t, real, "-N", "space", "put", "of rados", file)
	got, err = in.Read(ctx, "p", "of rados")
	require.NoError(t, err)
	require.Equal(t, "inside", string(got))
	require.NoError(t, in.Delete(ctx, "p", "same"))
	_, err = in.Read(ctx, "p", "same")
	require.EqualError(t, err, "osd: p/space/same: the OSD answers -2 (no such object)")
	got, err = o.Read(ctx, "p", "same")
	require.NoError(t, err)
	require.Equal(t, "outside", string(got))
}

// heldBack: the OSD holds back operations on a pool that wants more OSDs than there are, until
// it wants no more. There is no timeout that could have the operation sent again.
func heldBack(t *testing.T, c *mon.Client) {
	ctx := testContext(t, patience)
	pool := func(text string) {
		t.Helper()
		_, err := c.Command(ctx, text, nil)
		require.NoError(t, err)
	}
	pool(`{"prefix":"osd pool create","pool":"q","pg_num":1,"size":2}`)
	pool(`{"prefix":"osd pool set","pool":"q","var":"min_size","val":"2"}`)
	o, err := osd.New(c, osd.Config{AnswerTimeout: patience})
	require.NoError(t, err)
	blocked := make(chan struct{}, 16)
	c.Messenger().AddDispatcherHead(seen(func(m *msg.Message) {
		b, err := wire.ParseOSDBackoff(m.Front)
		if m.Type == wire.TypeOSDBackoff && err == nil && b.Op == wire.BackoffBlock {
			blocked <- struct{}{}
		}
	}))
	ended := make(chan error, 1)
	go func() { ended <- o.Write(ctx, "q", "x", []byte("x")) }()
	receive(t, blocked, "a block")
	pool(`{"prefix":"osd pool set","pool":"q","var":"min_size","val":"1"}`)
	require.NoError(t, receive(t, ended, "the end of the write"))
	got, err := o.Read(ctx, "q", "x")
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
}

// seen is a dispatcher that looks at all messages.
type seen func(*msg.Message)

func (s seen) Dispatch(m *msg.Message) bool { s(m); return false }
