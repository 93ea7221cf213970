package async

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
	"github.com/stretchr/testify/require"
)

// hookLog is a log that does something at each line: the messenger's own moments,
// between two of its steps.
type hookLog struct {
	mu    sync.Mutex
	lines []string
	on    func(line string) // called by whoever logs; nil: nothing
}

func (h *hookLog) Enabled(context.Context, slog.Level) bool { return true }
func (h *hookLog) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *hookLog) WithGroup(string) slog.Handler            { return h }
func (h *hookLog) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	h.lines = append(h.lines, r.Message)
	f := h.on
	h.mu.Unlock()
	if f != nil {
		f(r.Message)
	}
	return nil
}

// do sets what happens at each line from now on.
func (h *hookLog) do(f func(line string)) {
	h.mu.Lock()
	h.on = f
	h.mu.Unlock()
}

// times is how often a line that begins so was logged.
func (h *hookLog) times(begin string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.lines {
		if strings.HasPrefix(s, begin) {
			n++
		}
	}
	return n
}

const tryingAgain = "bind: address in use, trying again"

// twoPorts are free ones that follow each other, below those that a kernel gives to
// whoever asks for any.
func twoPorts(t *testing.T) uint16 {
	for p := uint16(10000 + 2*(os.Getpid()%10000)); p < 32000; p += 2 {
		if free(p) && free(p+1) {
			return p
		}
	}
	t.Fatal("no two ports are free")
	return 0
}

// TestRebindTakesAnotherPort: of a range of two it goes from one to the other, each
// time, and is reached there. A port that somebody else has is passed over.
func TestRebindTakesAnotherPort(t *testing.T) {
	l := newLab(t)
	first := twoPorts(t)
	inRange := func(c *Config) { c.BindPortMin, c.BindPortMax = first, first+1 }
	srv := l.server(entity.OSD(0), msg.StatelessServer(), inRange, func(c *Config) {
		c.BindRetries, c.BindRetryDelay = 1<<30, time.Millisecond // until the last one's socket is gone
	})
	cl := l.client(entity.Client(1), msg.LossyClient())
	nonce := srv.Addrs()[0].Nonce
	for i := range 6 {
		require.Equal(t, first+uint16(i%2), srv.Addrs()[0].AddrPort.Port())
		require.Equal(t, nonce+uint32(i)*nonceStep, srv.Addrs()[0].Nonce)
		require.NoError(t, l.connect(cl, srv).Send(text("%d", i)))
		require.Equal(t, numbers(i+1), srv.wantMessages(i+1))
		require.NoError(t, srv.Rebind())
	}
	require.NoError(t, srv.Shutdown(timeout(t)))

	n := l.node(entity.OSD(1), msg.LosslessPeer(), inRange)
	l.until("both ports are free", func() bool { return free(first) && free(first+1) })
	taken, err := net.Listen("tcp", netip.AddrPortFrom(local.Addr(), first).String())
	require.NoError(t, err)
	defer taken.Close()
	require.NoError(t, n.Bind(local))
	require.Equal(t, first+1, n.Addrs()[0].AddrPort.Port())
	require.ErrorIs(t, n.Rebind(), syscall.EADDRINUSE, "one is taken, the other was its own")
	taken.Close()
	require.ErrorIs(t, n.Rebind(first, first+1), syscall.EADDRINUSE, "both are to be avoided")
	// It may be called again; the port it had is no more its own, once its socket is gone.
	l.until("the port is free", func() bool { return n.Rebind(first+1) == nil })
	require.Equal(t, first, n.Addrs()[0].AddrPort.Port())
}

