package threadpipe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

// The tests of this file are of what the suite of all kinds does not see.

func (n *hookNet) dial(ctx context.Context, to netip.AddrPort, timeout time.Duration) (socket, error) {
	if n.dialled != nil {
		close(n.dialled)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return n.network.dial(ctx, to, timeout)
}

// sendSoonLate sends a message whose deadline passes while it waits. On a busy machine it
// may pass before it is sent, which is refused.
func sendSoonLate(t *testing.T, c msg.Connection, n msg.Notifier) {
	t.Helper()
	for soon := time.Millisecond; ; soon *= 2 {
		err := c.Send(&msg.Message{Type: 1, Notify: n, Deadline: time.Now().Add(soon)})
		if !errors.Is(err, msg.ErrDeadline) {
			require.NoError(t, err)
			return
		}
	}
}

// TestDialHoldsNothingUp: while a host does not answer, the writer keeps the session's
// time; and nobody waits for the attempt when that is of no use any more.
func TestDialHoldsNothingUp(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Threads: threads, ReadyTimeout: time.Hour})
		dialled := make(chan struct{})
		cl.net = &hookNet{network: cl.net, dialled: dialled}
		require.NoError(t, cl.Start())
		at := entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}}
		c, err := cl.ConnectTo(entity.TypeOSD, at)
		require.NoError(t, err)
		wait(t, dialled)
		require.Equal(t, msg.StateConnecting, c.State())
		ends := make(chan error, 10)
		e := msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) { ends <- err })
		sendSoonLate(t, c, e)
		require.ErrorIs(t, wait(t, ends), msg.ErrDeadline)
		m := &msg.Message{Type: 1, Notify: e}
		require.NoError(t, c.Send(m))
		require.True(t, c.Cancel(m))
		require.ErrorIs(t, wait(t, ends), msg.ErrCancelled)
		require.NoError(t, c.Send(m))
		c.MarkDown()
		require.ErrorIs(t, wait(t, ends), msg.ErrMarkedDown)
		require.NoError(t, cl.Shutdown(within(t)))
		require.Zero(t, cl.Stats().Threads)
	})
}

// slowly is a network with sockets that take a byte at a time for a while, once.
type slowly struct {
	network
	armed atomic.Bool
	while time.Duration
}

type slowSocket struct {
	socket
	n     *slowly
	until time.Time
	bufs  [][]byte // not yet given to the real socket
}

func (n *slowly) dial(ctx context.Context, to netip.AddrPort, timeout time.Duration) (socket, error) {
	s, err := n.network.dial(ctx, to, timeout)
	if err != nil {
		return nil, err
	}
	return &slowSocket{socket: s, n: n}, nil
}

func (s *slowSocket) writev(bufs [][]byte) (int, error) {
	if !s.n.armed.CompareAndSwap(true, false) {
		return s.socket.writev(bufs)
	}
	s.bufs, s.until = bufs, time.Now().Add(s.n.while)
	return s.writeRest()
}

func (s *slowSocket) writeRest() (int, error) {
	bufs := s.bufs
	switch {
	case bufs == nil:
		return s.socket.writeRest()
	case time.Now().Before(s.until):
		return 1, errStalled
	}
	s.bufs = nil
	return s.socket.writev(bufs)
}

// TestSlowPeerLives: a peer that takes what is written lives, however long one write
// takes. On a machine that is so busy that a peer which takes all seems dead there is another
// try, with a longer timeout.
func TestSlowPeerLives(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		for _, timeout := range []time.Duration{time.Second, 4 * time.Second, 10 * time.Second} {
			reset := slowPeer(t, threads, timeout)
			if reset == nil {
				return
			}
			t.Logf("with a timeout of %v: %v", timeout, reset)
		}
		require.Fail(t, "it does not live")
	})
}

