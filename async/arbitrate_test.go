package async

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
	"github.com/stretchr/testify/require"
)

// connOf is n's connection with the peer at these addresses.
func connOf(n *node, addrs entity.AddrVec) *connection.Conn { return n.reg.Lookup(addrs) }

// onWorker runs f on c's worker, and returns when it is done.
func onWorker(t testing.TB, c *connection.Conn, f func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, c.Worker().Post(eventloop.TaskFunc(func() { defer close(done); f() })))
	<-done
}

// onlyOne says whether n has one connection, and nothing in a handshake.
func onlyOne(n *node) func() bool {
	return func() bool {
		s := n.Stats()
		return s.Connections == 1 && s.Handshakes == 0
	}
}

// TestRetryGlobal: who resumes a session with a global_seq that is behind is told the
// newest one, and comes again on the same connection.
func TestRetryGlobal(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.LosslessPeer())
	from := rawAddrs()
	first := l.rawPeer(srv)
	first.ident(from, 7, 0xc0)
	id := wantFrame[frame.ServerIdent](first)
	require.NotZero(t, id.Cookie)
	srv.want("accept", 1)
	c := connOf(srv, from)
	require.NotNil(t, c)
	first.send(1, "one")
	srv.wantMessages(1)

	second := l.rawPeer(srv)
	again := func(globalSeq uint64) {
		second.say(&frame.SessionReconnect{Addrs: from, ClientCookie: 0xc0, ServerCookie: id.Cookie,
			GlobalSeq: globalSeq, ConnectSeq: 1})
	}
	for _, behind := range []uint64{3, 6} {
		again(behind)
		require.EqualValues(t, 7, wantFrame[frame.SessionRetryGlobal](second).GlobalSeq)
	}
	require.True(t, c.IsConnected(), "the session goes on meanwhile")
	first.send(2, "two")
	srv.wantMessages(2)
	again(8)
	require.EqualValues(t, 2, wantFrame[frame.SessionReconnectOK](second).MsgSeq)
	second.send(3, "three")
	require.Equal(t, []string{"one", "two", "three"}, srv.wantMessages(3))
	require.Same(t, c, connOf(srv, from))
	wantFrame[frame.Ack](first) // of what it sent, and then it is closed
	for first.next() != nil {
	}
	require.Equal(t, 1, srv.Stats().Connections)
	require.EqualValues(t, 2, srv.Stats().Accepted)
	require.Zero(t, srv.times("reset")+srv.times("remote reset"))
}

// TestBehindAReconnect: what arrives in one read with the request to resume is handled
// when the session has been resumed, by the connection that it belongs to.
func TestBehindAReconnect(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.LosslessPeer())
	from := rawAddrs()
	first := l.rawPeer(srv)
	first.ident(from, 1, 0xc0)
	id := wantFrame[frame.ServerIdent](first)
	second := l.rawPeer(srv)
	second.say(&frame.SessionReconnect{Addrs: from, ClientCookie: 0xc0, ServerCookie: id.Cookie,
		GlobalSeq: 2, ConnectSeq: 1}, &frame.Keepalive{Stamp: frame.Stamp{Sec: 5}})
	wantFrame[frame.SessionReconnectOK](second)
	require.EqualValues(t, 5, wantFrame[frame.KeepaliveAck](second).Stamp.Sec)
	second.send(1, "one")
	require.Equal(t, []string{"one"}, srv.wantMessages(1))
}

// movedSink arbitrates as if the connection had followed its peer's others already.
type movedSink struct {
	sink
	moves int
}

func (k movedSink) Arbitrate(c *connection.Conn) { k.m.arbitrate(c, k.moves) }

// TestArbitrationMoves: a new connection follows the one that its peer has to that
// one's worker, but not for ever.
func TestArbitrationMoves(t *testing.T) {
	for _, moves := range []int{0, movesMax - 1, movesMax} {
		t.Run("", func(t *testing.T) {
			l := newLab(t)
			s, log := &pickStack{Stack: l.stack}, &hookLog{}
			srv := l.node(entity.OSD(0), msg.LosslessPeer(),
				func(c *Config) { c.Stack, c.Logger = s.whole(), slog.New(log) })
			srv.Messenger.shared.Sink = movedSink{sink{srv.Messenger}, moves}
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			from := rawAddrs()
			first := l.rawPeer(srv)
			first.ident(from, 1, 0xc0)
			wantFrame[frame.ServerIdent](first)
			srv.want("accept", 1)
			c := connOf(srv, from)
			s.set(1, nil) // the next one is on the other worker
			second := l.rawPeer(srv)
			second.ident(from, 2, 0xc0)
			if moves < movesMax {
				wantFrame[frame.ServerIdent](second)
				first.wantClosed()
				second.send(1, "moved")
				require.Equal(t, []string{"moved"}, srv.wantMessages(1))
			} else {
				second.wantClosed()
				first.send(1, "stayed")
				require.Equal(t, []string{"stayed"}, srv.wantMessages(1))
			}
			require.Same(t, c, connOf(srv, from))
			l.until("one connection", onlyOne(srv))
			require.False(t, c.IsClosed())
			want := 2
			if moves == movesMax {
				want = 1
			}
			require.Equal(t, want, srv.times("fast accept"))
		})
	}
}

// adoptStack does something when one of its workers is given a connection.
type adoptStack struct {
	pickStack
	onAdopt func(worker int)
}

type adoptWorker struct {
	eventloop.Worker
	s *adoptStack
}

func newAdoptStack(s eventloop.Stack) *adoptStack {
	a := &adoptStack{}
	a.Stack = forward.Stack(s, func(w eventloop.Worker) eventloop.Worker { return &adoptWorker{w, a} })
	return a
}

