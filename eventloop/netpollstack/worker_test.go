//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// do runs f on w and waits. f asserts: require would not end the test.
func do(t testing.TB, w eventloop.Worker, f func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, w.Post(eventloop.TaskFunc(func() {
		defer close(done)
		f()
	})))
	<-done
}

// idle is a handler that does what its fields say and signals what happened.
type idle struct {
	t         eventloop.Transport
	connected chan struct{}
	eof       chan struct{}
	closed    chan error
	flushed   chan struct{} // if set
	read      func()        // if set
}

func newIdle() *idle {
	return &idle{connected: make(chan struct{}), eof: make(chan struct{}), closed: make(chan error, 1)}
}

func (i *idle) HandleConnected(t eventloop.Transport) {
	i.t = t
	close(i.connected)
}
func (i *idle) ReadInto() []byte { return nil }
func (i *idle) HandleRead(int, []byte) {
	if i.read != nil {
		i.read()
	}
}
func (i *idle) HandleEOF() { close(i.eof) }
func (i *idle) HandleFlush() {
	if i.flushed != nil {
		i.flushed <- struct{}{}
	}
}
func (i *idle) HandleClosed(err error) { i.closed <- err }

// connect makes a connection between two handlers on w, the stack's only worker.
func connect(t testing.TB, w *worker, opts eventloop.SocketOptions) (client, server *idle) {
	t.Helper()
	client, server = newIdle(), newIdle()
	accepted := make(chan struct{})
	l, err := w.stack.Listen(loopback, eventloop.ListenConfig{Socket: opts}, func(s eventloop.Socket) {
		_ = w.Post(eventloop.TaskFunc(func() {
			server.t = w.Adopt(s, server)
			close(accepted)
		}))
	})
	require.NoError(t, err)
	do(t, w, func() { w.Dial(l.Addr(), eventloop.DialConfig{Socket: opts}, client) })
	<-client.connected
	<-accepted
	require.NoError(t, l.Close())
	do(t, w.stack.workers[0], func() {})
	return client, server
}

// roundsDuring returns how many rounds w runs in d of doing nothing.
func roundsDuring(t testing.TB, w *worker, d time.Duration) uint64 {
	t.Helper()
	after := make(chan uint64, 1)
	var before uint64
	timer := &eventloop.Timer{}
	timer.Init(timerFunc(func() { after <- w.did.rounds }))
	do(t, w, func() {
		before = w.did.rounds
		w.SetTimer(timer, w.Now()+d)
	})
	return <-after - before
}

type timerFunc func()

func (f timerFunc) HandleTimer(time.Duration) { f() }

// Conditions that epoll reports again and again must not keep a worker busy.
func TestNoSpin(t *testing.T) {
	const few = 20
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few), "nothing open")

	t.Run("paused with bytes waiting", func(t *testing.T) {
		c, srv := connect(t, w, eventloop.SocketOptions{})
		do(t, w, func() {
			srv.t.PauseRead()
			_, _ = c.t.Write([][]byte{[]byte("bytes")})
		})
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few))
		do(t, w, func() { _ = c.t.CloseWrite() })
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few), "FIN of the peer")
		do(t, w, func() { _ = srv.t.CloseWrite() })
		<-c.eof
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few), "FIN in both directions")
		do(t, w, func() { srv.t.ResumeRead() })
		<-srv.eof
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few), "after EOF")
	})
	t.Run("full", func(t *testing.T) {
		c, srv := connect(t, w, eventloop.SocketOptions{})
		do(t, w, func() {
			srv.t.PauseRead()
			for range 1000 {
				_, _ = c.t.Write([][]byte{make([]byte, 1<<16)})
			}
			c.t.WantFlush()
		})
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few))
		do(t, w, func() {
			c.t.PauseRead()
			_ = srv.t.CloseWrite()
		})
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few), "and paused, with FIN")
		do(t, w, func() { srv.t.Abort() })
		require.ErrorIs(t, <-c.closed, unix.EPIPE, "what Linux calls a reset after FIN")
	})
	t.Run("full no more", func(t *testing.T) {
		c, srv := connect(t, w, eventloop.SocketOptions{})
		c.flushed = make(chan struct{}, 1)
		do(t, w, func() {
			srv.t.PauseRead()
			for range 1000 {
				_, _ = c.t.Write([][]byte{make([]byte, 1<<16)})
			}
			srv.t.ResumeRead()
		})
		<-c.flushed // and has nothing more to write
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few)+100)
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few))
	})
	t.Run("write failed", func(t *testing.T) {
		c, srv := connect(t, w, eventloop.SocketOptions{})
		do(t, w, func() {
			_ = c.t.CloseWrite()
			_, err := c.t.Write([][]byte{{1}})
			assert.ErrorIs(t, err, unix.EPIPE)
			srv.t.Abort()
		})
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few))
	})
	t.Run("after timers", func(t *testing.T) {
		timers := make([]eventloop.Timer, 100)
		do(t, w, func() {
			for i := range timers {
				timers[i].Init(timerFunc(func() {}))
				w.SetTimer(&timers[i], w.Now()+time.Hour)
			}
		})
		require.Less(t, roundsDuring(t, w, 20*time.Millisecond), uint64(few), "none due")
		do(t, w, func() {
			for i := range timers {
				w.StopTimer(&timers[i])
			}
		})
	})
}