// slowPeer returns why the connection ended, if it did, while one write took twice the timeout.
func slowPeer(t *testing.T, threads bool, timeout time.Duration) (reset error) {
	srv := newPipes(t, entity.OSD(0), msg.StatelessServer(), Config{Threads: threads})
	require.NoError(t, srv.Bind(local))
	cl := newPipes(t, entity.Client(7), msg.LossyClient(), Config{
		Threads: threads, KeepaliveInterval: timeout / 100, KeepaliveTimeout: timeout,
	})
	slow := &slowly{network: cl.net, while: 2 * timeout}
	cl.net = slow
	in, c := start(t, srv, cl, echo{})
	require.NoError(t, c.Send(&msg.Message{Type: 1}))
	in.want(t)
	slow.armed.Store(true)
	require.NoError(t, c.Send(&msg.Message{Type: 1, TID: 7}))
	select {
	case m := <-in.msgs:
		require.EqualValues(t, 7, m.TID)
	case reset = <-in.resets:
		return reset
	case <-within(t).Done():
		require.FailNow(t, "no message")
	}
	require.False(t, slow.armed.Load())
	require.Empty(t, in.resets)
	return nil
}

// TestArbitrationTellsAll: what a pipe held that a newer one of the same peer replaced is
// reported, also if its reader had to let go of its memory first.
func TestArbitrationTellsAll(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		read := newStop()
		srv := newPipes(t, entity.OSD(0), msg.StatelessRegisteredServer(), Config{Threads: threads})
		srv.net = &hookNet{network: srv.net, read: read}
		require.NoError(t, srv.Bind(local))
		srv.AddDispatcherTail(echo{})
		require.NoError(t, srv.Start())
		cl := newPipes(t, entity.Client(7), msg.LossyClient(), Config{Threads: threads})
		in := newInbox()
		cl.AddDispatcherTail(in)
		require.NoError(t, cl.Start())
		anon := func() msg.Connection {
			c, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
			require.NoError(t, err)
			return c
		}
		a := anon()
		require.NoError(t, a.Send(&msg.Message{Type: 1}))
		in.want(t)
		p := only(t, srv)
		// The writer is held up by the sender of the first message; two more wait.
		arrived, release, ends := make(chan struct{}), make(chan struct{}), make(chan error, 10)
		letGo := sync.OnceFunc(func() { close(release) })
		t.Cleanup(letGo)
		held := msg.NotifyFunc(func(msg.Connection, *msg.Message, error) {
			close(arrived)
			<-release
		})
		require.NoError(t, p.Send(&msg.Message{Type: 1, Notify: held}))
		wait(t, arrived)
		for range 2 {
			require.NoError(t, p.Send(&msg.Message{Type: 1,
				Notify: msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) { ends <- err })}))
		}
		// The reader is inside the memory of a large payload.
		t.Cleanup(read.goOn)
		read.armed.Store(true)
		require.NoError(t, a.Send(&msg.Message{Type: 1, Data: make([]byte, 1<<20)}))
		wait(t, read.arrived)
		b := anon()
		lost := func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.sock == nil }
		require.Eventually(t, lost, 20*time.Second, time.Millisecond, "the newer one is being decided about")
		read.goOn()
		for range 2 {
			require.ErrorIs(t, wait(t, ends), msg.ErrReset)
		}
		letGo()
		require.ErrorIs(t, wait(t, in.resets), msg.ErrReset)
		require.NoError(t, b.Send(&msg.Message{Type: 1, TID: 9}))
		for in.want(t).TID != 9 {
		}
	})
}

// TestGoexitInWriter: the writer tells what its deadline has ended, again and again.
func TestGoexitInWriter(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Threads: threads, Logger: silence})
		require.NoError(t, cl.Start())
		c, err := cl.ConnectTo(entity.TypeOSD, nobody(t))
		require.NoError(t, err)
		const n = 3
		ends := make(chan error, n)
		for range n {
			sendSoonLate(t, c, msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
				ends <- err
				(&testing.T{}).FailNow()
			}))
			require.ErrorIs(t, wait(t, ends), msg.ErrDeadline)
		}
		require.NoError(t, c.Flush(within(t)))
		require.EqualValues(t, n, cl.Stats().Panics)
	})
}

// TestGoexitInShutdown: a sender that is told of the shutdown ends the goroutine of it;
// the other connections are closed, and what they held is reported, all the same.
func TestGoexitInShutdown(t *testing.T) {
	cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Logger: silence})
	require.NoError(t, cl.Start())
	const n = 5
	ends := make(chan error, n+1)
	e := msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
		ends <- err
		(&testing.T{}).FailNow()
	})
	for range n {
		c, err := cl.ConnectTo(entity.TypeOSD, nobody(t))
		require.NoError(t, err)
		require.NoError(t, c.Send(&msg.Message{Type: 1, Notify: e}))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cl.Shutdown(within(t))
	}()
	wait(t, done)
	for range n {
		require.ErrorIs(t, wait(t, ends), msg.ErrShutdown)
	}
	require.NoError(t, cl.Shutdown(within(t)))
	require.Zero(t, cl.Stats().Threads)
}

