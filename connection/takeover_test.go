package connection

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

var errBroken = errors.New("broken by the test")

// comeBack has a, which has lost its transport, call again: in is what b's messenger
// accepts. arbitrate is what that does with it.
func (p *pair) comeBack(t *testing.T, arbitrate func(in *Conn)) (in *Conn) {
	t.Helper()
	p.rb.onArbitrate = arbitrate
	in = Accept(3, p.b.sh, p.wb)
	require.NoError(t, p.a.Send(&msg.Message{TID: 1}))
	p.wa.run()
	require.NotNil(t, p.a.t, "a has not called")
	in.Adopt(nowhere{})
	p.wa.pipe.h.HandleConnected(p.wa.pipe)
	p.settle()
	return in
}

// resumed does what a messenger does with a peer that comes back.
func (p *pair) resumed(t *testing.T) func(in *Conn) {
	return func(in *Conn) {
		require.Equal(t, session.Replace, in.Settle(p.b))
		p.b.TakeOver(in)
	}
}

// count says how often a call was made.
func (r *recorder) count(call string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.calls {
		if s == call {
			n++
		}
	}
	return n
}

// tids are the messages that arrived.
func (r *welcoming) tids() (ids []uint64) {
	for _, m := range r.got {
		ids = append(ids, m.TID)
	}
	return ids
}

// TestTakeOver: the peer's new connection becomes the transport of the one that there
// is; the new object is never heard of.
func TestTakeOver(t *testing.T) {
	p := newPair(t, msg.LosslessPeer(), msg.LosslessPeer())
	p.a.HandleClosed(errBroken) // b has not noticed
	old := p.wb.pipe
	gone, ended := p.rb.count("gone"), p.rb.count("ended")
	in := p.comeBack(t, p.resumed(t))
	require.True(t, old.closed)
	require.True(t, p.a.IsConnected() && p.b.IsConnected())
	require.Equal(t, []uint64{1}, p.rb.tids())
	require.True(t, in.IsClosed())
	require.Equal(t, gone+1, p.rb.count("gone"))
	require.Equal(t, ended+1, p.rb.count("ended"))
	require.Equal(t, 1, p.wb.timers.Len(), "that of b")
	require.False(t, p.b.IsClosed())
	require.NoError(t, p.b.Send(&msg.Message{TID: 2}))
	p.settle()
	require.Equal(t, []uint64{2}, p.ra.tids())
}

// TestTakeOverAfterAFailedLoan: a sender that was the worker for a moment has found
// the transport broken, and what the session wants done then is done before the
// peer's new connection takes its place: nothing of it hits that one.
func TestTakeOverAfterAFailedLoan(t *testing.T) {
	p := newPair(t, msg.LosslessPeer(), msg.LosslessPeer())
	p.a.HandleClosed(errBroken)
	in, old := Accept(3, p.b.sh, p.wb), p.wb.pipe

	// a comes back while b sleeps; before that is noticed b sends, and fails.
	arbitrate := p.resumed(t)
	failed := false
	p.rb.onArbitrate = func(in *Conn) {
		now := p.wb.pipe
		p.wb.asleep, p.wb.pipe = true, old
		old.fails = errBroken
		p.wb.now += time.Millisecond
		require.NoError(t, p.b.Send(&msg.Message{TID: 7}))
		failed = old.closed && p.wb.lent == 1
		p.wb.asleep, p.wb.pipe = false, now
		arbitrate(in)
	}
	require.NoError(t, p.a.Send(&msg.Message{TID: 1}))
	p.wa.run()
	in.Adopt(nowhere{})
	p.wa.pipe.h.HandleConnected(p.wa.pipe)
	p.settle()
	require.True(t, failed, "the loan did not break the transport")
	require.True(t, p.a.IsConnected() && p.b.IsConnected())
	require.Equal(t, []uint64{1}, p.rb.tids())
	require.Equal(t, []uint64{7}, p.ra.tids())
	require.Same(t, p.wb.pipe, p.b.t)
	require.False(t, p.wb.pipe.closed)
	require.False(t, p.wb.pipe.dialed, "it has to be the one that a came on")
}

