package connection

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stepWorker is a worker whose tasks run when the test says so. It has no
// network: a dial hangs.
type stepWorker struct {
	id     int
	mu     sync.Mutex
	tasks  []eventloop.Task
	closed bool
	dialed int
}

var errStep = errors.New("no network")

func (w *stepWorker) ID() int                                  { return w.id }
func (w *stepWorker) Load() int                                { return 0 }
func (w *stepWorker) Now() time.Duration                       { return time.Second }
func (w *stepWorker) SetTimer(*eventloop.Timer, time.Duration) {}
func (w *stepWorker) StopTimer(*eventloop.Timer)               {}
func (w *stepWorker) Post(t eventloop.Task) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return eventloop.ErrStackClosed
	}
	w.tasks = append(w.tasks, t)
	return nil
}
func (w *stepWorker) Dial(netip.AddrPort, eventloop.DialConfig, eventloop.Handler) eventloop.Transport {
	w.dialed++
	return &hangingTransport{}
}
func (w *stepWorker) Adopt(eventloop.Socket, eventloop.Handler) eventloop.Transport {
	return &hangingTransport{}
}

// run runs the posted tasks, and those they post, and says how many.
func (w *stepWorker) run() (n int) {
	for {
		w.mu.Lock()
		ts := w.tasks
		w.tasks = nil
		w.mu.Unlock()
		if len(ts) == 0 {
			return n
		}
		for _, t := range ts {
			t.Run()
			n++
		}
	}
}

type hangingTransport struct{ eventloop.Transport }

func (*hangingTransport) RemoteAddr() netip.AddrPort        { return netip.AddrPort{} }
func (*hangingTransport) LocalAddr() netip.AddrPort         { return netip.AddrPort{} }
func (*hangingTransport) WantFlush()                        {}
func (*hangingTransport) PauseRead()                        {}
func (*hangingTransport) ResumeRead()                       {}
func (*hangingTransport) Close()                            {}
func (*hangingTransport) Detach() (eventloop.Socket, error) { return nil, errStep }

// recorder is the messenger of a test.
type recorder struct {
	mu            sync.Mutex
	calls         []string
	undeliverable []error
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	r.calls = append(r.calls, s)
	r.mu.Unlock()
}
func (r *recorder) Deliver(*Conn, *msg.Message) { r.add("deliver") }
func (r *recorder) Event(*Conn, Event, error)   { r.add("event") }
func (r *recorder) EndOfBatch(*Conn)            {}
func (r *recorder) EndOfRead(c *Conn)           { r.EndOfBatch(c) }
func (r *recorder) Arbitrate(*Conn)             { r.add("arbitrate") }
func (r *recorder) Gone(*Conn)                  { r.add("gone") }
func (r *recorder) Ended(*Conn)                 { r.add("ended") }
func (r *recorder) Discard(*Conn)               { r.add("discard") }
func (r *recorder) UserPanic(_ *Conn, _ any)    { r.add("panic") }
func (r *recorder) Renamed(*Conn)               {}
func (r *recorder) Adopted(*Conn)               {}
func (r *recorder) Absent(*Conn)                { r.add("absent") }
func (r *recorder) Changed(*Conn, *msg.Message) { r.add("changed") }

func (r *recorder) Fault(*Conn, session.State, error) {}
func (r *recorder) Undeliverable(_ *Conn, _ *msg.Message, err error) {
	r.mu.Lock()
	r.undeliverable = append(r.undeliverable, err)
	r.mu.Unlock()
}

type testEnv struct{}

func (testEnv) Addrs() entity.AddrVec             { return nil }
func (testEnv) LearnAddr(entity.Addr)             {}
func (testEnv) GlobalID() uint64                  { return 0 }
func (testEnv) LearnGlobalID(uint64)              {}
func (testEnv) Owns(entity.Addr, netip.Addr) bool { return false }
func (testEnv) NextGlobalSeq(n uint64) uint64     { return n + 1 }
func (testEnv) PolicyFor(entity.Type) msg.Policy  { return msg.LosslessPeer() }
func (testEnv) Rand64() uint64                    { return 1 }
func (testEnv) AuthClient() auth.Client           { return auth.NoneClient{} }
func (testEnv) AuthServer() auth.Server           { return &auth.NoneServer{} }