// An event that was fetched before its slot changed hands reaches nobody.
func TestStaleEvent(t *testing.T) {
	set, err := newPollSet()
	require.NoError(t, err)
	defer unix.Close(set.fd)
	fd, err := unix.Eventfd(1, unix.EFD_NONBLOCK)
	require.NoError(t, err)
	defer unix.Close(fd)
	a, b := &transport{}, &transport{}
	i := set.insert(a)
	require.NoError(t, set.control(unix.EPOLL_CTL_ADD, fd, i, unix.EPOLLIN))
	events := set.wait()
	require.Len(t, events, 1)
	require.Same(t, a, set.lookup(&events[0]))
	set.release(i)
	require.Nil(t, set.lookup(&events[0]))
	require.Equal(t, i, set.insert(b), "the slot is used again")
	require.Nil(t, set.lookup(&events[0]))
}

// Options of the listener and of Dial reach both ends.
func TestSocketOptions(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	opts := eventloop.SocketOptions{
		RecvBuffer: 20 << 10, SendBuffer: 30 << 10, Priority: 3, UserTimeout: 7 * time.Second,
	}
	c, srv := connect(t, s.workers[0], opts)
	do(t, s.workers[0], func() {
		for _, h := range []*idle{c, srv} {
			fd := int(h.t.(*transport).fd)
			for _, o := range []struct{ level, name, want int }{
				{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
				{unix.SOL_SOCKET, unix.SO_RCVBUF, 40 << 10}, // the kernel doubles it
				{unix.SOL_SOCKET, unix.SO_SNDBUF, 60 << 10},
				{unix.SOL_SOCKET, unix.SO_PRIORITY, 3},
				{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 7000},
			} {
				got, err := unix.GetsockoptInt(fd, o.level, o.name)
				assert.NoError(t, err)
				assert.Equal(t, o.want, got, "option %d", o.name)
			}
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			assert.NoError(t, err)
			assert.NotZero(t, flags&unix.FD_CLOEXEC)
		}
	})
}

// A dial's timer does not outlive the dial.
func TestDialTimerStops(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w, to := s.workers[0], blackhole(t)
	cfg := eventloop.DialConfig{Timeout: time.Hour}
	do(t, w, func() {
		tr := w.Dial(to, cfg, newIdle())
		assert.Equal(t, 1, w.timers.Len())
		tr.Close()
		assert.Zero(t, w.timers.Len())
	})
	h := newIdle()
	echo := workerEcho(t, s)
	do(t, w, func() { w.Dial(echo, cfg, h) })
	<-h.connected
	do(t, w, func() { assert.Zero(t, w.timers.Len()) })
}

type nop struct{}

func (nop) Run() {}

func TestConfigDefaults(t *testing.T) {
	c := Config{}.withDefaults()
	require.Equal(t, runtime.GOMAXPROCS(0), c.Workers)
	require.GreaterOrEqual(t, c.ReadBudget, c.ReadBuffer)
	c = Config{Workers: 1 << 20, ReadBuffer: 1, ReadBudget: 1}.withDefaults()
	require.Equal(t, maxWorkers, c.Workers)
	require.Equal(t, minReadBuffer, c.ReadBudget)
}

func TestSockaddr(t *testing.T) {
	for _, s := range []string{"1.2.3.4:5", "[::1]:6", "[fe80::1%7]:8"} {
		addr := netip.MustParseAddrPort(s)
		sa, _, err := toSockaddr(addr)
		require.NoError(t, err)
		require.Equal(t, addr, fromSockaddr(sa))
	}
	sa, family, err := toSockaddr(netip.MustParseAddrPort("[::ffff:1.2.3.4]:5"))
	require.NoError(t, err)
	require.Equal(t, unix.AF_INET, family)
	require.Equal(t, "1.2.3.4:5", fromSockaddr(sa).String())
	_, _, err = toSockaddr(netip.MustParseAddrPort("[fe80::1%nosuchinterface]:8"))
	require.ErrorIs(t, err, unix.ENODEV)
	_, _, err = toSockaddr(netip.AddrPort{})
	require.ErrorIs(t, err, unix.EINVAL)
	require.Equal(t, netip.AddrPort{}, fromSockaddr(&unix.SockaddrUnix{}))
}
