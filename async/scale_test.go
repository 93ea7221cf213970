//go:build linux

package async

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// spare is what a count of goroutines may differ by: pool goroutines that come
// and go.
const spare = 20

// TestManyMessengers: a messenger costs no goroutine.
func TestManyMessengers(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	srv.forget = true
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	const n = 1000
	var ms []*Messenger
	before := runtime.NumGoroutine()
	for i := range n {
		m, err := New(Config{Name: entity.Client(int64(i)), Stack: l.stack, Executor: l.pool})
		require.NoError(t, err)
		if i < n/4 {
			require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		}
		require.NoError(t, m.Start())
		ms = append(ms, m)
	}
	for i := range 100 {
		require.NoError(t, ms[i*n/100].SendTo(text("x"), entity.TypeOSD, srv.Addrs()))
	}
	l.until("messages", func() bool { return srv.count.Load() == 100 })
	require.Less(t, runtime.NumGoroutine(), before+spare+l.pool.Running())
	for _, m := range ms {
		require.NoError(t, m.Shutdown(timeout(t)))
	}
}

// TestManyConnections: a connection costs no goroutine.
func TestManyConnections(t *testing.T) {
	n := 2000
	var lim unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	if lim.Cur < uint64(2*n+200) {
		n = int(lim.Cur-200) / 2
	}
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	cl := l.client(entity.Client(1), msg.LossyClient())
	before := runtime.NumGoroutine()
	var conns []msg.Connection
	for range n {
		c, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		conns = append(conns, c)
	}
	l.until("all connected", func() bool { s := srv.Stats(); return s.Accepted == uint64(n) && s.Handshakes == 0 })
	for _, c := range conns {
		l.until("connected", c.IsConnected)
	}
	require.Less(t, runtime.NumGoroutine(), before+spare+l.pool.Running())
	for i := 0; i < n; i += 20 {
		require.NoError(t, conns[i].Send(text("x")))
	}
	srv.wantMessages((n + 19) / 20)
	cl.MarkDownAll()
	srv.want("reset", n)
	require.Zero(t, srv.Stats().Connections)
}
