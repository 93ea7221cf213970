package async

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// selfish is a started node with the gate that holds up its dispatcher at "hold" and
// its worker at "busy".
func selfish(l *lab, change ...func(*Config)) (n *node, dispatcher, worker *gate) {
	l.t.Helper()
	n = l.node(entity.OSD(0), msg.LosslessPeer(), change...)
	dispatcher, worker = l.gate(), l.gate()
	n.onMessage = func(m *msg.Message) {
		if string(m.Front) == "hold" {
			dispatcher.pass()
		}
	}
	n.canFast = func(m *msg.Message) bool { return string(m.Front) == "busy" }
	n.onFast = func(*msg.Message) { worker.pass() }
	require.NoError(l.t, n.Start())
	l.t.Cleanup(worker.open) // before the node is shut down
	l.t.Cleanup(dispatcher.open)
	return n, dispatcher, worker
}

// TestLoopbackMarkDownDropsWhatIsQueued: what waits for a dispatcher is dropped and
// counted, the one that is being dispatched is not, and there is room again.
func TestLoopbackMarkDownDropsWhatIsQueued(t *testing.T) {
	l := newLab(t)
	n, hold, _ := selfish(l, func(c *Config) { c.SendQueueMessages = 4 })
	c := n.Loopback()
	require.NoError(t, c.Send(text("hold")))
	hold.wantArrived(1)
	e := &ends{l: l}
	for round := range 3 {
		sendAll(t, c, 3, e)
		l.until("queued", func() bool { return n.Stats().Queue.Len == 3 })
		require.ErrorIs(t, c.Send(text("full")), msg.ErrQueueFull)
		c.MarkDown()
		require.Zero(t, n.Stats().Queue.Len)
		require.EqualValues(t, 3*(round+1), n.Stats().Discarded)
	}
	for _, err := range e.want(9) {
		require.NoError(t, err, "it had been handed to the dispatch queue")
	}
	require.False(t, c.IsClosed())
	require.NoError(t, c.Send(text("next")))
	hold.open()
	require.Equal(t, []string{"hold", "next"}, n.wantMessages(2))
	require.Zero(t, n.times("undeliverable"))
}

// TestLoopbackMarkDownDropsWhatWasSent: what its worker has not taken yet is reported
// undeliverable, each message once, and a notifier that panics takes nobody along.
func TestLoopbackMarkDownDropsWhatWasSent(t *testing.T) {
	for _, how := range []string{"mark down", "shutdown"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			n, _, busy := selfish(l, func(c *Config) { c.SendQueueBytes = 100 })
			c := n.Loopback()
			require.NoError(t, c.Send(text("busy")))
			busy.wantArrived(1)
			e := &ends{l: l}
			pooled := msg.New(1000, 6)
			pooled.ReleaseAfterSend()
			copy(pooled.Front, "pooled")
			front := pooled.Front
			require.NoError(t, c.Send(pooled))
			sendAll(t, c, 2, e)
			boom := text("boom")
			boom.Notify = msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
				e.MessageSent(nil, nil, err)
				panic("boom")
			})
			require.NoError(t, c.Send(boom))
			reason := error(msg.ErrMarkedDown)
			switch how {
			case "mark down":
				c.MarkDown()
				require.NotEqual(t, "pooled", string(front), "given back") // and poisoned
				require.NoError(t, c.Send(&msg.Message{Data: make([]byte, 100-len("busy"))}), "there is room again")
				require.ErrorIs(t, c.Send(text("x")), msg.ErrQueueFull)
				busy.open()
				n.wantMessages(2)
			case "shutdown":
				reason = msg.ErrShutdown
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				require.ErrorIs(t, n.Shutdown(ctx), context.Canceled, "the worker is busy")
				require.Len(t, e.all(), 3, "reported by who closes it")
				busy.open()
				require.NoError(t, n.Shutdown(timeout(t)))
				n.wantMessages(1)
			}
			for _, err := range e.want(3) {
				require.ErrorIs(t, err, reason)
			}
			var texts []string
			n.want("undeliverable", 4)
			for _, h := range n.events("undeliverable") {
				require.ErrorIs(t, h.err, reason)
				texts = append(texts, h.text)
			}
			require.Equal(t, []string{"pooled", "0", "1", "boom"}, texts)
			s := n.Stats()
			require.EqualValues(t, 4, s.Undeliverable)
			require.EqualValues(t, 1, s.Panics)
			if how != "mark down" {
				require.True(t, c.IsClosed())
				require.EqualValues(t, 1, s.Delivered)
			}
		})
	}
}

