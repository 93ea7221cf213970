package dispatch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// full is a dispatcher with all interfaces, that notes its calls in a log shared by
// the chain and does what it is told.
type full struct {
	name string
	log  *[]string
	// By method: true to take it.
	takes map[string]bool
	// By method: to panic.
	panics map[string]bool
	// By method: to end the goroutine.
	goexits map[string]bool
}

func (f *full) call(method string) bool {
	*f.log = append(*f.log, f.name+"."+method)
	if f.panics[method] {
		panic(f.name)
	}
	if f.goexits[method] {
		runtime.Goexit()
	}
	return f.takes[method]
}

func (f *full) Dispatch(*msg.Message) bool                     { return f.call("Dispatch") }
func (f *full) CanFastDispatch(*msg.Message) bool              { return f.call("CanFast") }
func (f *full) FastDispatch(*msg.Message)                      { f.call("Fast") }
func (f *full) FastPreprocess(*msg.Message)                    { f.call("Pre") }
func (f *full) HandleConnect(msg.Connection)                   { f.call("Connect") }
func (f *full) HandleAccept(msg.Connection)                    { f.call("Accept") }
func (f *full) HandleFastConnect(msg.Connection)               { f.call("FastConnect") }
func (f *full) HandleFastAccept(msg.Connection)                { f.call("FastAccept") }
func (f *full) HandleFastReset(msg.Connection)                 { f.call("FastReset") }
func (f *full) HandleFastRemoteReset(msg.Connection)           { f.call("FastRemoteReset") }
func (f *full) HandleReset(_ msg.Connection, err error) bool   { return f.call("Reset") }
func (f *full) HandleRemoteReset(msg.Connection)               { f.call("RemoteReset") }
func (f *full) HandleRefused(_ msg.Connection, err error) bool { return f.call("Refused") }
func (f *full) HandleConnectFailed(_ msg.Connection, err *msg.ConnectError) {
	f.call(fmt.Sprint("ConnectFailed", err.Attempt))
}
func (f *full) HandleRejected(_ msg.Connection, err *msg.RejectedError) {
	f.call(fmt.Sprint("Rejected", err.Attempts))
}
func (f *full) HandleSendPressure(_ msg.Connection, high bool)          { f.call(fmt.Sprint("Pressure ", high)) }
func (f *full) HandleFault(_ msg.Connection, err error)                 { f.call(fmt.Sprint("Fault ", err)) }
func (f *full) HandleFastFault(_ msg.Connection, err error)             { f.call(fmt.Sprint("FastFault ", err)) }
func (f *full) HandleUndeliverable(msg.Connection, *msg.Message, error) { f.call("Undeliverable") }

var allKinds = []Kind{
	KindMessage, KindConnect, KindAccept, KindReset, KindRemoteReset, KindRefused,
	KindConnectFailed, KindRejected, KindHighWater, KindLowWater, KindFault,
}

// errOf is an error that fits the kind.
func errOf(k Kind) error {
	switch k {
	case KindConnectFailed:
		return &msg.ConnectError{Attempt: 3, Err: io.EOF}
	case KindFault:
		return io.ErrUnexpectedEOF
	case KindRejected:
		return &msg.RejectedError{Attempts: 4, Err: io.EOF}
	}
	return nil
}

// newFullChain is a chain of a plain dispatcher and two full ones, a and b.
func newFullChain(cfg ChainConfig) (c *Chain, a, b *full, log *[]string) {
	log = new([]string)
	a = &full{name: "a", log: log, takes: map[string]bool{}, panics: map[string]bool{}, goexits: map[string]bool{}}
	b = &full{name: "b", log: log, takes: map[string]bool{}, panics: map[string]bool{}, goexits: map[string]bool{}}
	c = NewChain(cfg)
	c.AddTail(b)
	c.AddHead(a)
	c.AddHead(dispatcherFunc(func(*msg.Message) bool {
		*log = append(*log, "plain")
		return false
	}))
	return c, a, b, log
}

