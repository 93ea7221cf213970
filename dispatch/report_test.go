package dispatch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// ends runs f on a goroutine of its own and says whether f ended that.
func ends(f func()) bool {
	ended := make(chan bool)
	go func() {
		over := true
		defer func() { ended <- over }()
		f()
		over = false
	}()
	return <-ended
}

// Whatever a dispatcher ends the goroutine in, it is counted and reported, once, with
// the stack, and the other handlers of an event are told.
func TestChainGoexit(t *testing.T) {
	conn := newConns(1)[0]
	message := func(r *receipts) *msg.Message { return newMessage(conn, 127, 1, r, 7) }
	for _, x := range []struct {
		method string
		call   func(c *Chain, r *receipts)
		want   string
	}{
		{"Dispatch", func(c *Chain, r *receipts) { c.Dispatch(message(r)) }, "plain a.Dispatch"},
		{"Connect", func(c *Chain, _ *receipts) { c.Connect(conn) }, "a.Connect b.Connect"},
		{"Accept", func(c *Chain, _ *receipts) { c.Accept(conn) }, "a.Accept b.Accept"},
		{"Reset", func(c *Chain, _ *receipts) { c.Reset(conn, msg.ErrReset) }, "a.Reset b.Reset"},
		{"RemoteReset", func(c *Chain, _ *receipts) { c.RemoteReset(conn) }, "a.RemoteReset b.RemoteReset"},
		{"Refused", func(c *Chain, _ *receipts) { c.Refused(conn, io.EOF) }, "a.Refused b.Refused"},
		{"ConnectFailed3", func(c *Chain, _ *receipts) { c.ConnectFailed(conn, &msg.ConnectError{Attempt: 3}) },
			"a.ConnectFailed3 b.ConnectFailed3"},
		{"Rejected4", func(c *Chain, _ *receipts) { c.Rejected(conn, &msg.RejectedError{Attempts: 4}) },
			"a.Rejected4 b.Rejected4"},
		{"Pressure true", func(c *Chain, _ *receipts) { c.SendPressure(conn, true) },
			"a.Pressure true b.Pressure true"},
		{"FastConnect", func(c *Chain, _ *receipts) { c.FastConnect(conn) }, "a.FastConnect b.FastConnect"},
		{"FastAccept", func(c *Chain, _ *receipts) { c.FastAccept(conn) }, "a.FastAccept b.FastAccept"},
		{"Fault EOF", func(c *Chain, _ *receipts) { c.Fault(conn, io.EOF) }, "a.Fault EOF b.Fault EOF"},
		{"FastFault EOF", func(c *Chain, _ *receipts) { c.FastFault(conn, io.EOF) },
			"a.FastFault EOF b.FastFault EOF"},
		{"FastReset", func(c *Chain, _ *receipts) { c.FastReset(conn) }, "a.FastReset b.FastReset"},
		{"FastRemoteReset", func(c *Chain, _ *receipts) { c.FastRemoteReset(conn) },
			"a.FastRemoteReset b.FastRemoteReset"},
		{"Undeliverable", func(c *Chain, _ *receipts) { c.Undeliverable(conn, message(nil), io.EOF) },
			"a.Undeliverable b.Undeliverable"},
		{"Pre", func(c *Chain, r *receipts) { c.Fast(message(r)) }, "a.Pre"},
		{"CanFast", func(c *Chain, r *receipts) { c.Fast(message(r)) }, "a.Pre b.Pre a.CanFast"},
		{"Fast", func(c *Chain, r *receipts) { c.Fast(message(r)) }, "a.Pre b.Pre a.CanFast a.Fast"},
	} {
		t.Run(x.method, func(t *testing.T) {
			var reported []any
			c, a, b, log := newFullChain(ChainConfig{OnPanic: func(cn msg.Connection, r any, stack []byte) {
				require.Same(t, conn, cn)
				require.Contains(t, string(stack), "(*full).call")
				reported = append(reported, r)
			}})
			r := new(receipts)
			a.goexits[x.method], a.takes["CanFast"] = true, true
			require.True(t, ends(func() { x.call(c, r) }))
			require.Equal(t, []any{ErrGoexit}, reported)
			require.Equal(t, x.want, strings.Join(*log, " "))
			s := c.Stats()
			require.EqualValues(t, 1, s.Panics)
			require.EqualValues(t, 1, s.Goexits)
			if strings.Contains(x.want, "a.Pre b.Pre") || x.method == "Pre" {
				require.Equal(t, map[int64]int{7: 1}, r.done, "given back")
			}

			b.goexits[x.method] = true // both of them: none is left out
			reported, *log = nil, nil
			require.True(t, ends(func() { x.call(c, r) }))
			require.Len(t, reported, 1+strings.Count(x.want, " b."+x.method))
			require.Equal(t, x.want, strings.Join(*log, " "))

			clear(a.goexits)
			clear(b.goexits)
			c.AddTail(b)
			require.False(t, ends(func() { x.call(c, r) }), "and goes on")
		})
	}
}