// TestTakeOverOfABrokenTransport: the new connection cannot be handed over. It is
// closed, the peer's session stays, and goes on when the peer comes again.
func TestTakeOverOfABrokenTransport(t *testing.T) {
	p := newPair(t, msg.LosslessPeer(), msg.LosslessPeer())
	p.a.HandleClosed(errBroken)
	take := p.resumed(t)
	ended, faults := p.rb.count("ended"), p.b.stats().Faults.Load()
	in := p.comeBack(t, func(in *Conn) {
		p.wb.pipe.stays = errBroken
		take(in)
	})
	require.True(t, p.wb.pipe.closed)
	require.True(t, in.IsClosed())
	require.Equal(t, ended+1, p.rb.count("ended"))
	require.False(t, p.b.IsClosed())
	require.False(t, p.b.IsConnected())
	require.Nil(t, p.b.t)
	require.Equal(t, faults+2, p.b.stats().Faults.Load(), "replaced, and broken")
	require.Zero(t, p.rb.count("panic"))

	p.a.HandleClosed(errBroken)
	p.wa.now += time.Minute
	p.wb.now += time.Minute
	p.a.HandleTimer(p.wa.now) // if it waits before it calls again
	p.comeBack(t, p.resumed(t))
	require.True(t, p.a.IsConnected() && p.b.IsConnected())
	require.Equal(t, []uint64{1, 1}, p.rb.tids())
}

// TestTakeOverOfHalfAFrame: what the new connection has begun to write is written to
// its end, by the one that takes its transport over.
func TestTakeOverOfHalfAFrame(t *testing.T) {
	p, half := halfWritten(t)
	require.NotSame(t, half, p.wb.pipe)
	require.True(t, p.wb.pipe.wanting, "what was begun has to be written")
	p.wb.pipe.h.HandleFlush()

	var d frame.Decoder
	d.Init(frame.Limits{})
	var tags []frame.Tag
	stream := append(half.all, p.wb.pipe.all...)
	_, n, err := frame.ParseBanner(stream)
	require.NoError(t, err)
	for stream, ev := stream[n:], frame.NeedMore; len(stream) > 0 || ev == frame.GotPreamble; {
		n, ev, err = d.Next(stream)
		require.NoError(t, err)
		if stream = stream[n:]; ev == frame.GotFrame {
			tags = append(tags, d.Preamble().Tag)
		}
	}
	require.Equal(t, []frame.Tag{frame.TagHello, frame.TagAuthDone, frame.TagAuthSignature,
		frame.TagSessionReset, frame.TagSessionReconnectOK}, tags)
}

// TestTakeOverOfHalfABrokenFrame: of a new connection that cannot be handed over nothing
// is left for the next: not the half of a frame that it was writing, either.
func TestTakeOverOfHalfABrokenFrame(t *testing.T) {
	p, half := halfWritten(t, func(half *pipe) { half.stays = errBroken })
	require.True(t, half.closed)
	require.Nil(t, p.b.t)
	require.Nil(t, p.b.pending)
	require.Nil(t, p.b.stash)
}

// halfWritten is a pair of which a comes back to b, which takes its transport over while
// half a frame is still to be written there.
func halfWritten(t *testing.T, before ...func(half *pipe)) (p *pair, half *pipe) {
	p = newPair(t, msg.LosslessPeer(), msg.LosslessPeer())
	p.a.HandleClosed(errBroken)
	p.comeBack(t, func(in *Conn) {
		half = p.wb.pipe
		half.takes = 10
		in.Settle(nil) // it is told RESET
		in.Answered()
	})
	require.NotNil(t, half)
	ex := p.b.Session().Existing()
	var e frame.Encoder
	b := new(frame.Batch)
	e.AppendControl(b, &frame.SessionReconnect{Addrs: p.b.PeerAddrs(), ClientCookie: ex.ClientCookie,
		ServerCookie: ex.ServerCookie, GlobalSeq: 99, ConnectSeq: 9})
	p.rb.onArbitrate = p.resumed(t)
	for _, f := range before {
		f(half)
	}
	half.h.HandleRead(0, b.AppendTo(nil))
	p.wb.run()
	return p, half
}

