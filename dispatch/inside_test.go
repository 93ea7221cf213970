package dispatch

import (
	"context"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// notes is a dispatcher that notes where its callbacks are.
type notes struct {
	at   map[string][]callback.Side
	fast bool
	on   func(what string)

	wanted []string
}

func (n *notes) note(what string) {
	n.at[what] = append(n.at[what], callback.Inside())
	if n.on != nil {
		n.on(what)
	}
}

func (n *notes) Dispatch(*msg.Message) bool                            { n.note("Dispatch"); return true }
func (n *notes) CanFastDispatch(*msg.Message) bool                     { n.note("CanFastDispatch"); return n.fast }
func (n *notes) FastDispatch(*msg.Message)                             { n.note("FastDispatch") }
func (n *notes) FastPreprocess(*msg.Message)                           { n.note("FastPreprocess") }
func (n *notes) HandleConnect(msg.Connection)                          { n.note("HandleConnect") }
func (n *notes) HandleAccept(msg.Connection)                           { n.note("HandleAccept") }
func (n *notes) HandleFastConnect(msg.Connection)                      { n.note("HandleFastConnect") }
func (n *notes) HandleFastAccept(msg.Connection)                       { n.note("HandleFastAccept") }
func (n *notes) HandleFastReset(msg.Connection)                        { n.note("HandleFastReset") }
func (n *notes) HandleFastRemoteReset(msg.Connection)                  { n.note("HandleFastRemoteReset") }
func (n *notes) HandleFault(msg.Connection, error)                     { n.note("HandleFault") }
func (n *notes) HandleFastFault(msg.Connection, error)                 { n.note("HandleFastFault") }
func (n *notes) HandleReset(msg.Connection, error) bool                { n.note("HandleReset"); return true }
func (n *notes) HandleRemoteReset(msg.Connection)                      { n.note("HandleRemoteReset") }
func (n *notes) HandleRefused(msg.Connection, error) bool              { n.note("HandleRefused"); return true }
func (n *notes) HandleConnectFailed(msg.Connection, *msg.ConnectError) { n.note("HandleConnectFailed") }
func (n *notes) HandleRejected(msg.Connection, *msg.RejectedError)     { n.note("HandleRejected") }
func (n *notes) HandleSendPressure(msg.Connection, bool)               { n.note("HandleSendPressure") }
func (n *notes) HandleUndeliverable(msg.Connection, *msg.Message, error) {
	n.note("HandleUndeliverable")
}

// want checks where the one callback was that there has been.
func (n *notes) want(t *testing.T, what string, s callback.Side) {
	t.Helper()
	require.Equal(t, []callback.Side{s}, n.at[what], what)
	delete(n.at, what)
	n.wanted = append(n.wanted, what)
}

// wantAll is want of each of them, and that there was nothing else.
func (n *notes) wantAll(t *testing.T, s callback.Side, whats ...string) {
	t.Helper()
	for _, what := range whats {
		n.want(t, what, s)
	}
	require.Empty(t, n.at)
}

// TestInside: each method that a dispatcher may have, and each hook, is called on its side.
func TestInside(t *testing.T) {
	n := &notes{at: map[string][]callback.Side{}, fast: true}
	var clock time.Duration
	c := NewChain(ChainConfig{
		Clock:  func() time.Duration { clock += time.Minute; return clock },
		OnSlow: func(_ msg.Connection, method string, _ time.Duration) { n.note("OnSlow " + method) },
	})
	c.AddTail(n)
	e := new(Inline)
	q := New(Config{Executor: e, Handler: c, OnDiscard: func(*Item) { n.note("OnDiscard") }})
	conn := newConns(1)[0]
	m := newMessage(conn, 127, 1, nil, 0)

	// On the worker.
	c.Fast(m)
	c.FastConnect(conn)
	c.FastAccept(conn)
	c.FastReset(conn)
	c.FastFault(conn, msg.ErrReset)
	c.FastRemoteReset(conn)
	c.Undeliverable(conn, m, msg.ErrReset)
	n.wantAll(t, callback.Worker, "FastPreprocess", "CanFastDispatch", "FastDispatch", "HandleFastConnect",
		"HandleFastAccept", "HandleFastReset", "HandleFastFault", "HandleFastRemoteReset", "HandleUndeliverable",
		"OnSlow FastDispatch", "OnSlow HandleFastConnect", "OnSlow HandleFastAccept",
		"OnSlow HandleFastReset", "OnSlow HandleFastFault", "OnSlow HandleFastRemoteReset")
	for range 2 {
		require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
		q.Discard(conn.id, true)
		n.want(t, "OnDiscard", callback.Worker)
	}

	// On the pool.
	for _, it := range []Item{
		EventItem(KindConnect, conn, nil), EventItem(KindAccept, conn, nil), EventItem(KindReset, conn, nil),
		EventItem(KindRemoteReset, conn, nil), EventItem(KindRefused, conn, nil), EventItem(KindHighWater, conn, nil),
		EventItem(KindConnectFailed, conn, new(msg.ConnectError)),
		EventItem(KindRejected, conn, new(msg.RejectedError)), EventItem(KindFault, conn, msg.ErrReset), MessageItem(m),
	} {
		require.NoError(t, q.Enqueue(it))
	}
	e.Run()
	n.wantAll(t, callback.Pool, "HandleConnect", "HandleAccept", "HandleReset", "HandleRemoteReset", "HandleRefused",
		"HandleConnectFailed", "HandleRejected", "HandleSendPressure", "HandleFault", "Dispatch")

	// There are no others.
	for _, o := range optionals(reflect.TypeOf(n)) {
		require.True(t, o.has, o.want)
		require.Contains(t, n.wanted, o.is.Name)
	}

	// One in another: the outer one counts.
	n.on = func(what string) {
		switch what {
		case "Dispatch":
			c.Undeliverable(conn, m, msg.ErrReset)
		case "FastDispatch":
			require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
			e.Run()
			require.Equal(t, callback.Outside, <-elsewhere())
		}
	}
	require.NoError(t, q.Enqueue(MessageItem(m)))
	e.Run()
	n.want(t, "Dispatch", callback.Pool)
	n.want(t, "HandleUndeliverable", callback.Pool)
	c.Fast(m)
	n.want(t, "FastDispatch", callback.Worker)
	n.want(t, "HandleConnect", callback.Worker)

	// Stop does not wait for the callback that calls it, even there.
	n.on = func(what string) {
		if what == "HandleConnect" {
			require.ErrorIs(t, q.Stop(context.Background()), ErrInDispatch)
		}
	}
	c.Fast(m)
	require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
	e.Run()
	n.want(t, "HandleConnect", callback.Pool)
	require.NoError(t, q.Stop(context.Background()))
}

func elsewhere() chan callback.Side {
	at := make(chan callback.Side)
	go func() { at <- callback.Inside() }()
	return at
}

// atOnce is an executor that runs jobs in Submit.
type atOnce struct{ n *notes }

func (e atOnce) Submit(job func()) error {
	e.n.note("Submit")
	job()
	return nil
}

// refusing is an executor that accepts nothing.
type refusing struct{}

func (refusing) Submit(func()) error { return ErrExecutorFull }

// TestInsideHooks: hooks that are not in the chain, and an executor's own code. A
// worker waits for Submit, whatever is run there.
func TestInsideHooks(t *testing.T) {
	n := &notes{at: map[string][]callback.Side{}}
	conn := newConns(1)[0]
	stale := true
	q := New(Config{
		Executor: atOnce{n}, Handler: handlerFunc(func(*Item) Outcome { n.note("Handle"); return Handled }),
		Stale:     func(*Item) bool { n.note("Stale"); return stale },
		OnDiscard: func(*Item) { n.note("OnDiscard") },
	})
	require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
	n.wantAll(t, callback.Worker, "Submit", "Stale", "OnDiscard")
	stale = false
	require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
	n.wantAll(t, callback.Worker, "Submit", "Stale", "Handle")
	require.NoError(t, q.Stop(context.Background()))

	// A stand-in is a job of the queue.
	standIn := make(chan struct{})
	q = New(Config{Executor: refusing{}, Handler: handlerFunc(func(*Item) Outcome {
		defer close(standIn)
		n.note("Handle")
		return Handled
	})})
	require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
	<-standIn
	n.wantAll(t, callback.Pool, "Handle")
	require.NoError(t, q.Stop(context.Background()))

	// Stop waits for OnDiscard, but not for the one that calls it.
	var err error
	q = New(Config{Executor: new(Inline), Handler: handlerFunc(nil)})
	q.cfg.OnDiscard = func(*Item) { n.note("OnDiscard"); err = q.Stop(context.Background()) }
	require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
	require.NoError(t, q.Stop(context.Background()))
	n.wantAll(t, callback.Worker, "OnDiscard")
	require.ErrorIs(t, err, ErrInDispatch)

	s := newStage(Config{OnStuck: func(InFlight) { n.note("OnStuck") }})
	s.fill(t, 1)
	s.settle()
	s.check(time.Second)
	n.wantAll(t, callback.Worker, "OnStuck")
	s.over(t)
}

// TestInsideAfterFailures: what panics or ends its goroutine leaves no mark.
func TestInsideAfterFailures(t *testing.T) {
	for what, fail := range map[string]func(){"panic": func() { panic("planned") }, "goexit": runtime.Goexit} {
		n := &notes{at: map[string][]callback.Side{}, fast: true}
		told := 0
		c := NewChain(ChainConfig{OnPanic: func(msg.Connection, any, []byte) { told++ }})
		c.AddTail(n)
		e := new(Inline)
		q := New(Config{Executor: e, Handler: c})
		conn := newConns(1)[0]
		n.on = func(string) { n.on = nil; fail() }
		require.Equal(t, what == "goexit", ends(func() {
			c.FastConnect(conn)
			require.Equal(t, callback.Outside, callback.Inside())
		}))
		n.wantAll(t, callback.Worker, "HandleFastConnect")
		n.on = func(string) { n.on = nil; fail() }
		require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
		require.Equal(t, what == "goexit", ends(func() {
			e.Run()
			require.Equal(t, callback.Outside, callback.Inside())
		}))
		n.wantAll(t, callback.Pool, "HandleConnect")
		require.Equal(t, 2, told)
		require.Equal(t, callback.Outside, callback.Inside())
		require.NoError(t, q.Enqueue(EventItem(KindAccept, conn, nil)))
		e.Run()
		n.wantAll(t, callback.Pool, "HandleAccept")
		require.NoError(t, q.Stop(context.Background()))
	}
}