func TestChainOrder(t *testing.T) {
	c, a, b, log := newFullChain(ChainConfig{OnUnhandled: func(*msg.Message) {}})
	conn := newConns(1)[0]
	m := newMessage(conn, 127, 1, nil, 0)
	expect := func(want string, outcome Outcome, got Outcome) {
		t.Helper()
		require.Equal(t, want, strings.Join(*log, " "))
		require.Equal(t, outcome, got)
		*log = nil
	}
	handle := func(k Kind) Outcome {
		it := Item{Kind: k, Conn: conn, Err: errOf(k)}
		if k == KindMessage {
			it.Msg = m
		}
		return c.Handle(&it)
	}
	expect("plain a.Dispatch b.Dispatch", Unhandled, handle(KindMessage))
	expect("a.Connect b.Connect", Handled, handle(KindConnect))
	expect("a.Accept b.Accept", Handled, handle(KindAccept))
	expect("a.Reset b.Reset", Handled, handle(KindReset))
	expect("a.RemoteReset b.RemoteReset", Handled, handle(KindRemoteReset))
	expect("a.Refused b.Refused", Handled, handle(KindRefused))
	expect("a.ConnectFailed3 b.ConnectFailed3", Handled, handle(KindConnectFailed))
	expect("a.Rejected4 b.Rejected4", Handled, handle(KindRejected))
	expect("a.Pressure true b.Pressure true", Handled, handle(KindHighWater))
	expect("a.Pressure false b.Pressure false", Handled, handle(KindLowWater))
	expect("a.FastConnect b.FastConnect", Handled, c.FastConnect(conn))
	expect("a.FastAccept b.FastAccept", Handled, c.FastAccept(conn))
	expect("a.Fault unexpected EOF b.Fault unexpected EOF", Handled, handle(KindFault))
	expect("a.FastFault EOF b.FastFault EOF", Handled, c.FastFault(conn, io.EOF))
	expect("a.FastReset b.FastReset", Handled, c.FastReset(conn))
	expect("a.FastRemoteReset b.FastRemoteReset", Handled, c.FastRemoteReset(conn))
	expect("a.Undeliverable b.Undeliverable", Handled, c.Undeliverable(conn, m, msg.ErrReset))
	expect("a.Pre b.Pre a.CanFast b.CanFast", Unhandled, c.Fast(m))

	for _, method := range []string{"Dispatch", "Reset", "Refused", "CanFast"} {
		a.takes[method] = true
	}
	expect("plain a.Dispatch", Handled, handle(KindMessage))
	expect("a.Reset", Handled, handle(KindReset))
	expect("a.Refused", Handled, handle(KindRefused))
	expect("a.Pre b.Pre a.CanFast a.Fast", Handled, c.Fast(m))
	a.takes["CanFast"], b.takes["CanFast"] = false, true
	expect("a.Pre b.Pre a.CanFast b.CanFast b.Fast", Handled, c.Fast(m))
	require.Equal(t, ChainStats{Dispatchers: 3, Unhandled: 1}, c.Stats())
	require.Panics(t, func() { handle(99) })
	require.Panics(t, func() { c.AddTail(nil) })
}

func TestChainPanics(t *testing.T) {
	var reported []any
	conn := newConns(1)[0]
	c, a, _, log := newFullChain(ChainConfig{OnPanic: func(cn msg.Connection, r any, stack []byte) {
		require.Same(t, conn, cn)
		require.Contains(t, string(stack), "chain_test.go", "the stack is that of the panic")
		reported = append(reported, r)
	}})
	r := new(receipts)
	m := newMessage(conn, 127, 1, r, 7)
	for _, method := range []string{
		"Dispatch", "Connect", "Accept", "Reset", "RemoteReset", "Refused", "ConnectFailed3", "Rejected4",
		"Pressure true", "Pressure false", "FastConnect", "FastAccept", "FastReset", "FastRemoteReset",
		"Fault unexpected EOF", "FastFault EOF", "Undeliverable", "Pre",
	} {
		a.panics[method] = true
	}
	for _, k := range allKinds {
		require.Equal(t, Panicked, c.Handle(&Item{Kind: k, Conn: conn, Msg: m, Err: errOf(k)}), k)
	}
	require.Equal(t, Panicked, c.FastConnect(conn))
	require.Equal(t, Panicked, c.FastAccept(conn))
	require.Equal(t, Panicked, c.FastReset(conn))
	require.Equal(t, Panicked, c.FastRemoteReset(conn))
	require.Equal(t, Panicked, c.FastFault(conn, io.EOF))
	require.Equal(t, Panicked, c.Undeliverable(conn, m, msg.ErrReset))
	require.Equal(t, "plain a.Dispatch a.Connect b.Connect a.Accept b.Accept a.Reset b.Reset"+
		" a.RemoteReset b.RemoteReset a.Refused b.Refused a.ConnectFailed3 b.ConnectFailed3 a.Rejected4 b.Rejected4"+
		" a.Pressure true b.Pressure true a.Pressure false b.Pressure false"+
		" a.Fault unexpected EOF b.Fault unexpected EOF a.FastConnect b.FastConnect"+
		" a.FastAccept b.FastAccept a.FastReset b.FastReset a.FastRemoteReset b.FastRemoteReset"+
		" a.FastFault EOF b.FastFault EOF a.Undeliverable b.Undeliverable", strings.Join(*log, " "),
		"an event reaches the others all the same, a message does not")
	require.Zero(t, r.done)

	for i, method := range []string{"Pre", "CanFast", "Fast"} {
		m := newMessage(conn, 127, 1, r, int64(i+1))
		clear(a.panics)
		a.takes["CanFast"] = true
		a.panics[method] = true
		require.Equal(t, Panicked, c.Fast(m))
		require.Equal(t, 1, r.done[int64(i+1)], "given back")
	}
	require.Len(t, reported, 17+3)
	require.EqualValues(t, 17+3, c.Stats().Panics)
}

