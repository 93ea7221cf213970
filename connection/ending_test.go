package connection

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// TestNoTimerAfterTheEnd: however a connection ends, its worker holds no timer of it,
// which would hold the connection for as long as IdleTimeout.
func TestNoTimerAfterTheEnd(t *testing.T) {
	for how, end := range map[string]func(p *pair){
		"mark down":       func(p *pair) { p.a.MarkDown() },
		"lossy and lost":  func(p *pair) { p.a.HandleClosed(errBroken) },
		"lossy and EOF":   func(p *pair) { p.a.HandleEOF() },
		"lossy and fault": func(p *pair) { p.a.Fault(errBroken) },
		"idle": func(p *pair) {
			for range 2 { // the peer does not answer when it is asked
				p.wa.now += time.Hour
				p.a.HandleTimer(p.wa.now)
			}
		},
	} {
		p := newPair(t, msg.LossyClient(), msg.StatelessServer())
		require.Equal(t, 1, p.wa.timers.Len(), how)
		require.Equal(t, 1, p.wb.timers.Len(), how)
		end(p)
		p.settle()
		require.Equal(t, 1, p.ra.count("ended"), how)
		require.Zero(t, p.wa.timers.Len(), how)
		require.Equal(t, 1, p.wb.timers.Len(), "the peer has not noticed")
	}
	// One that never came to be.
	p := unmet(msg.LosslessClient(), msg.StatefulServer())
	p.a.Start()
	p.wa.run()
	require.Equal(t, 1, p.wa.timers.Len())
	p.a.MarkDown()
	p.wa.run()
	require.Zero(t, p.wa.timers.Len())
}

// queueing is a sink with the batch and the queue of a messenger.
type queueing struct {
	recorder
	batch, queue []string
	discarded    int
}

func (q *queueing) Deliver(*Conn, *msg.Message) { q.batch = append(q.batch, "message") }
func (q *queueing) Event(_ *Conn, ev Event, _ error) {
	q.batch = append(q.batch, map[Event]string{EventRemoteReset: "remote reset", EventReset: "reset",
		EventFault: "fault", EventFastFault: "fast fault"}[ev])
}
func (q *queueing) EndOfBatch(*Conn) { q.queue, q.batch = append(q.queue, q.batch...), nil }

func (q *queueing) EndOfRead(c *Conn) { q.EndOfBatch(c) }
func (q *queueing) Discard(*Conn) {
	kept := q.queue[:0]
	for _, x := range q.queue {
		if x == "message" {
			q.discarded++
		} else {
			kept = append(kept, x)
		}
	}
	q.queue = kept
}

// encoded are messages with these numbers, as they come from the peer.
func encoded(seqs ...uint64) []byte {
	var e frame.Encoder
	b := new(frame.Batch)
	for _, seq := range seqs {
		e.AppendMessage(b, &frame.Header{Seq: seq, Type: 1, Priority: 127}, []byte("front"), nil, nil)
	}
	return b.AppendTo(nil)
}

// TestRemoteResetDropsWhatCameWithIt: what one read brought before it showed that the
// session is lost is of that session too, and is not dispatched.
func TestRemoteResetDropsWhatCameWithIt(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	q := &queueing{}
	p.b.sh.Sink = q
	p.wb.pipe.h.HandleRead(0, encoded(1, 3)) // 2 is missing
	require.Equal(t, []string{"remote reset", "fault", "fast fault"}, q.queue)
	require.Empty(t, q.batch)
	require.Equal(t, 1, q.discarded)
	require.EqualValues(t, 1, p.b.stats().Received.Load())
	require.EqualValues(t, 1, p.b.stats().RemoteResets.Load())

	// In several reads it is the same.
	p = newPair(t, msg.LosslessClient(), msg.StatefulServer())
	q = &queueing{}
	p.b.sh.Sink = q
	p.wb.pipe.h.HandleRead(0, encoded(1))
	require.Equal(t, []string{"message"}, q.queue)
	p.wb.pipe.h.HandleRead(0, encoded(2, 4))
	require.Equal(t, []string{"remote reset", "fault", "fast fault"}, q.queue)
	require.Equal(t, 2, q.discarded)
}

