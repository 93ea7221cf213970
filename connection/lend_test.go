package connection

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// lender is a stepWorker that can be lent, with a clock, timers and transports that
// are moved by the test.
type lender struct {
	stepWorker
	asleep bool
	onLend func() // before the loan
	loan   eventloop.Task
	onPost func() // before the next post
	lent   int
	now    time.Duration
	pipe   *pipe
	timers eventloop.TimerHeap
}

func (w *lender) Post(t eventloop.Task) error {
	if f := w.onPost; f != nil {
		w.onPost = nil
		f()
	}
	return w.stepWorker.Post(t)
}
func (w *lender) SetTimer(t *eventloop.Timer, at time.Duration) { w.timers.Set(t, at) }
func (w *lender) StopTimer(t *eventloop.Timer)                  { w.timers.Stop(t) }

func (w *lender) Now() time.Duration { return w.now }
func (w *lender) Lend(t eventloop.Task) bool {
	if w.asleep {
		w.lent++
		w.loan = t
		if w.onLend != nil {
			w.onLend()
		}
		t.Run()
	}
	return w.asleep
}
func (w *lender) Dial(_ netip.AddrPort, _ eventloop.DialConfig, h eventloop.Handler) eventloop.Transport {
	w.pipe = &pipe{h: h, dialed: true}
	return w.pipe
}
func (w *lender) Adopt(_ eventloop.Socket, h eventloop.Handler) eventloop.Transport {
	w.pipe = &pipe{h: h}
	return w.pipe
}

// pipe is a transport that keeps what was written.
type pipe struct {
	hangingTransport
	h       eventloop.Handler
	out     bytes.Buffer
	all     []byte
	dialed  bool
	wanting bool
	closed  bool
	fails   error
	takes   int     // bytes of one write; 0: all
	stays   error   // Detach
	sock    *socket // detached
}

func (p *pipe) WantFlush() { p.wanting = true }
func (p *pipe) Close()     { p.closed = true }
func (p *pipe) Detach() (eventloop.Socket, error) {
	if p.stays != nil {
		return nil, p.stays
	}
	p.closed, p.sock = true, &socket{}
	return p.sock, nil
}
func (p *pipe) Write(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		if p.takes > 0 {
			b = b[:min(len(b), p.takes-n)]
		}
		n += len(b)
		p.out.Write(b)
		p.all = append(p.all, b...)
	}
	if p.fails != nil {
		return 0, p.fails
	}
	return n, nil
}

type socket struct {
	eventloop.Socket
	closed bool
}

func (s *socket) Close() error               { s.closed = true; return nil }
func (s *socket) RemoteAddr() netip.AddrPort { return nowhere{}.RemoteAddr() }
func (s *socket) LocalAddr() netip.AddrPort  { return nowhere{}.LocalAddr() }

type nowhere struct{ eventloop.Socket }

func (nowhere) RemoteAddr() netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:2") }
func (nowhere) LocalAddr() netip.AddrPort  { return netip.MustParseAddrPort("127.0.0.1:1") }

type addrEnv struct {
	testEnv
	addrs  entity.AddrVec
	policy msg.Policy
}

func (e addrEnv) Addrs() entity.AddrVec { return e.addrs }
func (e addrEnv) Owns(a entity.Addr, _ netip.Addr) bool {
	return e.addrs.Contains(a)
}
func (e addrEnv) PolicyFor(entity.Type) msg.Policy { return e.policy }

// welcoming accepts every peer and counts what arrives.
type welcoming struct {
	recorder
	got         []*msg.Message
	onDeliver   func(m *msg.Message)
	onArbitrate func(c *Conn) // instead of accepting
}

func (r *welcoming) Deliver(_ *Conn, m *msg.Message) {
	r.got = append(r.got, m)
	if r.onDeliver != nil {
		r.onDeliver(m)
	}
}
func (r *welcoming) Arbitrate(c *Conn) {
	if r.onArbitrate != nil {
		r.onArbitrate(c)
		return
	}
	welcome(c)
	c.Answered()
}

// welcome accepts c, whose peer has no other connection.
func welcome(c *Conn) {
	if c.Settle(nil) == session.Register {
		c.Session().Accept(c.now())
	}
}

// pair is two connections with each other.
type pair struct {
	a, b   *Conn
	wa, wb *lender
	ra, rb *welcoming
}

func newPair(t *testing.T, client, server msg.Policy) *pair {
	t.Helper()
	p := unmet(client, server)
	p.meet()
	require.True(t, p.a.IsConnected())
	require.True(t, p.b.IsConnected())
	return p
}