func TestChainFastGivesBack(t *testing.T) {
	c, a, _, _ := newFullChain(ChainConfig{})
	conn, r := newConns(1)[0], new(receipts)
	require.Equal(t, Unhandled, c.Fast(newMessage(conn, 127, 1, r, 1)))
	require.Empty(t, r.done, "it is still to be queued")
	a.takes["CanFast"] = true
	require.Equal(t, Handled, c.Fast(newMessage(conn, 127, 1, r, 2)))
	require.Equal(t, map[int64]int{2: 1}, r.done)
}

func TestChainWatchdog(t *testing.T) {
	now := time.Duration(0)
	took := time.Duration(0)
	var slow []string
	c := NewChain(ChainConfig{
		Clock: func() time.Duration { return now },
		OnSlow: func(_ msg.Connection, method string, d time.Duration) {
			slow = append(slow, fmt.Sprint(method, " ", d))
		},
	})
	c.AddTail(fastOnly{func() { now += took }})
	conn := newConns(1)[0]
	call := func() {
		c.Fast(newMessage(conn, 127, 1, nil, 0))
		c.FastConnect(conn)
		c.FastAccept(conn)
		c.FastReset(conn)
		c.FastRemoteReset(conn)
	}
	took = DefaultFastLimit
	call()
	require.Empty(t, slow)
	took++
	call()
	require.Equal(t, []string{
		"FastDispatch 100.000001ms", "HandleFastConnect 100.000001ms", "HandleFastAccept 100.000001ms",
		"HandleFastReset 100.000001ms", "HandleFastRemoteReset 100.000001ms",
	}, slow)
	require.EqualValues(t, 5, c.Stats().Slow)

	off := NewChain(ChainConfig{FastLimit: -1, Clock: func() time.Duration { t.Error("read"); return 0 }})
	off.AddTail(fastOnly{func() {}})
	off.Fast(newMessage(conn, 127, 1, nil, 0))
}

// fastOnly does the same in everything that runs on the worker.
type fastOnly struct{ do func() }

func (fastOnly) Dispatch(*msg.Message) bool         { return false }
func (fastOnly) CanFastDispatch(*msg.Message) bool  { return true }
func (f fastOnly) FastDispatch(*msg.Message)        { f.do() }
func (f fastOnly) HandleFastConnect(msg.Connection) { f.do() }
func (f fastOnly) HandleFastAccept(msg.Connection)  { f.do() }
func (f fastOnly) HandleFastReset(msg.Connection)   { f.do() }

func (f fastOnly) HandleFastRemoteReset(msg.Connection) { f.do() }

// Without hooks, everything is logged, unhandled messages ever more rarely.
func TestChainLogs(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	now := time.Duration(0)
	c := NewChain(ChainConfig{Logger: log, Clock: func() time.Duration { return now }})
	for range 100 {
		require.Equal(t, Unhandled, c.Dispatch(&msg.Message{}))
	}
	require.Equal(t, 7, strings.Count(out.String(), "no dispatcher handles"), "1 2 4 8 16 32 64")
	c.AddTail(fastOnly{func() { now += time.Second; panic(errors.New("ouch")) }})
	c.Fast(newMessage(newConns(1)[0], 127, 1, nil, 0))
	require.Contains(t, out.String(), "ouch")
	require.Contains(t, out.String(), "conn 1")
	require.Contains(t, out.String(), "held up a worker")
}

// Dispatchers are added while others dispatch.
func TestChainAddWhileDispatching(t *testing.T) {
	c := NewChain(ChainConfig{OnUnhandled: func(*msg.Message) {}})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 100 {
				c.AddTail(dispatcherFunc(func(*msg.Message) bool { return false }))
				c.Dispatch(&msg.Message{})
			}
		})
	}
	wg.Wait()
	require.Equal(t, 200, c.Stats().Dispatchers)
}

// The chain below a queue: a dispatcher that panics, one that does not want the
// message, and one that releases it.
func TestChainInQueue(t *testing.T) {
	e, r := new(Inline), new(receipts)
	var panicked []uint64
	c := NewChain(ChainConfig{OnPanic: func(cn msg.Connection, _ any, _ []byte) {
		panicked = append(panicked, cn.ID())
	}})
	c.AddTail(dispatcherFunc(func(m *msg.Message) bool {
		switch m.Seq() {
		case 1:
			panic("one")
		case 2:
			return false
		}
		m.Release()
		return true
	}))
	q := New(Config{Executor: e, Handler: c})
	conns := newConns(3)
	for i, cn := range conns {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(cn, 127, uint64(i+1), r, int64(i+1)))))
	}
	e.Run()
	require.Equal(t, []uint64{1}, panicked)
	require.Equal(t, map[int64]int{1: 1, 2: 1, 3: 1}, r.done)
	s := q.Stats()
	require.EqualValues(t, 1, s.Panics)
	require.EqualValues(t, 1, s.Unhandled)
	require.EqualValues(t, 3, s.Dispatched)
}