// A Goexit is reported once, by the chain if it is one of a dispatcher, and the
// connection's other messages and events are dispatched.
func TestChainGoexitInQueue(t *testing.T) {
	reports := make(chan any, 10)
	onPanic := func(_ msg.Connection, r any, _ []byte) { reports <- r }
	c := NewChain(ChainConfig{OnPanic: onPanic})
	got := make(chan uint64, 10)
	c.AddTail(goexits{got})
	q := New(Config{Executor: goExecutor{}, Handler: c, OnPanic: onPanic})
	r, conn := new(receipts), newConns(1)[0]
	var items []Item
	for seq := range uint64(3) {
		items = append(items, MessageItem(newMessage(conn, 127, seq, r, int64(seq+1))))
	}
	require.NoError(t, q.EnqueueBatch(append(items, EventItem(KindAccept, conn, nil))))
	require.EqualValues(t, 1, <-got)
	require.EqualValues(t, 2, <-got)
	require.NoError(t, q.Stop(context.Background()))
	require.Len(t, reports, 2)
	require.Equal(t, ErrGoexit, <-reports)
	require.EqualValues(t, 2, q.Stats().Panics)
	require.EqualValues(t, 4, q.Stats().Dispatched)
	require.EqualValues(t, 2, c.Stats().Goexits)
	require.Equal(t, map[int64]int{1: 1, 2: 1, 3: 1}, r.done)
}

// goexits ends the goroutine in HandleAccept and for message 0.
type goexits struct{ got chan uint64 }

func (goexits) HandleAccept(msg.Connection) { runtime.Goexit() }
func (g goexits) Dispatch(m *msg.Message) bool {
	if m.Seq() == 0 {
		runtime.Goexit()
	}
	g.got <- m.Seq()
	return true
}

// captured is a log that tests read, written by several goroutines.
type captured struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *captured) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *captured) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

func (c *captured) logger() *slog.Logger { return slog.New(slog.NewTextHandler(c, nil)) }

// A hook that is told of a panic and panics itself, or ends the goroutine: all is in
// the log, and everything goes on.
func TestOnPanicFails(t *testing.T) {
	for what, fail := range map[string]func(){
		"panic":  func() { panic("the hook's own") },
		"goexit": runtime.Goexit,
	} {
		t.Run(what, func(t *testing.T) {
			var log captured
			fails := func(msg.Connection, any, []byte) { fail() }
			c := NewChain(ChainConfig{OnPanic: fails, Logger: log.logger()})
			c.AddTail(fastOnly{func() { panic("first") }})
			r, conn := new(receipts), newConns(1)[0]
			over := ends(func() { require.Equal(t, Panicked, c.Fast(newMessage(conn, 127, 1, r, 7))) })
			require.Equal(t, what == "goexit", over)
			require.Equal(t, map[int64]int{7: 1}, r.done)
			for _, want := range []string{
				"panic=first", "the hook that was told of this: ", "conn 1", "TestOnPanicFails",
			} {
				require.Contains(t, log.String(), want)
			}
			require.Equal(t, what == "panic", strings.Contains(log.String(), "the hook's own"))
			told := "the hook that was told of this: " + ErrGoexit.Error()
			require.Equal(t, what == "goexit", strings.Contains(log.String(), told), "%s", log.String())

			log = captured{}
			done := make(chan bool)
			handle := handlerFunc(func(it *Item) Outcome {
				if it.Msg.Seq() == 1 {
					panic("second")
				}
				close(done)
				return Handled
			})
			q := New(Config{Executor: goExecutor{}, OnPanic: fails, Logger: log.logger(), Handler: handle})
			for seq := range uint64(2) {
				require.NoError(t, q.Enqueue(MessageItem(newMessage(conn, 127, seq+1, r, int64(seq+1)))))
			}
			<-done
			require.NoError(t, q.Stop(context.Background()))
			require.Equal(t, map[int64]int{1: 1, 2: 1, 7: 1}, r.done)
			require.EqualValues(t, 1, q.Stats().Panics)
			require.Contains(t, log.String(), "panic=second")
			require.Contains(t, log.String(), "the hook that was told of this: ")
		})
	}
}

