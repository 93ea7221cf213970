package osd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// cluster is a monitor and two OSDs as far as a client sees them, over loopback.
type cluster struct {
	t    *testing.T
	mon  *async.Messenger
	osds [2]*async.Messenger

	acks chan wire.OSDBackoff // what clients say of blocks
	maps chan struct{}        // one for each "osd map"

	mu      sync.Mutex
	primary int // negative: there is none
	objects map[string][]byte
	ops     []string // "osd.0 2202 x retry 0"
	// before, if set, is called before an operation is carried out; false: it is not answered.
	before func(n int, conn msg.Connection) bool
}

// dispatch is a dispatcher.
type dispatch func(m *msg.Message) bool

func (d dispatch) Dispatch(m *msg.Message) bool { return d(m) }

func start(t *testing.T, name entity.Name, d dispatch) *async.Messenger {
	m, err := async.New(async.Config{Name: name})
	require.NoError(t, err)
	m.SetDefaultPolicy(msg.StatelessServer())
	m.AddDispatcherHead(d)
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, m.Start())
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}

func newCluster(t *testing.T) (*cluster, *mon.Client) {
	c := &cluster{t: t, objects: map[string][]byte{}, acks: make(chan wire.OSDBackoff, 2*backoffsMax),
		maps: make(chan struct{}, 1000)}
	for i := range c.osds {
		c.osds[i] = start(t, entity.OSD(int64(i)), func(m *msg.Message) bool { return c.op(i, m) })
	}
	c.mon = start(t, entity.Mon(0), c.command)
	mc, err := mon.Open(mon.Config{Mons: []entity.AddrVec{c.mon.Addrs()}},
		mon.Login{Name: entity.AuthName{Type: entity.TypeClient, ID: "x"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, mc.Close()) })
	return c, mc
}

// command is the monitor's dispatcher.
func (c *cluster) command(m *msg.Message) bool {
	if m.Type == msg.TypeMonGetMap {
		f := wire.MonMap{Epoch: 1, Mons: []wire.MonInfo{{Name: "a", Addrs: c.mon.Addrs()}}}
		_ = m.Connection().Send(&msg.Message{Type: msg.TypeMonMap, Version: 1,
			Front: denc.AppendBL(nil, f.Append(nil))})
		return true
	}
	if m.Type != msg.TypeMonCommand {
		return true
	}
	_, words, err := wire.ParseCommand(m.Front)
	var cmd struct {
		Prefix, Pool, Object string
		ID                   int
	}
	if err = errors.Join(err, json.Unmarshal([]byte(words[0]), &cmd)); err != nil {
		panic(err)
	}
	c.mu.Lock()
	primary := c.primary
	c.mu.Unlock()
	var code int32
	var out string
	if cmd.Prefix == "osd map" {
		select {
		case c.maps <- struct{}{}:
		default:
		}
	}
	switch {
	case cmd.Prefix == "osd map" && cmd.Pool == "absent":
		code = -2
	case cmd.Prefix == "osd map":
		out = fmt.Sprintf(`{"epoch":7,"pool":%q,"pool_id":3,"objname":%q,"raw_pgid":"3.6cf8deff","pgid":"3.7",`+
			`"up":[0],"up_primary":0,"acting":[0],"acting_primary":%d}`, cmd.Pool, cmd.Object, primary)
	case cmd.Prefix == "osd find":
		a := c.osds[cmd.ID].Addrs()[0]
		out = fmt.Sprintf(`{"osd":%d,"addrs":{"addrvec":[{"type":"v2","addr":%q,"nonce":%d}]}}`, cmd.ID, a.AddrPort,
			a.Nonce)
	}
	_ = m.Connection().Send(wire.CommandAck(m.TID, code, "", words, []byte(out)))
	return true
}

// op is the dispatcher of an OSD.
func (c *cluster) op(i int, m *msg.Message) bool {
	if m.Type == wire.TypeOSDBackoff {
		b, err := wire.ParseOSDBackoff(m.Front)
		if err != nil {
			panic(err)
		}
		c.acks <- b
		return true
	}
	if m.Type != wire.TypeOSDOp {
		return false
	}
	r := denc.NewReader(m.Front)
	r.Bytes(24 + 12 + 27 + 24 + 12 + 34)
	object := r.String()
	r.U16()
	op := r.U16()
	r.Bytes(4 + 8)
	length := r.U64()
	r.Bytes(16 + 8 + 8 + 4)
	retry := r.S32()
	require.NoError(c.t, r.Err())

	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops = append(c.ops, fmt.Sprintf("osd.%d %x %s retry %d", i, op, object, retry))
	if c.before != nil && !c.before(len(c.ops), m.Connection()) {
		return true
	}
	reply := wire.OSDOpReply{Object: object, Ops: []int32{0}}
	data, ok := c.objects[object]
	switch op {
	case wire.OpWriteFull:
		c.objects[object], data = m.Data, nil
	case wire.OpRead, wire.OpDelete:
		if !ok {
			reply.Result, reply.Ops[0] = -2, -2
		}
		if op == wire.OpDelete {
			delete(c.objects, object)
			data = nil
		}
	}
	_ = m.Connection().Send(reply.Message(m.TID, data[:min(len(data), int(length))]))
	return true
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestObjects(t *testing.T) {
	c, mc := newCluster(t)
	o, err := New(mc, Config{ReadMax: 100})
	require.NoError(t, err)
	ctx := testContext(t)
	require.NoError(t, o.Write(ctx, "p", "x", []byte("hello")))
	got, err := o.Read(ctx, "p", "x")
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.NoError(t, o.Write(ctx, "p", "x", make([]byte, 101)))
	_, err = o.Read(ctx, "p", "x")
	require.ErrorIs(t, err, ErrTooLarge)
	require.NoError(t, o.Delete(ctx, "p", "x"))
	_, err = o.Read(ctx, "p", "x")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "osd: p/x: the OSD answers -2 (no such object)")
	_, err = o.Read(ctx, "absent", "x")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, o.Write(ctx, "p", "x", make([]byte, 64<<20+1)), ErrTooLarge)
	c.mu.Lock()
	require.Len(t, c.ops, 6)
	c.mu.Unlock()
	require.Empty(t, o.ops)

	_, err = New(nil, Config{})
	require.Error(t, err)
	_, err = New(mc, Config{OpsMax: -1})
	require.Error(t, err)
}

