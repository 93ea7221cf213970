package threadpipe

import (
	"io"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/stretchr/testify/require"
)

// The tests of this file hold one of a pipe's threads up inside a system call, and
// see that the others wait for it where they have to.

// hookNet is a network whose sockets may be held up.
type hookNet struct {
	network
	read, write *stop         // nil: not held up
	dialled     chan struct{} // closed by the one dial, which then waits to be given up; nil: not held up
}

// stop holds up whoever passes while it is armed, once.
type stop struct {
	armed   atomic.Bool
	arrived chan struct{}
	release chan struct{}
	goOn    func() // closes release
}

func newStop() *stop {
	s := &stop{arrived: make(chan struct{}), release: make(chan struct{})}
	s.goOn = sync.OnceFunc(func() { close(s.release) })
	return s
}

func (s *stop) pass() {
	if s != nil && s.armed.CompareAndSwap(true, false) {
		close(s.arrived)
		<-s.release
	}
}

// wait returns what comes on a channel, or when it is closed.
func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-within(t).Done():
		require.FailNow(t, "nothing came")
	}
	return v
}

type hookSocket struct {
	socket
	n *hookNet
}

func (s *hookSocket) read(b []byte, brief bool) (int, error) {
	if brief { // into the session's memory
		s.n.read.pass()
	}
	return s.socket.read(b, brief)
}

func (s *hookSocket) writev(bufs [][]byte) (int, error) {
	s.n.write.pass()
	return s.socket.writev(bufs)
}

type hookListener struct {
	listener
	n *hookNet
}

func (l *hookListener) accept() (socket, error) {
	s, err := l.listener.accept()
	if err != nil {
		return nil, err
	}
	return &hookSocket{s, l.n}, nil
}

func (n *hookNet) listen(at netip.AddrPort) (listener, error) {
	l, err := n.network.listen(at)
	if err != nil {
		return nil, err
	}
	return &hookListener{l, n}, nil
}

// hooked is a server whose sockets may be held up, and a client of it.
func hooked(
	t *testing.T, threads bool, read, write *stop, d msg.Dispatcher,
) (srv *Messenger, in inbox, c msg.Connection) {
	srv = newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{Threads: threads})
	srv.net = &hookNet{network: srv.net, read: read, write: write}
	require.NoError(t, srv.Bind(local))
	cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Threads: threads})
	in, c = start(t, srv, cl, d)
	for _, s := range []*stop{read, write} {
		if s != nil {
			t.Cleanup(s.goOn) // a test that failed must end
		}
	}
	return srv, in, c
}

// only is the one pipe of m.
func only(t *testing.T, m *Messenger) *Pipe {
	t.Helper()
	all := m.reg.Snapshot()
	require.Len(t, all, 1)
	return all[0]
}

// TestCloseWaitsForDirectRead: a pipe is not closed, and its memory not given back,
// while its reader is receiving into that.
func TestCloseWaitsForDirectRead(t *testing.T) {
	for _, how := range []string{"close", "fault"} {
		t.Run(how, func(t *testing.T) {
			flavours(t, func(t *testing.T, threads bool) {
				read := newStop()
				srv, in, c := hooked(t, threads, read, nil, echo{})
				require.NoError(t, c.Send(&msg.Message{Type: 1}))
				in.want(t)
				read.armed.Store(true)
				require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 1<<20)}))
				wait(t, read.arrived)
				p := only(t, srv)
				var closed atomic.Bool
				done := make(chan struct{})
				go func() {
					defer close(done)
					if how == "close" {
						p.MarkDown()
					} else {
						p.Fault(session.ErrPeerClosed)
					}
					closed.Store(true)
				}()
				for lost := false; !lost; runtime.Gosched() { // it has begun
					p.mu.Lock()
					lost = p.sock == nil
					p.mu.Unlock()
				}
				for range 1000 {
					require.False(t, closed.Load(), "it did not wait for the reader")
					runtime.Gosched()
				}
				read.goOn()
				wait(t, done)
			})
		})
	}
}

// TestFinishWaitsForWrite: the sending of a message that is being written does not
// end before the write has, for its memory is the sender's then; and nothing of it
// is kept after that.
func TestFinishWaitsForWrite(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		write := newStop()
		srv, in, c := hooked(t, threads, nil, write, echo{})
		require.NoError(t, c.Send(&msg.Message{Type: 1}))
		in.want(t)
		p := only(t, srv)
		ends := make(chan error, 10)
		write.armed.Store(true)
		const n = 3
		for range n { // the first is being written, the others wait
			require.NoError(t, p.Send(&msg.Message{Type: 1, Data: make([]byte, 100),
				Notify: msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) { ends <- err })}))
			wait(t, write.arrived)
		}
		p.MarkDown()
		require.Empty(t, ends, "ended while it was being written")
		write.goOn()
		for range n {
			require.ErrorIs(t, wait(t, ends), msg.ErrMarkedDown)
		}
		require.NoError(t, srv.Shutdown(within(t)))
		p.mu.Lock()
		defer p.mu.Unlock()
		require.NotZero(t, cap(p.held))
		for _, o := range p.held[:cap(p.held)] {
			require.Zero(t, o)
		}
	})
}