// nobody is the address of a listener that accepts nobody.
func nobody(t *testing.T) entity.AddrVec {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(ln.Addr().String())}}
}

// silence is for tests that end goroutines on purpose.
var silence = slog.New(slog.DiscardHandler)

// oddly is a priority for message i: every other one is urgent.
func oddly(i int) uint8 { return []uint8{msg.PriorityHigh, msg.PriorityDefault}[i%2] }

// TestGoexitInLoopback is the same for the thread of local delivery.
func TestGoexitInLoopback(t *testing.T) {
	for _, where := range []string{"fast dispatch", "dispatch", "notify"} {
		t.Run(where, func(t *testing.T) {
			flavours(t, func(t *testing.T, threads bool) {
				m := newPipes(t, entity.OSD(0), msg.LosslessPeer(), Config{Threads: threads, Logger: silence})
				require.NoError(t, m.Bind(local))
				var once sync.Once
				end := func(here string) {
					if here == where {
						once.Do(func() { (&testing.T{}).FailNow() })
					}
				}
				got := make(chan uint64, 100)
				m.AddDispatcherTail(&fastAndSlow{func(m *msg.Message, fast bool) {
					if fast {
						end("fast dispatch")
					} else {
						end("dispatch")
					}
					got <- m.TID
				}})
				require.NoError(t, m.Start())
				const n = 40
				lost := 1
				if where == "notify" {
					lost = 0
				}
				for i := range n {
					require.NoError(t, m.Loopback().Send(&msg.Message{Type: 1, TID: uint64(i), Priority: oddly(i),
						Notify: msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { end("notify") })}))
				}
				for range n - lost {
					wait(t, got)
				}
				require.NoError(t, m.Loopback().Flush(within(t)))
				require.Eventually(t, func() bool { n, bytes := m.Loopback().SendQueue(); return n == 0 && bytes == 0 },
					20*time.Second, time.Millisecond)
				require.EqualValues(t, 1, m.Stats().Panics)
			})
		})
	}
}

// fastAndSlow fast dispatches urgent messages.
type fastAndSlow struct {
	f func(m *msg.Message, fast bool)
}

func (d *fastAndSlow) CanFastDispatch(m *msg.Message) bool { return m.Priority == msg.PriorityHigh }
func (d *fastAndSlow) FastDispatch(m *msg.Message)         { d.f(m, true) }
func (d *fastAndSlow) Dispatch(m *msg.Message) bool        { d.f(m, false); return true }

// rejections keeps what a RejectedHandler is told.
type rejections chan error

func (r rejections) Dispatch(*msg.Message) bool                            { return true }
func (r rejections) HandleRejected(_ msg.Connection, e *msg.RejectedError) { r <- e }

// TestRejected: what the session says of a message that is not taken reaches the user.
func TestRejected(t *testing.T) {
	srv := newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{})
	require.NoError(t, srv.Bind(local))
	cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{RejectAfter: 3})
	require.Equal(t, 3, cl.sessCfg.RejectAfter)
	r := make(rejections, 1)
	cl.AddDispatcherTail(r)
	start(t, srv, cl, echo{})
	p := only(t, cl)
	why := &msg.RejectedError{Type: 1, Attempts: 3, Dropped: true, Err: session.ErrPeerClosed}
	p.mu.Lock()
	p.carryOut(session.Output{Kind: session.OutRejected, Err: why})
	p.mu.Unlock()
	require.Same(t, why, wait(t, r))
	require.EqualValues(t, 1, cl.Stats().Rejected)
}

// logged is a log that is read line by line.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) lines(with string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(l.b.String(), "\n") {
		if strings.Contains(line, with) {
			n++
		}
	}
	return n
}

// refusals counts what a RefusedHandler is told.
type refusals struct{ n atomic.Int32 }

func (r *refusals) Dispatch(*msg.Message) bool               { return true }
func (r *refusals) HandleRefused(msg.Connection, error) bool { r.n.Add(1); return true }