// moving is a pair whose b is accepted on one worker, and found to belong on another.
func moving(t *testing.T) (p *pair, to *lender, then *int) {
	p = unmet(msg.LosslessClient(), msg.StatefulServer())
	to, then = &lender{stepWorker: stepWorker{id: 1}, now: p.wb.now}, new(int)
	p.rb.onArbitrate = func(c *Conn) {
		c.MoveTo(to, func() {
			*then++
			welcome(c)
			c.Answered()
		})
	}
	return p, to, then
}

// TestMoveTo: a connection that moved is its new worker's in every respect.
func TestMoveTo(t *testing.T) {
	p, to, then := moving(t)
	p.meet()
	require.Zero(t, *then, "not on the old worker")
	require.Zero(t, p.wb.timers.Len())
	require.True(t, p.wb.pipe.closed, "detached")
	require.False(t, p.wb.pipe.sock.closed)
	require.False(t, p.b.IsConnected())
	require.Equal(t, 1, to.run())
	require.Equal(t, 1, *then)
	old := p.wb
	p.wb = to
	p.settle()
	require.True(t, p.a.IsConnected() && p.b.IsConnected())
	require.Same(t, to, p.b.Worker())
	require.Equal(t, 1, to.timers.Len())

	// What it receives is made of what its new worker has kept.
	kept := map[int]*msg.Message{}
	for id, r := range p.b.sh.Buffers {
		m := msg.New(1, 10)
		m.ReleaseAfterSend()
		r.Messages.Sent(m)
		kept[id] = m
	}
	require.NoError(t, p.a.Send(&msg.Message{TID: 5}))
	p.settle()
	require.Equal(t, []uint64{5}, p.rb.tids())
	require.True(t, kept[1] == p.rb.got[0], "not from the new worker's buffers")
	require.Zero(t, old.run())
	require.Zero(t, old.timers.Len())
}

// TestMoveToFails: what becomes of a connection that cannot move, or is closed on the
// way; in each case its end is told once, and its socket closed.
func TestMoveToFails(t *testing.T) {
	for _, how := range []string{
		"detach fails", "marked down on the way", "marked down when it arrives", "stack closed",
	} {
		t.Run(how, func(t *testing.T) {
			p, to, then := moving(t)
			move := p.rb.onArbitrate
			p.rb.onArbitrate = func(c *Conn) {
				switch how {
				case "detach fails":
					p.wb.pipe.stays = errBroken
				case "marked down on the way":
					to.onPost = p.b.MarkDown // reaches the worker before the connection does
				case "stack closed":
					to.closed = true
				}
				move(c)
			}
			p.meet()
			if how == "marked down when it arrives" {
				p.b.MarkDown()
			}
			p.wb.run()
			to.run()
			p.wb.run()
			require.Equal(t, 1, p.rb.count("ended"), fmt.Sprint(p.rb.calls))
			require.True(t, p.wb.pipe.closed)
			require.Zero(t, p.wb.timers.Len()+to.timers.Len())
			require.False(t, p.b.IsConnected())
			switch how {
			case "detach fails":
				require.True(t, p.b.IsClosed())
				require.Nil(t, p.wb.pipe.sock)
			case "marked down when it arrives":
				require.Equal(t, 1, *then)
				require.True(t, to.pipe.closed)
			default:
				require.True(t, p.wb.pipe.sock.closed)
			}
			if how != "marked down when it arrives" {
				require.Zero(t, *then)
				require.Nil(t, to.pipe, "nothing was adopted")
			}
			if how != "detach fails" && how != "stack closed" {
				require.Equal(t, 1, p.rb.count("gone"))
			}
			require.Zero(t, p.rb.count("event"), "nobody knew of it")
		})
	}
}