// holder is a fast dispatcher that is held up by the first message, and notices
// when another of the same connection comes meanwhile.
type holder struct {
	inside, overlapped atomic.Bool
	arrived, release   chan struct{}
	mu                 sync.Mutex
	tids               []uint64
	n                  chan struct{}
}

func (h *holder) CanFastDispatch(*msg.Message) bool { return true }
func (h *holder) Dispatch(*msg.Message) bool        { return true }

func (h *holder) FastDispatch(m *msg.Message) {
	if m.Source() != entity.Client(7) { // it only passes the time
		_ = m.Connection().Send(&msg.Message{Type: 1})
		return
	}
	if h.inside.Swap(true) {
		h.overlapped.Store(true)
	}
	if m.TID == 0 {
		close(h.arrived)
		<-h.release
	}
	h.inside.Store(false)
	h.mu.Lock()
	h.tids = append(h.tids, m.TID)
	h.mu.Unlock()
	h.n <- struct{}{}
}

// TestTakeOverWaitsForReader: when the peer has reconnected, its messages wait
// until the reader of the old socket has dispatched its own.
func TestTakeOverWaitsForReader(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		h := &holder{arrived: make(chan struct{}), release: make(chan struct{}), n: make(chan struct{}, 10)}
		release := sync.OnceFunc(func() { close(h.release) })
		cfg := Config{Threads: threads, ReadyTimeout: time.Minute} // no second attempt
		srv := newPipes(t, entity.OSD(0), msg.StatefulServer(), cfg)
		require.NoError(t, srv.Bind(local))
		cl := newPipes(t, entity.Client(7), msg.LosslessClient(), cfg)
		in, c := start(t, srv, cl, h)
		t.Cleanup(release) // a test that failed must end
		require.NoError(t, c.Send(&msg.Message{Type: 1, TID: 0}))
		wait(t, h.arrived)
		require.Equal(t, "connect", wait(t, in.told))
		p := only(t, cl)
		p.mu.Lock()
		p.sock.close() // as a broken network would
		p.mu.Unlock()
		require.Equal(t, "connect", wait(t, in.told), "again")
		for tid := range uint64(3) {
			require.NoError(t, c.Send(&msg.Message{Type: 1, TID: tid + 1}))
		}
		// Others go on, and give what was just sent the time to arrive.
		other := newPipes(t, entity.Client(8), msg.LosslessClient(), Config{Threads: threads})
		pings := newInbox()
		other.AddDispatcherTail(pings)
		require.NoError(t, other.Start())
		oc := connect(t, other, srv)
		for range 200 {
			require.NoError(t, oc.Send(&msg.Message{Type: 1}))
			pings.want(t)
		}
		require.False(t, h.overlapped.Load())
		require.Empty(t, h.n)
		release()
		for range 4 {
			wait(t, h.n)
		}
		require.Equal(t, []uint64{0, 1, 2, 3}, h.tids)
		require.False(t, h.overlapped.Load())
	})
}

// TestTwoFaultsAtOnce: while one waits for the reader to let go of the session's memory,
// the other has the session dial again. Only one of them is told.
func TestTwoFaultsAtOnce(t *testing.T) {
	srv := newPipes(t, entity.OSD(0), msg.LosslessPeer(), Config{})
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	var held atomic.Bool
	goOn := make(chan struct{})
	cl := newPipes(t, entity.OSD(1), msg.LosslessPeer(), Config{Via: func(at netip.AddrPort) netip.AddrPort {
		if held.Load() {
			<-goOn
		}
		return at
	}})
	require.NoError(t, cl.Start())
	p := connect(t, cl, srv).(*Pipe)
	require.Eventually(t, p.IsConnected, 20*time.Second, time.Millisecond)
	held.Store(true)
	p.mu.Lock()
	p.direct = true
	p.mu.Unlock()
	first := make(chan struct{})
	go func() {
		defer close(first)
		p.Fault(io.ErrUnexpectedEOF)
	}()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.sock == nil
	}, 20*time.Second, time.Millisecond)
	p.Fault(io.ErrUnexpectedEOF)
	require.Eventually(t, func() bool { // it dials, after a wait perhaps
		p.RetryNow()
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.s.State() == session.StateConnecting
	}, 20*time.Second, time.Millisecond)
	p.mu.Lock()
	p.direct = false
	p.idle.Broadcast()
	p.mu.Unlock()
	<-first
	held.Store(false)
	close(goOn)
	require.Eventually(t, p.IsConnected, 20*time.Second, time.Millisecond)
}

// TestDialsAtOnce: what ConnectTo has begun is under way when others see the pipe, so that
// who takes it over can give it up.
func TestDialsAtOnce(t *testing.T) {
	srv := newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{})
	require.NoError(t, srv.Bind(local))
	cl := newPipes(t, entity.Client(1), msg.LosslessClient(), Config{})
	require.NoError(t, cl.Start())
	for range 20 {
		p := connect(t, cl, srv).(*Pipe)
		p.mu.Lock()
		dials := p.dials
		p.mu.Unlock()
		require.NotZero(t, dials)
		p.MarkDown()
	}
}