// TestLoopbackBounds: its queue has the bounds of any other, and what waits for room
// is told of the end.
func TestLoopbackBounds(t *testing.T) {
	l := newLab(t)
	n, hold, _ := selfish(l, func(c *Config) { c.SendQueueMessages, c.SendQueueBytes = 4, 1000 })
	c := n.Loopback()
	// Bytes: an oversized message is let in alone.
	big := text("hold")
	big.Data = make([]byte, 2000)
	require.NoError(t, c.Send(big))
	hold.wantArrived(1)
	require.ErrorContains(t, c.Send(text("x")), "1 messages, 2004 bytes")
	got := make(chan error, 3)
	send := func(ctx context.Context, x *msg.Message) {
		t.Helper()
		line := &inLine{Context: ctx}
		go func() { got <- c.SendContext(line, x) }()
		l.until("somebody who waits for room", line.waiting.Load)
	}
	send(context.Background(), text("waits"))
	hold.open()
	require.NoError(t, <-got, "there is room when the dispatcher is done")
	n.wantMessages(2)

	// Messages.
	n, hold, _ = selfish(l, func(c *Config) { c.SendQueueMessages, c.SendQueueBytes = 3, 1000 })
	c = n.Loopback()
	require.NoError(t, c.Send(text("hold")))
	hold.wantArrived(1)
	sendAll(t, c, 2, nil)
	require.ErrorIs(t, c.Send(text("x")), msg.ErrQueueFull)
	ctx, cancel := context.WithCancel(context.Background())
	send(ctx, text("gives up"))
	cancel()
	err := <-got
	require.ErrorIs(t, err, msg.ErrQueueFull)
	require.ErrorIs(t, err, context.Canceled)

	// The end.
	for range 2 {
		send(context.Background(), text("too late"))
	}
	l.until("queued", func() bool { return n.Stats().Queue.Len == 2 })
	canceled, stop := context.WithCancel(context.Background())
	stop()
	require.ErrorIs(t, n.Shutdown(canceled), context.Canceled)
	for range 2 {
		err := <-got
		require.ErrorIs(t, err, msg.ErrClosed)
		require.ErrorIs(t, err, msg.ErrShutdown)
	}
	hold.open()
	require.NoError(t, n.Shutdown(timeout(t)))
	require.Equal(t, []string{"hold"}, n.wantMessages(1))
	require.EqualValues(t, 2, n.Stats().Discarded)

	// The end, when all that takes room is being dispatched.
	n, hold, _ = selfish(l, func(c *Config) { c.SendQueueMessages = 1 })
	c = n.Loopback()
	require.NoError(t, c.Send(text("hold")))
	hold.wantArrived(1)
	send(timeout(t), text("too late"))
	require.ErrorIs(t, n.Shutdown(canceled), context.Canceled)
	require.ErrorIs(t, <-got, msg.ErrShutdown)
	hold.open()
}

// inLine is a context that knows whether somebody waits for its end.
type inLine struct {
	context.Context
	waiting atomic.Bool
}

func (c *inLine) Done() <-chan struct{} {
	c.waiting.Store(true)
	return c.Context.Done()
}

// shut is a worker of a stack that was closed.
type shut struct{ eventloop.Worker }

func (shut) Post(eventloop.Task) error { return eventloop.ErrStackClosed }

// TestLoopbackOfAClosedStack: nothing is accepted that nobody would deliver.
func TestLoopbackOfAClosedStack(t *testing.T) {
	l := newLab(t)
	n, _, _ := selfish(l, func(c *Config) { c.SendQueueMessages = 1 })
	w := n.loop.w
	n.loop.w = shut{w}
	for range 3 {
		require.ErrorIs(t, n.Loopback().Send(text("x")), msg.ErrShutdown)
	}
	n.loop.w = w
	require.NoError(t, n.Loopback().Send(text("y")), "what was refused takes no room")
	require.Equal(t, []string{"y"}, n.wantMessages(1))
}

// TestLoopbackValue: any goroutine may set it and look at it.
func TestLoopbackValue(t *testing.T) {
	l := newLab(t)
	n := l.node(entity.OSD(0), msg.LosslessPeer())
	c := n.Loopback()
	require.Nil(t, c.Value())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				c.SetValue([2]int{g, i})
				v := c.Value().([2]int)
				if v[0] == g && v[1] < i {
					t.Errorf("%v, after %d", v, i)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 199, c.Value().([2]int)[1])
}