// TestClosedBeforeItIsTold: a connection that is closed by its user in the moment in
// which its session becomes ready is not told to be connected, and is not.
func TestClosedBeforeItIsTold(t *testing.T) {
	for _, side := range []string{"connector", "acceptor"} {
		p := unmet(msg.LosslessClient(), msg.StatefulServer())
		c, r, other := p.a, p.ra, p.b
		closed := 0
		if side == "connector" {
			p.a.sh.Session.Observe = func(_ session.State, tag frame.Tag) {
				if tag == frame.TagServerIdent {
					closed++
					p.a.MarkDown() // as another goroutine would
				}
			}
		} else {
			c, r, other = p.b, p.rb, p.a
			p.rb.onArbitrate = func(c *Conn) {
				welcome(c)
				closed++
				c.MarkDown()
				c.Answered()
				require.False(t, c.IsConnected())
			}
		}
		p.meet()
		require.Equal(t, 1, closed, side)
		require.Equal(t, session.StateClosed, c.Session().State())
		require.False(t, c.IsConnected(), side)
		require.Zero(t, r.count("event"), side)
		require.Equal(t, 1, r.count("gone"), side)
		require.Equal(t, 1, r.count("ended"), side)
		require.False(t, other.IsClosed())
	}
}

// TestLendClosed: a message that was accepted before the connection was closed, and
// whose sender becomes the worker behind that, is not written any more.
func TestLendClosed(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	p.wa.asleep = true
	p.wa.now += time.Millisecond
	g := &whenGone{welcoming: p.ra}
	p.a.sh.Sink = g
	told := 0
	notify := msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
		require.ErrorIs(t, err, msg.ErrMarkedDown)
		told++
	})
	p.wa.onLend = func() {
		p.wa.onLend = nil
		// Another goroutine is in the middle of MarkDown: no command is given yet.
		g.then = func() {
			require.Zero(t, p.wa.pipe.out.Len())
			lent := p.wa.loan
			lent.Run()
			require.Zero(t, p.wa.pipe.out.Len(), "written after the connection was closed")
			require.Zero(t, told)
		}
		p.a.MarkDown()
	}
	require.NoError(t, p.a.Send(&msg.Message{Notify: notify}))
	require.Equal(t, 1, p.wa.lent)
	require.True(t, p.a.IsClosed())
	p.wa.run()
	require.Equal(t, 1, told)
	require.Len(t, p.ra.undeliverable, 1)
	require.Zero(t, p.wa.pipe.out.Len())
	require.Equal(t, 1, p.ra.count("ended"))
}

// whenGone does something in the middle of a close.
type whenGone struct {
	*welcoming
	then func()
}

func (g *whenGone) Gone(c *Conn) {
	g.welcoming.Gone(c)
	if f := g.then; f != nil {
		g.then = nil
		f()
	}
}

// TestRoomComesBack: what a connection holds for sending is counted to the byte,
// whoever writes it and however it ends: at rest there is room for as much as ever.
func TestRoomComesBack(t *testing.T) {
	const most, size = 4, 250
	for _, p := range []struct {
		name           string
		client, server msg.Policy
	}{
		{"lossless", msg.LosslessClient(), msg.StatefulServer()},
		{"lossy", msg.LossyClient(), msg.StatelessServer()},
	} {
		for _, asleep := range []bool{false, true} {
			for _, notify := range []msg.Notifier{nil, msg.NotifyFunc(func(msg.Connection, *msg.Message, error) {})} {
				x := newPair(t, p.client, p.server)
				o := &x.a.sh.Options
				o.Send.MessagesMax, o.Send.BytesMax = most, most*size
				x.wa.asleep = asleep
				for round := range 20 {
					x.wa.now += time.Millisecond
					x.wb.now += time.Millisecond
					if asleep { // one at a time is written by who sends it
						for range 3 {
							x.wa.now += time.Millisecond
							require.NoError(t, x.a.Send(&msg.Message{Data: make([]byte, size), Notify: notify}))
							x.settle()
						}
					}
					x.wa.asleep = false // what follows stays with the worker
					for range most {
						require.NoError(t, x.a.Send(&msg.Message{Data: make([]byte, size), Notify: notify}),
							"%s, asleep %t, round %d", p.name, asleep, round)
					}
					require.ErrorIs(t, x.a.Send(&msg.Message{Notify: notify}), msg.ErrQueueFull)
					x.settle()
					x.wa.asleep = asleep
				}
				if asleep {
					require.Greater(t, x.wa.lent, 20)
				}
			}
		}
	}
	// What the peer's reset drops gives its room back too.
	x := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	o := &x.a.sh.Options
	o.Send.MessagesMax, o.Send.BytesMax = most, most*size
	fill := func() {
		for range most {
			require.NoError(t, x.a.Send(&msg.Message{Data: make([]byte, size)}))
		}
		require.ErrorIs(t, x.a.Send(&msg.Message{}), msg.ErrQueueFull)
	}
	fill()
	x.wa.run()
	x.wa.pipe.h.HandleRead(0, encoded(1, 3))
	require.EqualValues(t, 1, x.a.stats().RemoteResets.Load())
	require.Len(t, x.ra.undeliverable, most)
	fill()
}

var _ eventloop.Lender = (*lender)(nil)