func newTestConn(t *testing.T, policy msg.Policy, limit int) (*Conn, *stepWorker, *recorder) {
	t.Helper()
	cfg := session.Config{Self: entity.Client(1)}.WithDefaults()
	r := &recorder{}
	prio := &atomic.Uint32{}
	prio.Store(127)
	sh := &Shared{
		Session: &cfg, Env: testEnv{}, Sink: r, Log: slog.New(slog.DiscardHandler), Stats: make([]Stats, 2),
		Buffers: []*session.Buffers{new(session.Buffers), new(session.Buffers)},
		Options: Options{
			Send: SendLimits{MessagesMax: limit, BytesMax: 1000}, DefaultPriority: prio,
			WriteBatch: 1 << 16, WriteBudget: 1 << 20,
		},
	}
	w := &stepWorker{}
	addrs := entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}}
	c := Connect(1, sh, w, session.Peer{Type: entity.TypeOSD, Addrs: addrs, Policy: policy})
	return c, w, r
}

// TestOnePostForManySends: the worker is woken once for a burst.
func TestOnePostForManySends(t *testing.T) {
	c, w, _ := newTestConn(t, msg.LosslessClient(), 100)
	c.Start()
	for range 50 {
		require.NoError(t, c.Send(&msg.Message{}))
	}
	require.Len(t, w.tasks, 1)
	require.Equal(t, 1, w.run())
	require.Equal(t, 1, w.dialed)
	require.Equal(t, 50, c.s.Pending())
	require.NoError(t, c.Send(&msg.Message{}))
	require.Len(t, w.tasks, 1)
	c.MarkDown()
	w.run()
}

// TestCloseReportsInboxAndQueue: whatever was accepted comes to its end once, and
// Ended is the last call.
func TestCloseReportsInboxAndQueue(t *testing.T) {
	c, w, r := newTestConn(t, msg.LosslessClient(), 100)
	c.Start()
	for range 3 {
		require.NoError(t, c.Send(&msg.Message{}))
	}
	w.run() // these are in the session's queue
	for range 4 {
		require.NoError(t, c.Send(&msg.Message{}))
	}
	c.MarkDown() // these in the inbox
	require.ErrorIs(t, c.Send(&msg.Message{}), msg.ErrMarkedDown)
	require.Equal(t, []string{"gone", "discard"}, r.calls)
	w.run()
	require.Len(t, r.undeliverable, 7)
	for _, err := range r.undeliverable {
		require.ErrorIs(t, err, msg.ErrMarkedDown)
	}
	require.Equal(t, []string{"gone", "discard", "ended"}, r.calls)
	c.MarkDown()
	c.SendKeepalive()
	c.MarkDisposable()
	c.Fault(errStep)
	w.run()
	require.Equal(t, []string{"gone", "discard", "ended", "discard"}, r.calls, "once")
}

// TestResetReportsInbox: messages that were accepted while the session broke have
// the reason of the reset.
func TestResetReportsInbox(t *testing.T) {
	c, w, r := newTestConn(t, msg.LosslessClient(), 100)
	c.Start()
	w.run()
	require.NoError(t, c.Send(&msg.Message{}))
	c.sessionOver(msg.ErrReset) // on the worker, before the inbox was emptied
	require.Len(t, r.undeliverable, 1)
	require.ErrorIs(t, r.undeliverable[0], msg.ErrReset)
	require.Equal(t, []string{"gone", "event"}, r.calls)
	w.run()
	require.Len(t, r.undeliverable, 1)
	require.Equal(t, []string{"gone", "event", "ended"}, r.calls)
	// A reset that was not dispatched yet is nobody's any more after MarkDown.
	require.False(t, c.MarkedDown())
	c.MarkDown()
	require.True(t, c.MarkedDown())
	require.Equal(t, "discard", r.calls[len(r.calls)-1])
}

// TestStackClosed: what is sent after the stack was closed is reported, and the
// connection ends once.
func TestStackClosed(t *testing.T) {
	c, w, r := newTestConn(t, msg.LosslessClient(), 100)
	w.closed = true
	require.NoError(t, c.Send(&msg.Message{}))
	require.Len(t, r.undeliverable, 1)
	require.ErrorIs(t, r.undeliverable[0], msg.ErrShutdown)
	c.MarkDown()
	require.Equal(t, []string{"ended", "gone", "discard"}, r.calls)
}