// TestFailuresAreSaid: each failure is counted, and the first of its kind is logged with
// what may be wrong.
func TestFailuresAreSaid(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		var log logged
		logger := slog.New(slog.NewTextHandler(&log, nil))
		srv := newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{Threads: threads, Logger: logger})
		require.NoError(t, srv.Bind(local))
		place := entity.AddrVec{srv.Addrs()[0].WithAnyNonce()}
		require.NoError(t, srv.Shutdown(within(t)))
		cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Threads: threads, Logger: logger})
		refused := &refusals{}
		cl.AddDispatcherTail(refused)
		require.NoError(t, cl.Start())
		c, err := cl.ConnectTo(entity.TypeOSD, place)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return refused.n.Load() >= 5 }, 20*time.Second, time.Millisecond)
		require.Equal(t, 1, log.lines(`msg="cannot connect"`))
		require.Equal(t, 1, log.lines("is the peer running, is the port right?"))
		require.GreaterOrEqual(t, cl.Stats().ConnectFailures[msg.ReasonRefused], uint64(5))

		srv = newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{Threads: threads, Logger: logger})
		require.NoError(t, srv.Bind(place[0].AddrPort))
		require.NoError(t, srv.Start())
		require.Eventually(t, c.IsConnected, 20*time.Second, time.Millisecond)
		require.Equal(t, 1, log.lines(`msg="connected after failed attempts"`))
		for range 3 {
			s, err := net.Dial("tcp", place[0].AddrPort.String())
			require.NoError(t, err)
			_, err = s.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			require.NoError(t, err)
			_, _ = s.Read(make([]byte, 1<<10))
			s.Close()
		}
		said := func() uint64 { return srv.Stats().AcceptFailures[msg.ReasonNotMsgr] }
		require.Eventually(t, func() bool { return said() == 3 }, 20*time.Second, time.Millisecond)
		require.NoError(t, srv.Shutdown(within(t)))
		require.Equal(t, 1, log.lines(`msg="a peer could not connect"`))
	})
}

// TestOwns: a messenger is reached at what it is bound to, in whatever form the address
// is written, by its nonce or without any.
func TestOwns(t *testing.T) {
	m := newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{})
	addr := func(s string) entity.Addr {
		a, err := entity.ParseAddr(s)
		require.NoError(t, err)
		return a
	}
	here := netip.MustParseAddr("203.0.113.1") // of the connection
	for _, x := range []struct {
		bound, target string
		owns          bool
	}{
		{"203.0.113.9:7", "v2:203.0.113.9:7/5", true},
		{"203.0.113.9:7", "v2:203.0.113.9:7", true},
		{"203.0.113.9:7", "v2:[::ffff:203.0.113.9]:7/5", true},
		{"[::ffff:203.0.113.9]:7", "v2:203.0.113.9:7/5", true},
		{"203.0.113.9:7", "v2:203.0.113.9:7/6", false},
		{"203.0.113.9:7", "v2:203.0.113.9:7/0", false},
		{"203.0.113.9:7", "v2:203.0.113.9:8/5", false},
		{"203.0.113.9:7", "v1:203.0.113.9:7/5", false},
		{"203.0.113.9:7", "v2:203.0.113.1:7/5", false},
		{"0.0.0.0:7", "v2:203.0.113.1:7/5", true},
		{"0.0.0.0:7", "v2:127.0.0.1:7", true},
		{"0.0.0.0:7", "v2:[::1]:7/5", false},
		{"0.0.0.0:7", "v2:203.0.113.2:7/5", false},
		{"0.0.0.0:7", "v2:203.0.113.1:7/6", false},
		{"[::]:7", "v2:[::1]:7/5", true},
		{"[::]:7", "v2:203.0.113.1:7/5", true},
	} {
		m.Move(listening([]netip.AddrPort{netip.MustParseAddrPort(x.bound)}, 5))
		require.Equal(t, x.owns, m.Owns(addr(x.target), here), "%s at %s", x.target, x.bound)
	}
	m.Identity.Init(5, netip.Addr{}, hostHas)
	require.False(t, m.Owns(addr("v2:127.0.0.1:7/5"), here))
}

// TestConfigIsChecked: what makes no sense is refused with the field's name.
func TestConfigIsChecked(t *testing.T) {
	_, err := New(Config{ReadyTimeout: -1})
	require.ErrorContains(t, err, "ReadyTimeout")
	require.False(t, errors.Is(err, msg.ErrShutdown))
}