// unmet is a pair that has not begun to connect.
func unmet(client, server msg.Policy) *pair {
	p := &pair{wa: &lender{now: time.Second}, wb: &lender{now: time.Second}, ra: &welcoming{}, rb: &welcoming{}}
	addr := func(at string) entity.AddrVec {
		return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(at)}}
	}
	shared := func(name entity.Name, at string, policy msg.Policy, r *welcoming) *Shared {
		cfg := session.Config{Self: name}.WithDefaults()
		prio := &atomic.Uint32{}
		prio.Store(127)
		return &Shared{
			Session: &cfg, Env: addrEnv{addrs: addr(at), policy: policy}, Sink: r, Log: slog.New(slog.DiscardHandler),
			Stats: make([]Stats, 2), Buffers: []*session.Buffers{new(session.Buffers), new(session.Buffers)},
			Options: Options{
				Send: SendLimits{MessagesMax: 100, BytesMax: 1 << 20}, DefaultPriority: prio,
				WriteBatch: 1 << 16, WriteBudget: 1 << 20,
			},
		}
	}
	p.a = Connect(1, shared(entity.Client(1), "127.0.0.1:1", client, p.ra), p.wa,
		session.Peer{Type: entity.TypeOSD, Addrs: addr("127.0.0.1:2"), Policy: client})
	p.b = Accept(2, shared(entity.OSD(1), "127.0.0.1:2", server, p.rb), p.wb)
	return p
}

// meet has a call b, and lets them come as far as they can.
func (p *pair) meet() {
	p.a.Start()
	p.wa.run()
	p.b.Adopt(nowhere{})
	p.wa.pipe.h.HandleConnected(p.wa.pipe)
	p.settle()
}

// settle lets the workers work until nothing is left to do.
func (p *pair) settle() {
	for again := true; again; {
		again = p.wa.run()+p.wb.run() > 0
		for _, w := range []*lender{p.wa, p.wb} {
			if w.pipe.wanting && !w.pipe.closed {
				w.pipe.wanting, again = false, true
				w.pipe.h.HandleFlush()
			}
		}
		again = p.carry(p.wa, p.wb) || p.carry(p.wb, p.wa) || again
	}
}

// carry takes what was written to the other side.
func (p *pair) carry(from, to *lender) bool {
	b := bytes.Clone(from.pipe.out.Bytes())
	from.pipe.out.Reset()
	if len(b) > 0 && !to.pipe.closed {
		to.pipe.h.HandleRead(0, b)
	}
	return len(b) > 0
}

func (w *lender) waiting() int { return len(w.tasks) }

// TestLend: while the worker sleeps a message is written by its sender, and by
// the worker when messages follow each other.
func TestLend(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	p.wa.asleep = true
	send := func() { require.NoError(t, p.a.Send(&msg.Message{Type: 1})) }
	p.wa.now += time.Millisecond
	send()
	require.Equal(t, 1, p.wa.lent)
	require.NotZero(t, p.wa.pipe.out.Len(), "written")
	require.Zero(t, p.wa.waiting(), "nothing is left to the worker")
	p.settle()
	require.Len(t, p.rb.got, 1)

	p.wa.now += lendPause - 1
	send()
	send()
	require.Zero(t, p.wa.pipe.out.Len(), "too soon")
	require.Equal(t, 1, p.wa.waiting())
	p.settle()
	require.Len(t, p.rb.got, 3)

	p.wa.now += time.Millisecond
	send()
	require.Zero(t, p.wa.pipe.out.Len(), "several since the last one")
	p.settle()
	require.Len(t, p.rb.got, 4)

	p.wa.now += time.Millisecond
	send()
	require.NotZero(t, p.wa.pipe.out.Len(), "one at a time again")
	p.settle()
	require.Len(t, p.rb.got, 5)
	for i, m := range p.rb.got {
		require.EqualValues(t, i+1, m.Seq())
	}

	p.wa.now, p.wa.asleep = p.wa.now+time.Millisecond, false
	send()
	require.Equal(t, 1, p.wa.waiting(), "the worker is awake")
	p.settle()
	require.Len(t, p.rb.got, 6)

	p.wa.now, p.wa.asleep = p.wa.now+time.Millisecond, true
	p.wa.lent = 0
	require.NoError(t, p.a.Send(&msg.Message{Data: make([]byte, lendMax+1)}))
	require.Zero(t, p.wa.lent, "too large")
	p.settle()
	require.Len(t, p.rb.got, 7)
}