// TestTriesAgain: an operation is asked again, with its number, when its connection breaks, when the OSD
// asks for that, does not answer, or is another one, and while there is none.
func TestTriesAgain(t *testing.T) {
	c, mc := newCluster(t)
	o, err := New(mc, Config{AnswerTimeout: 300 * time.Millisecond})
	require.NoError(t, err)
	waits := make(chan struct{})
	c.before = func(n int, conn msg.Connection) bool {
		switch n {
		case 1:
			conn.MarkDown()
		case 2:
			_ = conn.Send(&msg.Message{Type: wire.TypeOSDBackoff})
		case 3: // silence
		case 4:
			c.primary = -1
			close(waits)
		default:
			return true
		}
		return false
	}
	go func() {
		<-waits
		c.mu.Lock()
		defer c.mu.Unlock()
		c.primary = 1
	}()
	require.NoError(t, o.Write(testContext(t), "p", "x", []byte("hello")))
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Equal(t, "hello", string(c.objects["x"]))
	require.GreaterOrEqual(t, len(c.ops), 5)
	last := int32(-1)
	for _, op := range c.ops[:4] {
		var retry int32
		_, err := fmt.Sscanf(op, "osd.0 2202 x retry %d", &retry)
		require.NoError(t, err, op)
		require.Greater(t, retry, last, "each try says that it is a later one")
		last = retry
	}
	require.Contains(t, c.ops[4], "osd.1 2202 x retry ")
}

// TestTwoClients of one messenger do not use each other's numbers, nor take each other's answers.
func TestTwoClients(t *testing.T) {
	c, mc := newCluster(t)
	ctx := testContext(t)
	tids := map[uint64]bool{}
	var clients []*Client
	for range 3 {
		o, err := New(mc, Config{AnswerTimeout: 10 * time.Second})
		require.NoError(t, err)
		clients = append(clients, o)
	}
	for i, o := range clients { // the last one is the first of the chain
		require.NoError(t, o.Write(ctx, "p", fmt.Sprint(i), nil))
		tids[o.last.Load()] = true
	}
	require.Len(t, tids, 3)
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, c.ops, 3, "each was asked once")
}

// TestBoundsOfOperations: as many as may be, and an end by the context that says why.
func TestBoundsOfOperations(t *testing.T) {
	c, mc := newCluster(t)
	o, err := New(mc, Config{OpsMax: 1, AnswerTimeout: 20 * time.Millisecond})
	require.NoError(t, err)
	asked := make(chan struct{}, 100)
	c.before = func(int, msg.Connection) bool { asked <- struct{}{}; return false }
	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() { ended <- o.Write(ctx, "p", "x", nil) }()
	<-asked
	require.ErrorIs(t, o.Write(ctx, "p", "x", nil), ErrBusy)
	<-asked // the second try, so the first has failed
	cancel()
	err = <-ended
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "the last failure: osd: no answer yet: osd.0: no answer within 20ms")
	require.NoError(t, mc.Close())
	require.ErrorIs(t, o.Write(testContext(t), "p", "x", nil), mon.ErrClosed)
}

// TestWhatAnOSDFindsTooLarge is ErrTooLarge, and says the number.
func TestWhatAnOSDFindsTooLarge(t *testing.T) {
	for _, errno := range []int{27, 90} {
		require.ErrorIs(t, &Error{Errno: errno}, ErrTooLarge)
	}
	require.NotErrorIs(t, &Error{Errno: 28}, ErrTooLarge)
	require.EqualError(t, &Error{Pool: "p", Namespace: "s", Object: "x", Errno: 90},
		"osd: p/s/x: the OSD answers -90 (too large at a time)")
}

func TestParsePlace(t *testing.T) {
	p, err := parsePlace([]byte(`{"epoch":27,"pool_id":1,"raw_pgid":"1.6cf8deff","pgid":"1.7","acting_primary":0}`))
	require.NoError(t, err)
	require.Equal(t, place{pool: 1, hash: 0x6cf8deff, seed: 7, epoch: 27}, p)
	for text, says := range map[string]string{
		"": "unexpected end", `{}`: "no acting_primary",
		`{"pool_id":1,"raw_pgid":"1.x","pgid":"1.7","acting_primary":0}`: `"1.x" is no placement group of pool 1`,
		`{"pool_id":1,"raw_pgid":"2.6","pgid":"1.7","acting_primary":0}`: `"2.6" is no placement group of pool 1`,
	} {
		_, err := parsePlace([]byte(text))
		require.ErrorContains(t, err, says)
	}
	v, err := parseAddrs([]byte(`{"addrs":{"addrvec":[{"type":"v2","addr":"1.2.3.4:5","nonce":6},` +
		`{"type":"v1","addr":"1.2.3.4:7","nonce":6}]}}`))
	require.NoError(t, err)
	require.Equal(t, "[v2:1.2.3.4:5/6,v1:1.2.3.4:7/6]", v.String())
	_, err = parseAddrs([]byte(`{"addrs":{"addrvec":[]}}`))
	require.ErrorContains(t, err, "no address of msgr v2")
}