// brokenLog panics.
type brokenLog struct{ slog.Handler }

func (brokenLog) Enabled(context.Context, slog.Level) bool  { return true }
func (brokenLog) Handle(context.Context, slog.Record) error { panic("the log's own") }

// The last resort is standard error: of a panic, of an unhandled message, and of a
// slow call, whose log panics.
func TestLogPanics(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	stderr := os.Stderr
	os.Stderr = w
	t.Cleanup(func() { os.Stderr = stderr })
	out := make(chan string)
	go func() {
		all, _ := io.ReadAll(r)
		out <- string(all)
	}()
	c := NewChain(ChainConfig{Logger: slog.New(brokenLog{})})
	require.Equal(t, Unhandled, c.Dispatch(&msg.Message{}))
	c.AddTail(fastOnly{func() { panic("first") }})
	require.Equal(t, Panicked, c.Fast(newMessage(newConns(1)[0], 127, 1, nil, 0)))
	require.NoError(t, w.Close())
	text := <-out
	require.Equal(t, 2, strings.Count(text, "and the log that was told of this: the log's own"))
	require.Contains(t, text, "dispatcher panicked: first")
	require.EqualValues(t, 2, c.Stats().Panics, "the log's, for the unhandled one, and the dispatcher's")
}

// Hooks for what is slow and what is unhandled are user code too.
func TestChainHooksPanic(t *testing.T) {
	var reported []any
	now := slowClock{}
	c := NewChain(ChainConfig{Clock: now.read, OnSlow: func(msg.Connection, string, time.Duration) { panic("slow") },
		OnUnhandled: func(*msg.Message) { panic("unhandled") },
		OnPanic:     func(_ msg.Connection, r any, _ []byte) { reported = append(reported, r) }})
	require.Equal(t, Unhandled, c.Dispatch(&msg.Message{}))
	c.AddTail(fastOnly{func() {}})
	require.Equal(t, Handled, c.Fast(newMessage(newConns(1)[0], 127, 1, nil, 0)))
	require.Equal(t, []any{"unhandled", "slow"}, reported)
}

// slowClock goes on by a second each time that it is read.
type slowClock struct{ now time.Duration }

func (c *slowClock) read() time.Duration { c.now += time.Second; return c.now }

// Without a Logger everything is told to slog's default.
func TestDefaultLog(t *testing.T) {
	var log captured
	old := slog.Default()
	slog.SetDefault(log.logger())
	t.Cleanup(func() { slog.SetDefault(old) })
	said := func(want ...string) {
		t.Helper()
		for _, w := range want {
			require.Contains(t, log.String(), w)
		}
	}
	conn := newConns(1)[0]
	c := NewChain(ChainConfig{})
	c.Dispatch(&msg.Message{})
	said("level=WARN", "no dispatcher handles")
	do := func() { panic(errors.New("ouch")) }
	c.AddTail(fastOnly{func() { do() }})
	c.FastConnect(conn)
	said("level=ERROR", "conn 1", "ouch", "TestDefaultLog")
	do = runtime.Goexit
	require.True(t, ends(func() { c.FastConnect(conn) }))
	said(ErrGoexit.Error())

	log.buf.Reset()
	q := New(Config{Executor: goExecutor{}, Handler: handlerFunc(func(it *Item) Outcome {
		if it.Msg.Seq() == 1 {
			panic("queue's")
		}
		runtime.Goexit()
		return Handled
	})})
	for seq := range uint64(2) {
		require.NoError(t, q.Enqueue(MessageItem(newMessage(conn, 127, seq+1, nil, 0))))
	}
	waitIdle(q)
	require.NoError(t, q.Stop(context.Background()))
	said("level=ERROR", "queue's", ErrGoexit.Error(), "conn 1", "TestDefaultLog")
}
