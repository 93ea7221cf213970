package async

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// TestStuckDispatchers: as many dispatchers as are dispatched at a time hang, and the
// messenger goes on; each of them is named in the log, once, with its stack.
func TestStuckDispatchers(t *testing.T) {
	l := newLab(t)
	var book logbook
	hang := l.gate()
	open := sync.OnceFunc(hang.open)
	defer open()
	srv := l.node(entity.OSD(0), msg.StatefulServer(), l.withLog(&book), func(c *Config) {
		c.DispatchWidth, c.DispatchWidthMax, c.DispatchLimit = 2, 3, 20*time.Millisecond
	})
	srv.onMessage = func(m *msg.Message) {
		if m.Type == 9 {
			hangs(hang)
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	for i := range int64(2) {
		cl := l.client(entity.Client(i), msg.LosslessClient())
		require.NoError(t, l.connect(cl, srv).Send(&msg.Message{Type: 9}))
	}
	hang.wantArrived(2)
	cl := l.client(entity.Client(7), msg.LosslessClient())
	c := l.connect(cl, srv)
	require.NoError(t, c.Send(text("goes on")))
	l.until("it goes on", func() bool { return has(srv.texts(), "goes on") })
	l.until("both are stuck", func() bool { return srv.Stats().Queue.Stuck == 2 })
	told := func() []string { return book.lines("level=WARN", "runs for long", "callback=message") }
	l.until("both are told", func() bool { return len(told()) >= 2 })
	named := 0
	for _, line := range told() { // stacks are not written all the time
		if strings.Contains(line, "hangs(") || strings.Contains(line, "not taken: stacks were a moment ago") {
			named++
		}
	}
	require.GreaterOrEqual(t, named, 2)

	// At the bound everything waits, and that is said.
	require.NoError(t, c.Send(&msg.Message{Type: 9}))
	l.until("it is said", func() bool { return len(book.lines("level=ERROR", "everything waits")) == 1 })
	open()
	l.until("all are done", func() bool { s := srv.Stats().Queue; return s.Stuck == 0 && s.Dispatching == 0 })
	require.GreaterOrEqual(t, srv.Stats().Queue.StuckTotal, uint64(3)) // others may have been slow
	require.NoError(t, c.Send(text("as before")))
	l.until("as before", func() bool { return has(srv.texts(), "as before") })
}

//go:noinline
func hangs(g *gate) { g.pass() }

// TestEventsMax: while dispatchers hang, events do not pile up without end: what connects is
// turned away, with the reason, and comes in when they go on.
func TestEventsMax(t *testing.T) {
	l := newLab(t)
	var book logbook
	hang := l.gate()
	srv := l.node(entity.OSD(0), msg.StatefulServer(), l.withLog(&book), func(c *Config) {
		c.DispatchWidth, c.DispatchWidthMax, c.EventsMax = 1, 1, 2
	})
	srv.onEvent = func(what string, _ msg.Connection) {
		if what == "accept" {
			hang.pass()
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	for i := range int64(3) { // one hangs, two wait
		l.connect(l.client(entity.Client(i), msg.LosslessClient()), srv)
	}
	hang.wantArrived(1)
	require.Equal(t, 2, srv.Stats().Queue.Events)
	late := l.client(entity.Client(7), msg.LosslessClient())
	require.NoError(t, late.SendTo(text("late"), entity.TypeOSD, srv.Addrs()))
	l.until("turned away", func() bool { return srv.Stats().TurnedAway >= 2 })
	require.Equal(t, 2, srv.Stats().Queue.Events)
	require.Len(t, book.lines("level=WARN", "a peer could not connect", "too many events wait for dispatchers",
		"events=2", "EventsMax"), 1)
	hang.open()
	require.Equal(t, []string{"late"}, srv.wantMessages(1))
}