func (w *adoptWorker) Adopt(sock eventloop.Socket, h eventloop.Handler) eventloop.Transport {
	t := w.Worker.Adopt(sock, h)
	if f := w.s.onAdopt; f != nil {
		f(w.ID())
	}
	return t
}

// TestArbitrationMovesAreCounted: each time that a new connection arrives where its
// peer's was, that one is gone, and there is another elsewhere.
func TestArbitrationMovesAreCounted(t *testing.T) {
	l := newLab(t)
	s, from := newAdoptStack(l.stack), silent(t)
	srv := l.node(entity.OSD(0), msg.LosslessPeer(), func(c *Config) { c.Stack = s.whole() })
	arrived := make(chan int, 3*movesMax) // at which worker
	s.onAdopt = func(worker int) {
		select {
		case arrived <- worker:
		default:
			return // too often: it finds its peer's connection
		}
		srv.Messenger.MarkDown(from)
		s.set(1-worker, nil)
		if _, err := srv.ConnectTo(entity.TypeOSD, from); err != nil {
			t.Error(err)
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	p := l.rawPeer(srv)
	p.ident(from, 1, 0xc0)
	p.wantClosed()
	require.Len(t, arrived, 1+movesMax, "accepted, and moved so often")
	for i := range 1 + movesMax {
		require.Equal(t, i%2, <-arrived)
	}
	require.NotNil(t, connOf(srv, from))
	require.Zero(t, srv.times("accept"))
	l.until("one connection", onlyOne(srv))
}

// TestAcceptInPlaceOfAClosedOne: under the address of a peer that comes stands a
// connection which is over and about to be forgotten, or forgotten in that moment. The
// new one takes its place, and is found there.
func TestAcceptInPlaceOfAClosedOne(t *testing.T) {
	for _, forgotten := range []bool{true, false} {
		t.Run("", func(t *testing.T) {
			l := newLab(t)
			s, log := &pickStack{Stack: l.stack}, &hookLog{}
			srv := l.node(entity.OSD(0), msg.StatelessRegisteredServer(), func(c *Config) {
				c.Stack, c.Logger = s.whole(), slog.New(log)
			})
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			from := rawAddrs()
			first := l.rawPeer(srv)
			first.ident(from, 1, 0)
			wantFrame[frame.ServerIdent](first)
			srv.want("accept", 1)
			old := connOf(srv, from)
			// As a sender leaves it that was the worker for a moment and found the
			// transport broken: what follows from that is not done yet.
			onWorker(t, old, func() { old.Session().Fault(old.Worker().Now(), errors.New("broken by the test")) })
			require.Same(t, old, connOf(srv, from))
			log.do(func(line string) {
				if line == "arbitration" && forgotten {
					old.MarkDown() // by another goroutine, just then
				}
			})
			second := l.rawPeer(srv)
			second.ident(from, 2, 0)
			wantFrame[frame.ServerIdent](second)
			srv.want("accept", 2)
			c := connOf(srv, from)
			require.NotNil(t, c, "the new connection is not found")
			require.NotSame(t, old, c)
			require.True(t, c.IsConnected())
			require.NoError(t, c.Send(text("hello")))
			wantFrame[frame.Header](second)
			if !forgotten {
				require.ErrorIs(t, srv.want("reset", 1).err, msg.ErrReset)
			}
			require.True(t, old.IsClosed())
			l.until("the rest is forgotten", onlyOne(srv))
		})
	}
}

// hookExecutor does something whenever a job is submitted: on a worker, when that has
// something for the dispatchers.
type hookExecutor struct {
	dispatch.Executor
	on func()
}

func (e *hookExecutor) Submit(job func()) error {
	if e.on != nil {
		e.on()
	}
	return e.Executor.Submit(job)
}

// TestStopAcceptIsOutrun: the peer of a lossy session comes back, its old connection
// ends, and another goroutine calls the peer in that moment: the address is taken when
// the new connection is to have it.
func TestStopAcceptIsOutrun(t *testing.T) {
	for _, outrun := range []bool{true, false} {
		t.Run("", func(t *testing.T) {
			l := newLab(t)
			x := &hookExecutor{Executor: l.pool}
			from := silent(t)
			srv := l.node(entity.OSD(0), msg.LossyClient(), func(c *Config) { c.Executor = x })
			var old, called atomic.Pointer[connection.Conn]
			x.on = func() {
				if c := old.Load(); outrun && c != nil && c.IsClosed() && called.Load() == nil {
					c, err := srv.ConnectTo(entity.TypeOSD, from)
					if err != nil {
						t.Error(err)
						return
					}
					called.Store(c.(*connection.Conn))
				}
			}
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			first := l.rawPeer(srv)
			first.ident(from, 1, 0)
			wantFrame[frame.ServerIdent](first)
			srv.want("accept", 1)
			l.until("nothing to dispatch", func() bool { return srv.Stats().Queue.Drainers == 0 })
			old.Store(connOf(srv, from))
			second := l.rawPeer(srv)
			second.ident(from, 2, 0)
			if outrun {
				second.wantClosed()
				require.NotNil(t, called.Load())
				require.Same(t, called.Load(), connOf(srv, from))
				require.Equal(t, 1, srv.times("accept"))
				require.False(t, called.Load().IsClosed())
			} else {
				wantFrame[frame.ServerIdent](second)
				srv.want("accept", 2)
				require.NotNil(t, connOf(srv, from))
			}
			require.True(t, old.Load().IsClosed())
			require.ErrorIs(t, srv.want("reset", 1).err, session.ErrReplaced)
			require.NotSame(t, old.Load(), connOf(srv, from))
			l.until("one connection", onlyOne(srv))
		})
	}
}