// TestBindRetries: a port that is taken is tried again, so many times, and no longer
// than its caller wants to wait.
func TestBindRetries(t *testing.T) {
	l := newLab(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	at := netip.MustParseAddrPort(taken.Addr().String())
	node := func(log *hookLog, retries int, delay time.Duration) *node {
		return l.node(entity.OSD(0), msg.LosslessPeer(), func(c *Config) {
			c.Logger, c.BindRetries, c.BindRetryDelay = slog.New(log), retries, delay
		})
	}

	t.Run("in vain", func(t *testing.T) {
		for _, retries := range []int{-1, 1, 3} {
			log := &hookLog{}
			n := node(log, retries, time.Nanosecond)
			require.ErrorIs(t, n.Bind(at), syscall.EADDRINUSE)
			require.Equal(t, max(retries, 0), log.times(tryingAgain))
			require.NoError(t, n.Bind(local), "an attempt that failed is none")
			require.ErrorIs(t, n.Bind(local), ErrBound)
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		n := node(&hookLog{on: func(s string) {
			if s == tryingAgain {
				cancel()
			}
		}}, 3, time.Hour)
		require.ErrorIs(t, n.BindContext(ctx, at), context.Canceled)
	})
	t.Run("shut down meanwhile", func(t *testing.T) {
		log := &hookLog{}
		n := node(log, 1000, time.Nanosecond)
		log.do(func(s string) {
			if s == tryingAgain {
				log.do(nil)
				require.NoError(t, n.Shutdown(timeout(t)))
			}
		})
		require.ErrorIs(t, n.Bind(at), msg.ErrShutdown)
		require.Equal(t, 1, log.times(tryingAgain))
	})
	t.Run("another error is no reason to wait", func(t *testing.T) {
		log := &hookLog{}
		n := node(log, 3, time.Hour)
		err := n.Bind(netip.MustParseAddrPort("203.0.113.1:0")) // not ours
		require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
		require.Zero(t, log.times(tryingAgain))
		require.Error(t, n.Bind(), "nowhere")
	})
	t.Run("one of two", func(t *testing.T) {
		// What could be had is given back.
		other := netip.AddrPortFrom(local.Addr(), twoPorts(t))
		n := node(&hookLog{}, -1, 0)
		require.ErrorIs(t, n.Bind(other, at), syscall.EADDRINUSE)
		l.until("the port is free", func() bool { return free(other.Port()) })
		require.NoError(t, n.Bind(other))
	})
	t.Run("at last", func(t *testing.T) {
		log := &hookLog{}
		log.do(func(s string) {
			if s == tryingAgain && log.times(tryingAgain) == 2 {
				taken.Close()
			}
		})
		n := node(log, 1<<30, time.Nanosecond)
		require.NoError(t, n.Bind(at))
		require.GreaterOrEqual(t, log.times(tryingAgain), 2)
		require.Equal(t, at, n.Addrs()[0].AddrPort)
		require.NoError(t, n.Start())
		cl := l.client(entity.OSD(1), msg.LosslessPeer())
		require.NoError(t, l.connect(cl, n).Send(text("here")))
		require.Equal(t, []string{"here"}, n.wantMessages(1))
	})
}

// stubbornStack is a kernel that always chooses the same port.
type stubbornStack struct {
	eventloop.Stack
	port   uint16
	opened []*stubbornListener
}

type stubbornListener struct {
	eventloop.Listener
	at     netip.AddrPort
	closed int
}

func (s *stubbornStack) Listen(
	at netip.AddrPort, _ eventloop.ListenConfig, _ func(eventloop.Socket),
) (eventloop.Listener, error) {
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), s.port)
	}
	ln := &stubbornListener{at: at}
	s.opened = append(s.opened, ln)
	return ln, nil
}
func (l *stubbornListener) Addr() netip.AddrPort { return l.at }
func (l *stubbornListener) Close() error         { l.closed++; return nil }

// TestRebindAvoidsTheKernelsChoice: a port that is to be avoided is given back, and
// the kernel is not asked without end.
func TestRebindAvoidsTheKernelsChoice(t *testing.T) {
	l := newLab(t)
	s := &stubbornStack{Stack: l.stack, port: 7000}
	n := l.node(entity.OSD(0), msg.LosslessPeer(), func(c *Config) { c.Stack = forward.StackAs(s, s.Stack) })
	require.NoError(t, n.Bind(local))
	err := n.Rebind()
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.False(t, errors.Is(err, msg.ErrShutdown))
	require.GreaterOrEqual(t, len(s.opened), 1+2)
	require.LessOrEqual(t, len(s.opened), 1+64)
	for _, ln := range s.opened {
		require.Equal(t, 1, ln.closed, "each is closed once")
	}
	s.port = 7001
	require.NoError(t, n.Rebind())
	require.EqualValues(t, 7001, n.Addrs()[0].AddrPort.Port())
}

// TestRebindAsksForNoPortToAvoid: of a range those that are to be avoided are not even opened.
func TestRebindAsksForNoPortToAvoid(t *testing.T) {
	l := newLab(t)
	s := &stubbornStack{Stack: l.stack}
	n := l.node(entity.OSD(0), msg.LosslessPeer(), func(c *Config) {
		c.Stack = forward.StackAs(s, s.Stack)
		c.BindPortMin, c.BindPortMax = 7000, 7003
	})
	require.NoError(t, n.Bind(local))
	require.NoError(t, n.Rebind(7001))
	require.EqualValues(t, 7002, n.Addrs()[0].AddrPort.Port())
	var asked []uint16
	for _, ln := range s.opened {
		asked = append(asked, ln.at.Port())
	}
	require.Equal(t, []uint16{7000, 7002}, asked)
}