// TestMovedBetweenPostAndRun: a command that was posted to the old worker runs on
// the new one.
func TestMovedBetweenPostAndRun(t *testing.T) {
	c, w, r := newTestConn(t, msg.LosslessClient(), 100)
	w2 := &stepWorker{id: 1}
	c.MarkDown()
	c.mu.Lock()
	c.w = w2 // as MoveTo does
	c.mu.Unlock()
	require.Equal(t, 1, w.run())
	require.NotContains(t, r.calls, "ended", "not on the old worker")
	require.Equal(t, 1, w2.run())
	require.Contains(t, r.calls, "ended")
	require.Zero(t, w.run())
}

// limit is a throttle of the test: n left, waiters in line.
type limit struct {
	left    int64
	waiting []msg.ThrottleWaiter
	want    []int64
}

func (l *limit) Acquire(n int64, w msg.ThrottleWaiter) bool {
	if len(l.waiting) == 0 && l.left >= n {
		l.left -= n
		return true
	}
	if w != nil {
		l.waiting, l.want = append(l.waiting, w), append(l.want, n)
	}
	return false
}
func (l *limit) Cancel(w msg.ThrottleWaiter) bool {
	for i := range l.waiting {
		if l.waiting[i] == w {
			l.waiting, l.want = append(l.waiting[:i:i], l.waiting[i+1:]...), append(l.want[:i:i], l.want[i+1:]...)
			return true
		}
	}
	return false
}
func (l *limit) Take(n int64) { l.left -= n }
func (l *limit) Release(n int64) {
	l.left += n
	for len(l.waiting) > 0 && l.left >= l.want[0] {
		w := l.waiting[0]
		l.left -= l.want[0]
		l.waiting, l.want = l.waiting[1:], l.want[1:]
		w.ThrottleGranted()
	}
}

// TestGate: the stages are taken in order, a wait resumes at its stage, and
// whatever is abandoned gives back exactly what was taken.
func TestGate(t *testing.T) {
	newGate := func(messages, bytes int64) (*Conn, *stepWorker, *limit, *limit) {
		m, b := &limit{left: messages}, &limit{left: bytes}
		p := msg.LosslessClient()
		p.ThrottleMessages, p.ThrottleBytes = m, b
		c, w, _ := newTestConn(t, p, 100)
		return c, w, m, b
	}
	t.Run("free", func(t *testing.T) {
		c, _, m, b := newGate(1, 10)
		require.True(t, gate{c}.Admit(10))
		require.Equal(t, []int64{0, 0}, []int64{m.left, b.left})
		c.AddQueued(1)
		receipt{c}.Hold(10)
		receipt{c}.DispatchDone(10)
		require.Equal(t, []int64{0, 0}, []int64{m.left, b.left})
		receipt{c}.Unhold(10)
		require.Equal(t, []int64{1, 10}, []int64{m.left, b.left})
	})
	t.Run("no bytes", func(t *testing.T) {
		c, _, m, b := newGate(1, 0)
		require.True(t, gate{c}.Admit(0))
		gate{c}.Abandon(0)
		require.Equal(t, []int64{1, 0}, []int64{m.left, b.left})
	})
	t.Run("both wait in turn", func(t *testing.T) {
		c, w, m, b := newGate(0, 0)
		require.False(t, gate{c}.Admit(10))
		require.Len(t, m.waiting, 1)
		require.Empty(t, b.waiting)
		m.Release(1)
		require.Equal(t, 1, w.run())
		require.Len(t, b.waiting, 1)
		b.Release(10)
		require.Equal(t, 1, w.run())
		require.Nil(t, c.adm.Turn())
		gate{c}.Abandon(10)
		require.Equal(t, []int64{1, 10}, []int64{m.left, b.left})
	})
	t.Run("abandoned in line", func(t *testing.T) {
		c, w, m, b := newGate(1, 0)
		require.False(t, gate{c}.Admit(10))
		gate{c}.Abandon(10)
		require.Empty(t, b.waiting)
		require.Equal(t, []int64{1, 0}, []int64{m.left, b.left})
		require.Zero(t, w.run())
	})
	t.Run("abandoned after the grant", func(t *testing.T) {
		c, w, m, b := newGate(1, 0)
		require.False(t, gate{c}.Admit(10))
		b.Release(10) // granted, and the worker has not run yet
		gate{c}.Abandon(10)
		require.Equal(t, []int64{1, 10}, []int64{m.left, b.left})
		require.Equal(t, 1, w.run())
		require.Equal(t, []int64{1, 10}, []int64{m.left, b.left}, "the late grant is not used")
	})
}
