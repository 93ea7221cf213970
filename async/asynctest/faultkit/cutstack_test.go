package faultkit

import (
	"bytes"
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
	"github.com/asyncmsgr/asyncmsgr/eventloop/stacktest"
	"github.com/stretchr/testify/require"
)

func openCutStack(t testing.TB, workers int, cfg CutConfig) *CutStack {
	inner, err := netpollstack.Open(netpollstack.Config{Workers: workers})
	require.NoError(t, err)
	s := NewCutStack(inner, cfg)
	t.Cleanup(func() { _ = s.Stack().Close() })
	return s
}

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// A CutStack that cuts nothing is as good as the stack beneath.
func TestCutStackConforms(t *testing.T) {
	stacktest.Run(t, func(t testing.TB) stacktest.Harness {
		s := openCutStack(t, 2, CutConfig{})
		until, notify := stacktest.RealTime(t)
		return stacktest.Harness{
			Client: s.Stack(), Server: s.Stack(), Until: until, Notify: notify,
			Addr: func() netip.AddrPort { return anyPort },
		}
	})
}

// end is one end of a connection: it writes out, and keeps what it receives.
type end struct {
	mu     *sync.Mutex
	notify func()
	t      eventloop.Transport // worker only
	out    []byte              // worker only

	in       []byte
	eof      bool
	err      error // of HandleClosed
	writeErr error
	sent     int
}

func (e *end) locked(f func()) {
	e.mu.Lock()
	f()
	e.mu.Unlock()
	e.notify()
}

func (e *end) HandleConnected(t eventloop.Transport) { t.WantFlush() }
func (e *end) ReadInto() []byte                      { return nil }
func (e *end) HandleRead(_ int, rest []byte)         { e.locked(func() { e.in = append(e.in, rest...) }) }
func (e *end) HandleClosed(err error)                { e.locked(func() { e.err = err }) }

func (e *end) HandleEOF() {
	e.t.Close()
	e.locked(func() { e.eof = true })
}

func (e *end) HandleFlush() {
	n, err := e.t.Write([][]byte{e.out[:min(3, len(e.out))], e.out[min(3, len(e.out)):]})
	if e.out = e.out[n:]; err != nil {
		e.t.Close()
	}
	e.locked(func() { e.sent += n; e.writeErr = err })
}

func (e *end) over() bool { return e.eof || e.err != nil || e.writeErr != nil }

func TestCuts(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789"), 100)
	for _, c := range []struct {
		cut   Cut
		errs  []syscall.Errno // the end that is cut is told one of these, or EOF if none
		exact bool            // the other end gets every byte before the cut
	}{
		{Cut{CutRST, CutWrite, 77}, []syscall.Errno{syscall.ECONNRESET}, false},
		{Cut{CutFIN, CutWrite, 77}, []syscall.Errno{syscall.EPIPE}, true},
		{Cut{CutVanish, CutWrite, 77}, nil, true},
		{Cut{CutFIN, CutWrite, 0}, []syscall.Errno{syscall.EPIPE}, true},
		{Cut{CutRST, CutRead, 55}, []syscall.Errno{syscall.ECONNRESET}, false},
		{Cut{CutFIN, CutRead, 55}, nil, false},
		{Cut{CutVanish, CutRead, 55}, nil, false},
		{Cut{CutRST, CutRead, 0}, []syscall.Errno{syscall.ECONNRESET}, false},
	} {
		t.Run(c.cut.String(), func(t *testing.T) {
			var counted []Cut
			var mu sync.Mutex
			s := openCutStack(t, 1, CutConfig{
				Plan: func(dialled bool) (Cut, bool) { return c.cut, dialled },
				OnCut: func(cut Cut, _, _ int64) {
					mu.Lock()
					counted = append(counted, cut)
					mu.Unlock()
				},
			})
			until, notify := stacktest.RealTime(t)
			here := &end{mu: &mu, notify: notify, out: text}
			there := &end{mu: &mu, notify: notify, out: text}
			w := s.Stack().Worker(0)
			l, err := s.Stack().Listen(anyPort, eventloop.ListenConfig{}, func(sock eventloop.Socket) {
				there.t = w.Adopt(sock, there)
				there.t.WantFlush()
			})
			require.NoError(t, err)
			require.NoError(t,
				w.Post(eventloop.TaskFunc(func() { here.t = w.Dial(l.Addr(), eventloop.DialConfig{}, here) })))
			until("both ends to see the cut", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return here.over() && there.over()
			})
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, counted, 1)
			require.EqualValues(t, 1, s.Cuts())
			require.Zero(t, s.Live())
			told := errors.Join(here.err, here.writeErr)
			if len(c.errs) == 0 {
				require.True(t, here.eof, "%v", told)
			}
			for _, e := range c.errs {
				require.ErrorIs(t, told, e)
				var ce *CutError
				require.ErrorAs(t, told, &ce)
			}
			if c.exact {
				require.Equal(t, text[:c.cut.After], append([]byte{}, there.in...))
			}
			if c.cut.Dir == CutRead {
				require.Equal(t, text[:c.cut.After], append([]byte{}, here.in...))
			}
			require.True(t, bytes.HasPrefix(text, there.in))
		})
	}
}

func TestCutStackArmAndCalm(t *testing.T) {
	s := openCutStack(t, 1, CutConfig{})
	require.False(t, s.Arm(7, Cut{}), "nothing to cut")
	var mu sync.Mutex
	until, notify := stacktest.RealTime(t)
	here, there := &end{mu: &mu, notify: notify}, &end{mu: &mu, notify: notify}
	w := s.Stack().Worker(0)
	l, err := s.Stack().Listen(anyPort, eventloop.ListenConfig{},
		func(sock eventloop.Socket) { there.t = w.Adopt(sock, there) })
	require.NoError(t, err)
	require.NoError(t, w.Post(eventloop.TaskFunc(func() { here.t = w.Dial(l.Addr(), eventloop.DialConfig{}, here) })))
	until("the connection", func() bool {
		notify()
		return s.Live() == 2
	})
	s.Calm(true)
	require.True(t, s.Arm(0, Cut{Kind: CutRST}))
	passed := make(chan struct{})
	require.NoError(t, w.Post(eventloop.TaskFunc(func() { close(passed) })))
	<-passed
	require.Equal(t, 2, s.Live(), "calm")
	s.Calm(false)
	require.True(t, s.Arm(0, Cut{Kind: CutRST}))
	until("the end", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return here.over() && there.over()
	})
	require.EqualValues(t, 1, s.Cuts())
}
