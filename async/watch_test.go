package async

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
	"github.com/stretchr/testify/require"
)

// lateStack is a stack whose time the test moves on. Its workers, like real ones, have
// the time at which their round began.
type lateStack struct {
	eventloop.Stack
	late atomic.Int64 // nanoseconds
}

type lateClock struct {
	eventloop.Clock
	s *lateStack
}

type lateWorker struct {
	eventloop.Worker
	s           *lateStack
	mu          sync.Mutex
	round, late time.Duration
}

func newLateStack(s eventloop.Stack) *lateStack {
	l := &lateStack{}
	l.Stack = forward.Stack(s, func(w eventloop.Worker) eventloop.Worker { return &lateWorker{Worker: w, s: l} })
	return l
}

// whole is for Config.Stack.
func (s *lateStack) whole() eventloop.Stack { return forward.StackAs(s, s.Stack) }

func (s *lateStack) Clock() eventloop.Clock { return lateClock{s.Stack.Clock(), s} }
func (c lateClock) Now() time.Duration      { return c.Clock.Now() + time.Duration(c.s.late.Load()) }
func (w *lateWorker) Now() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.Worker.Now(); now != w.round {
		w.round, w.late = now, time.Duration(w.s.late.Load())
	}
	return w.round + w.late
}

// TestWatchdog: fast dispatch that holds up a worker for longer than
// FastDispatchLimit is counted and logged, once for each time.
func TestWatchdog(t *testing.T) {
	for _, limit := range []time.Duration{time.Hour, -1} {
		t.Run(limit.String(), func(t *testing.T) { testWatchdog(t, limit) })
	}
}

func testWatchdog(t *testing.T, limit time.Duration) {
	const held = "fast dispatch held up a worker"
	l := newLab(t)
	s, log := newLateStack(l.stack), &hookLog{}
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) {
		c.Stack, c.FastDispatchLimit, c.Logger = s.whole(), limit, slog.New(log)
	})
	srv.canFast = func(*msg.Message) bool { return true }
	srv.onFast = func(m *msg.Message) {
		if string(m.Front) == "slow" {
			s.late.Add(int64(2 * time.Hour))
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	n := 0
	say := func(what string) {
		t.Helper()
		e := &ends{l: l}
		m := text("%s", what)
		m.Notify = e
		require.NoError(t, c.Send(m))
		require.NoError(t, e.want(1)[0]) // acknowledged: the batch is over
		n++
		srv.wantMessages(n)
	}
	for range 3 {
		say("quick")
	}
	require.Zero(t, log.times(held))
	slow := 0
	for range 3 {
		s.late.Add(int64(2 * time.Hour)) // nobody says anything for so long
		say("quick")
		say("slow")
		if limit > 0 {
			slow++
		}
		say("quick")
		require.EqualValues(t, slow, srv.Stats().SlowFastDispatches)
		require.Equal(t, slow, log.times(held))
	}
	require.EqualValues(t, n, srv.Stats().FastDispatched)
}

// TestWatchdogWithinARound: of several connections that a worker reads from in one
// round, only that is blamed whose dispatch took so long.
func TestWatchdogWithinARound(t *testing.T) {
	l := newLab(t)
	s := newLateStack(l.stack)
	m := l.node(entity.OSD(0), msg.LosslessPeer(),
		func(c *Config) { c.Stack, c.FastDispatchLimit = s.whole(), time.Hour })
	b, round := &batch{}, s.Clock().Now()
	m.watch(nil, b, round)
	require.Zero(t, m.Stats().SlowFastDispatches)
	for i := range 3 {
		s.late.Add(int64(2 * time.Hour))
		m.watch(nil, b, round)
		m.watch(nil, b, round)
		require.EqualValues(t, i+1, m.Stats().SlowFastDispatches)
	}
}
