package rpc_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// The numbers of the wire, written down once more: they must not change.
const (
	wireRequest = 0xe000
	wireReply   = 0xe001
	wireCancel  = 0xe002
	wireChunk   = 0xe003
	wireCredit  = 0xe004
	wireProbe   = 0xe005
)

// rawPeer is a messenger without a Node, which says what a test wants.
type rawPeer struct {
	*async.Messenger
	t    testing.TB
	conn msg.Connection

	mu  sync.Mutex
	got []*msg.Message
	on  func(m *msg.Message) // answers, if set
}

func (r *rawPeer) Dispatch(m *msg.Message) bool {
	if m.Type == wireProbe {
		return true
	}
	r.mu.Lock()
	r.got = append(r.got, m)
	on := r.on
	r.mu.Unlock()
	if on != nil {
		on(m)
	}
	return true
}

// raw is a raw peer of p's server.
func (p *pair) raw() *rawPeer { return p.rawAs(9) }

func (p *pair) rawAs(id int64) *rawPeer {
	p.t.Helper()
	m, err := async.New(async.Config{Name: entity.OSD(id), Stack: p.client.Messenger().Stack()})
	require.NoError(p.t, err)
	r := &rawPeer{Messenger: m, t: p.t}
	m.SetDefaultPolicy(msg.LosslessPeer())
	m.AddDispatcherTail(r)
	require.NoError(p.t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(p.t, m.Start())
	p.t.Cleanup(func() { require.NoError(p.t, m.Shutdown(timeout(p.t))) })
	r.conn, err = m.ConnectTo(entity.TypeOSD, p.server.Messenger().Addrs())
	require.NoError(p.t, err)
	return r
}

func (r *rawPeer) answer(on func(m *msg.Message)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = on
}

func (r *rawPeer) send(typ uint16, tid uint64, front ...byte) {
	r.t.Helper()
	require.NoError(r.t, r.conn.Send(&msg.Message{Type: typ, TID: tid, Front: front}))
}

// answers returns the n messages that came.
func (r *rawPeer) answers(n int) []*msg.Message {
	r.t.Helper()
	var got []*msg.Message
	eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = r.got
		return len(got) >= n
	})
	return got
}

func short(code uint32, method uint16, body string) []byte {
	b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16([]byte{1, 0}, method), code)
	return append(b, body...)
}

func request(method uint16, remaining time.Duration, body string) []byte {
	b := binary.LittleEndian.AppendUint64(short(0, method, ""), uint64(remaining))
	return append(b, body...)
}

// TestWire: the bytes of a call, both ways.
func TestWire(t *testing.T) {
	p := newPair(t)
	r := p.raw()
	r.send(wireRequest, 77, request(echo, 0, "hello")...)
	m := r.answers(1)[0]
	require.EqualValues(t, wireReply, m.Type)
	require.EqualValues(t, 77, m.TID)
	require.Equal(t, short(0, echo, "hello"), m.Front)

	// A large body is Data, and either is taken.
	require.NoError(t, r.conn.Send(&msg.Message{Type: wireRequest, TID: 78, Front: request(echo, 0, ""),
		Data: []byte("data")}))
	require.Equal(t, short(0, echo, "data"), r.answers(2)[1].Front)

	// And what a node sends.
	r.answer(func(m *msg.Message) {
		_ = m.Connection().Send(&msg.Message{Type: wireReply, TID: m.TID, Front: short(0, 5, "x")})
	})
	reply, err := p.server.Call(context.Background(), backTo(p, r), 5, []byte("req"), rpc.Timeout(time.Hour))
	require.NoError(t, err)
	require.Equal(t, "x", string(reply))
	m = r.answers(3)[2]
	require.EqualValues(t, wireRequest, m.Type)
	life := m.Front[4:8]
	require.NotZero(t, binary.LittleEndian.Uint32(life))
	clear(life)
	require.Equal(t, request(5, time.Hour, "req"), m.Front)
}

func backTo(p *pair, r *rawPeer) (c msg.Connection) {
	eventually(p.t, func() bool { c = p.server.Messenger().Lookup(r.Addrs()); return c != nil && c.IsConnected() })
	return c
}

// TestBadMessages: what makes no sense is dropped and counted; a request is answered.
func TestBadMessages(t *testing.T) {
	p := newPair(t)
	r := p.raw()
	bad := 0
	for _, typ := range []uint16{wireReply, wireCancel, wireChunk, wireCredit, wireProbe, 0xe006, 0xe00f} {
		for _, front := range [][]byte{
			nil, {1}, {1, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0, 0}, {1, 0xff, 0, 0, 0, 0, 0, 0},
		} {
			r.send(typ, 5, front...)
			bad++
		}
	}
	eventually(t, func() bool { return p.server.Stats().Malformed == uint64(bad) })
	good := request(echo, 0, "")
	for i, front := range [][]byte{nil, {1}, good[:15], append([]byte{2}, good[1:]...)} {
		r.send(wireRequest, uint64(i), front...)
	}
	require.NoError(t, r.conn.Send(&msg.Message{Type: wireRequest, TID: 9, Front: request(echo, 0, "both"),
		Data: []byte("x")}))
	require.NoError(t, r.conn.Send(&msg.Message{Type: wireRequest, TID: 9, Front: request(echo, 0, ""),
		Middle: []byte("x")}))
	for _, m := range r.answers(6) {
		require.EqualValues(t, wireReply, m.Type)
		require.EqualValues(t, rpc.CodeInvalid, binary.LittleEndian.Uint32(m.Front[4:]))
	}
	r.send(wireRequest, 1, request(echo, 0, "still well")...)
	require.Equal(t, "still well", string(r.answers(7)[6].Front[8:]))
}