// TestLendCallsNobody: the user's code is called by the worker, not below Send.
func TestLendCallsNobody(t *testing.T) {
	p := newPair(t, msg.LossyClient(), msg.StatelessServer())
	p.wa.asleep = true
	p.wa.now += time.Millisecond
	sending, told := true, 0
	notify := msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
		require.False(t, sending)
		require.NoError(t, err)
		told++
	})
	require.NoError(t, p.a.Send(&msg.Message{Notify: notify}))
	sending = false
	require.NotZero(t, p.wa.pipe.out.Len())
	require.Zero(t, told)
	require.Equal(t, 1, p.a.account.n)
	p.wa.run()
	require.Equal(t, 1, told)
	require.Zero(t, p.a.account.n)

	// Nobody wants to know: it is over at once.
	p.wa.now += time.Millisecond
	require.NoError(t, p.a.Send(&msg.Message{}))
	require.Zero(t, p.a.account.n)
	require.Zero(t, p.wa.waiting())
	require.EqualValues(t, 2, p.a.stats().Delivered.Load())
	p.settle()
	require.Len(t, p.rb.got, 2)
}

// TestLendWriteFails: what follows from a broken transport is done by the worker.
func TestLendWriteFails(t *testing.T) {
	p := newPair(t, msg.LossyClient(), msg.StatelessServer())
	p.wa.asleep = true
	p.wa.now += time.Millisecond
	p.wa.pipe.fails = errors.New("broken by the test")
	calls := len(p.ra.calls)
	require.NoError(t, p.a.Send(&msg.Message{}))
	require.Equal(t, 1, p.wa.lent)
	require.True(t, p.wa.pipe.closed)
	require.Nil(t, p.a.t)
	require.Len(t, p.ra.calls, calls)
	require.Empty(t, p.ra.undeliverable)
	require.False(t, p.a.IsClosed())
	p.wa.run()
	require.True(t, p.a.IsClosed())
	require.Len(t, p.ra.undeliverable, 1)
	require.Contains(t, p.ra.calls, "ended")
	require.Zero(t, p.a.account.n)
}

// TestLendLeavesCommands: whoever closes the connection or gives another command
// meanwhile is served by the worker.
func TestLendLeavesCommands(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	p.wa.asleep = true
	p.wa.now += time.Millisecond
	p.a.mu.Lock()
	p.a.cmds |= cmdKeepalive // as if it had come between Send's post and the loan
	p.a.mu.Unlock()
	require.NoError(t, p.a.Send(&msg.Message{}))
	require.Equal(t, 1, p.wa.lent)
	require.Zero(t, p.wa.pipe.out.Len())
	require.Equal(t, 1, p.wa.waiting())
	var seen []frame.Tag
	p.b.sh.Session.Observe = func(_ session.State, tag frame.Tag) { seen = append(seen, tag) }
	p.settle()
	require.Contains(t, seen, frame.TagKeepalive)
	require.Contains(t, seen, frame.TagMessage)
	require.False(t, p.a.lent)
}

// TestLendWaitsForTheLast: replies to messages that wait for dispatch together are
// left to the worker, but for that to the last of them.
func TestLendWaitsForTheLast(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	p.wa.asleep = true
	p.a.AddQueued(2)
	p.wa.now += time.Millisecond
	require.NoError(t, p.a.Send(&msg.Message{}))
	require.Equal(t, 1, p.wa.waiting())
	receipt{p.a}.DispatchDone(0)
	p.settle()
	require.Zero(t, p.wa.lent)

	p.wa.now += time.Millisecond
	p.a.sends = 0
	require.NoError(t, p.a.Send(&msg.Message{}))
	require.Equal(t, 1, p.wa.lent)
	require.NotZero(t, p.wa.pipe.out.Len())
	receipt{p.a}.DispatchDone(0)
	require.Panics(t, func() { receipt{p.a}.DispatchDone(0) })
}

// TestLendNeedsTransport: a message that could make the session dial is for the
// worker, which does what the session wants before anything else happens.
func TestLendNeedsTransport(t *testing.T) {
	p := newPair(t, msg.LosslessClient(), msg.StatefulServer())
	p.wa.asleep = true
	p.a.HandleClosed(errors.New("broken by the test"))
	p.wa.now += time.Millisecond
	require.NoError(t, p.a.Send(&msg.Message{}))
	require.Equal(t, 1, p.wa.waiting())
	require.Len(t, p.a.inbox, 1)
}
