package async

import (
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// TestPanics: a panic of user code is caught and counted wherever it happens, the
// throttles get back what the message held, and the connection is faulted unless
// that is ignored. The session is lossless, so everything goes on.
func TestPanics(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		for _, where := range []string{
			"message", "fast", "preprocess", "can fast", "accept", "fast accept", "notify", "undeliverable",
		} {
			name := where
			if ignore {
				name += ", ignored"
			}
			t.Run(name, func(t *testing.T) { testPanic(t, where, ignore) })
		}
	}
}

func testPanic(t *testing.T, where string, ignore bool) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.IgnorePanics = ignore })
	var once atomic.Bool
	boom := func(here string) {
		if here == where && !once.Swap(true) {
			panic("boom in " + here)
		}
	}
	srv.preprocess = func(*msg.Message) { boom("preprocess") }
	srv.canFast = func(m *msg.Message) bool { boom("can fast"); return where == "fast" }
	srv.onFast = func(*msg.Message) { boom("fast") }
	srv.onMessage = func(*msg.Message) { boom("message") }
	srv.onEvent = func(what string, _ msg.Connection) { boom(what) }
	messages, bytes := dispatch.NewThrottle(2), dispatch.NewThrottle(100)
	srv.SetPolicyThrottlers(entity.TypeClient, messages, bytes)
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	s := l.peerOf(srv, entity.Client(1))
	switch where {
	case "notify":
		m := text("x")
		m.Notify = msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { boom("notify") })
		require.NoError(t, s.Send(m))
	case "undeliverable":
		fault(c) // what is sent now waits
		require.NoError(t, s.Send(text("dropped")))
	}
	e := &ends{l: l}
	sendAll(t, c, 50, e)
	for _, err := range e.want(50) {
		require.NoError(t, err, "accepted, whatever becomes of it")
	}
	if where == "undeliverable" {
		l.until("sent or waiting", func() bool { return srv.Stats().Delivered == 1 || !s.IsConnected() })
		hold := srv.Stats().Undeliverable
		require.NoError(t, s.Send(text("late")))
		s.MarkDown()
		l.until("sent or dropped", func() bool {
			st := srv.Stats()
			return st.Delivered+st.Undeliverable == 2 || hold > 2
		})
		if srv.Stats().Undeliverable == 0 {
			t.Skip("all was acknowledged before the mark down")
		}
	}
	l.until("panic", func() bool { return srv.Stats().Panics == 1 })
	faulted := !ignore && where != "undeliverable"
	if faulted {
		l.until("fault", func() bool { return cl.Stats().Faults >= 1 })
		l.until("again", func() bool { return srv.Stats().Accepted >= 2 && c.IsConnected() })
		require.NoError(t, c.Send(text("after")))
	}
	l.until("throttles", func() bool { return messages.Stats().Held == 0 && bytes.Stats().Held == 0 })
	want := 50
	switch where {
	case "message", "fast", "preprocess", "can fast":
		want--
	}
	if faulted {
		want++
	}
	if where != "undeliverable" {
		srv.wantMessages(want)
	}
	if ignore && where != "undeliverable" {
		require.Zero(t, srv.Stats().Faults)
	}
	require.EqualValues(t, 1, srv.Stats().Panics)
}

// TestPanicInReset: on a lossy session, of the side that breaks.
func TestPanicInReset(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	cl := l.node(entity.Client(1), msg.LossyClient())
	cl.onEvent = func(what string, _ msg.Connection) {
		if what == "reset" || what == "connect" || what == "fast connect" {
			panic("boom")
		}
	}
	require.NoError(t, cl.Start())
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	// The panic of the connect event breaks the connection, which ends it.
	l.until("closed", c.IsClosed)
	l.until("three panics", func() bool { return cl.Stats().Panics >= 2 })
	srv.want("reset", 1)
}

func TestPanicOnLoopback(t *testing.T) {
	l := newLab(t)
	n := l.node(entity.OSD(0), msg.LosslessPeer())
	n.onMessage = func(m *msg.Message) {
		if string(m.Front) == "0" {
			panic("boom")
		}
	}
	require.NoError(t, n.Start())
	sendAll(t, n.Loopback(), 10, msg.NotifyFunc(func(_ msg.Connection, m *msg.Message, _ error) {
		if string(m.Front) == "1" {
			panic("boom")
		}
	}))
	n.wantMessages(9)
	require.EqualValues(t, 2, n.Stats().Panics)
	require.False(t, n.Loopback().IsClosed())
}