// TestForeignReplies: to calls that there never were, to another peer's call, of another type, and
// ones that cannot be read.
func TestForeignReplies(t *testing.T) {
	p := newPair(t)
	r := p.raw()
	tids := make(chan uint64, 1)
	c := backTo(p, r)
	r.answer(func(m *msg.Message) { tids <- m.TID })
	r.send(wireReply, 12345, short(0, 1, "")...)
	eventually(t, func() bool { return p.server.Stats().UnknownReplies == 1 })

	ends := make(chan error, 3)
	call := func(c msg.Connection, typ uint16) (tid uint64) {
		p.server.Go(context.Background(), c, typ, nil, func(_ []byte, err error) { ends <- err })
		return <-tids
	}
	tid := call(c, 7)
	r.send(wireReply, tid, short(0, 8, "")...)
	require.ErrorIs(t, <-ends, rpc.ErrWrongType)
	r.send(wireReply, tid, short(0, 7, "")...)
	eventually(t, func() bool { return p.server.Stats().LateReplies == 1 })
	r.send(wireReply, call(c, 7), 1, 2, 3)
	require.ErrorIs(t, <-ends, rpc.ErrBadReply)

	// Another peer knows the tid of a call to r, and answers it.
	tid = call(c, 7)
	other := p.rawAs(8)
	other.send(wireReply, tid, short(0, 7, "")...)
	eventually(t, func() bool { return p.server.Stats().UnknownReplies == 2 })
	require.Equal(t, 1, p.server.Stats().Out)
	r.send(wireReply, tid, short(0, 7, "")...)
	require.NoError(t, <-ends)
}

// TestCancelFlood: cancellations of requests that there are not are kept for a while, not for ever.
func TestCancelFlood(t *testing.T) {
	p := newPair(t)
	r := p.raw()
	for i := range uint64(5000) {
		r.send(wireCancel, i, short(0, 0, "")...)
	}
	// The last ones are remembered, the first ones not.
	r.send(wireRequest, 4999, request(echo, 0, "dropped")...)
	r.send(wireRequest, 0, request(echo, 0, "answered")...)
	require.EqualValues(t, 0, r.answers(1)[0].TID)
	eventually(t, func() bool { return p.server.Stats().CancelledBefore == 1 })
	require.EqualValues(t, 5000, p.server.Stats().CancelsReceived)
}

// TestReplyTooLarge: the caller is told.
func TestReplyTooLarge(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.server.HandleRaw(1, func(context.Context, *rpc.Request) ([]byte, error) {
		return make([]byte, 65<<20), nil
	}))
	_, err := p.client.Call(timeout(t), p.conn, 1, nil)
	require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeInternal})
	_, err = p.client.Call(timeout(t), p.conn, 1, make([]byte, 65<<20))
	require.ErrorIs(t, err, msg.ErrTooLarge)
	require.Zero(t, p.client.Stats().Out)
}

// TestOverloaded: what a concurrent handler has no room for is refused.
func TestOverloaded(t *testing.T) {
	p := newPair(t)
	release := make(chan struct{})
	require.NoError(t, p.server.HandleRaw(1, func(context.Context, *rpc.Request) ([]byte, error) {
		<-release
		return nil, nil
	}, rpc.Concurrent(2), rpc.Waiting(3, 0)))
	ends := make(chan error, 6)
	for range 6 {
		p.client.Go(context.Background(), p.conn, 1, nil, func(_ []byte, err error) { ends <- err })
	}
	require.ErrorIs(t, <-ends, &rpc.Error{Code: rpc.CodeOverloaded})
	require.EqualValues(t, 1, p.server.Stats().Overloaded)
	require.Equal(t, 5, p.server.Stats().Running)
	close(release)
	for range 5 {
		require.NoError(t, <-ends)
	}
	eventually(t, func() bool { return p.server.Stats().Running == 0 })
}

// TestReplyQueueFull: a reply that finds no room is counted and logged.
func TestReplyQueueFull(t *testing.T) {
	p := newPair(t, func(o *pairOptions) {
		o.serverConf = func(c *async.Config) { c.SendQueueMessages = 1 }
	})
	back := p.back()
	// What nodes tell each other first takes room too.
	empty := func() bool { n, _ := back.SendQueue(); return n == 0 }
	eventually(t, func() bool { return p.server.Messenger().Stats().Sent == 1 && empty() })
	_, err := p.client.Call(timeout(t), p.conn, echo, nil)
	require.NoError(t, err)
	eventually(t, empty)
	require.NoError(t, p.server.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		for r.Conn.Send(&msg.Message{Type: 1}) == nil { // fills the queue
		}
		return nil, nil
	}))
	for err == nil { // until the client does not acknowledge so soon that there is room again
		_, err = p.client.Call(timeout(t), p.conn, 1, nil, rpc.Timeout(200*time.Millisecond))
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, p.server.Stats().RepliesDropped)
	require.Equal(t, 1, p.logs.having("rpc: a reply cannot be sent, and its caller waits in vain"))
}

// TestAllocs: 64 bytes there and back, client and server together.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newPair(t)
	req := make([]byte, 64)
	call := func(opts ...rpc.CallOption) func() {
		return func() {
			if _, err := p.client.Call(context.Background(), p.conn, echo, req, opts...); err != nil {
				t.Error(err)
			}
		}
	}
	for range 200 {
		call()()
	}
	require.LessOrEqual(t, testing.AllocsPerRun(2000, call()), 2.0)
	opts := []rpc.CallOption{rpc.Into(make([]byte, 64))}
	require.LessOrEqual(t, testing.AllocsPerRun(2000, call(opts...)), 1.0)
	req = make([]byte, 4096)
	require.LessOrEqual(t, testing.AllocsPerRun(2000, call()), 4.0)
}
